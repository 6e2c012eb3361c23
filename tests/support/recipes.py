"""Recipes whose pairs are quick to make."""

SMALL = """
type = "{type}"
train = 6
validation = 2
test = 2
patch = 8
seed = 5

[optics]
support = 2.0

[augmentation]
rotation = true
zoom = [0.9, 1.1]
symmetries = true

[[noise]]
cadence = "45 s"
sigma = 0.01
share = 1.0

[[source]]
name = "synthetic quiet"
synthetic = "quiet"
pixel_scale = 0.09
shape = [80, 80]
weight = 1.0
"""

REAL = """
[[source]]
name = "own"
file = "own.npy"
pixel_scale = 0.1
unit = 2.0
weight = 3.0
train = [0.0, 0.4, 0.0, 1.0]
validation = [0.6, 1.0, 0.0, 0.4]
test = [0.6, 1.0, 0.6, 1.0]
"""


def small_recipe(path, type="intensity", more=""):
    """Writes a recipe with one synthetic source, and the text `more`, to `path`; returns `path`."""
    path.write_text(SMALL.format(type=type) + more)
    return path
