"""Finds the CUDA text of kernels/: inside the installed package, or beside it in a checkout."""

from pathlib import Path


def source(stem: str) -> str:
    """The text of kernels/`stem`.cu. Raises FileNotFoundError that names the places searched."""
    package = Path(__file__).parent
    places = package / "kernels", package.parent / "kernels"
    for place in places:
        file = place / f"{stem}.cu"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise FileNotFoundError(f"kernels: {stem}.cu must be in {places[0]} or {places[1]}")
