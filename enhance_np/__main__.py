"""The program: `python -m enhance_np`, and the script `enhance-np`."""

from . import _signals


def main() -> None:
    _signals.end_at_once()  # before the imports
    from . import cli
    from .cli.terminal import reserve_descriptors

    reserve_descriptors()
    try:
        cli.main()
    finally:
        _signals.ignore()


if __name__ == "__main__":
    main()
