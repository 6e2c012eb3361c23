"""Measurements of enhance_np; `bench/README.md` lists them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]  # of the checkout
