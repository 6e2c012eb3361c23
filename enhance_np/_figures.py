"""What all figures share. matplotlib is an optional dependency."""

import io


def require_matplotlib() -> None:
    """Raise ImportError in one line if matplotlib is missing; call it before any work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError('figures: need matplotlib: pip install "enhance_np[plot]"') from None


def png(figure, **options) -> bytes:
    """A matplotlib Figure as the bytes of a PNG.  options : of its `savefig`."""
    image = io.BytesIO()
    figure.savefig(image, format="png", **options)
    return image.getvalue()
