"""What all figures share. matplotlib is an optional dependency."""

import io
import os


def require_matplotlib() -> None:
    """Raise ImportError in one line if matplotlib is missing; call it before any work."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError('figures: need matplotlib: pip install "enhance_np[plot]"') from None


def check_plot(path: str | os.PathLike) -> None:
    """Raise ValueError for a name that is not a PNG's; see also require_matplotlib."""
    if not os.fspath(path).lower().endswith(".png"):
        raise ValueError(f"check_plot: the name must end in .png, got {os.fspath(path)!r}")
    require_matplotlib()


def png(figure, **options) -> bytes:
    """A matplotlib Figure as the bytes of a PNG.  options : of its `savefig`."""
    image = io.BytesIO()
    figure.savefig(image, format="png", **options)
    return image.getvalue()
