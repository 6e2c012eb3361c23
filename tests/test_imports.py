"""Every subpackage imports only from those below it: the rules of docs/layout.md, on the source."""

import ast
from pathlib import Path

import pytest

import enhance_np

ROOT = Path(enhance_np.__file__).parent
FILES = sorted(p for p in ROOT.rglob("*.py") if p.parent != ROOT or p.name != "__init__.py")
# From the bottom up. A subpackage or module imports from lower levels or from the left of its own
LEVELS = """
    _array _atomic _errors _figures _hdf5 _kernels _random _signals _symmetry _threads
    config instrument
    layers models loss optim
    params network weights
    observation optics
    engine
    sun pairs training baselines
    prediction
    evaluate inspection exercises chapter
    cli __main__
""".split()
FOREIGN = {"torch", "tensorflow", "keras", "tf_keras", "onnxruntime", "openvino", "tests", "bench"}

# gpu-selftest also times PyTorch, if it is installed
TIMED_BESIDE = {"inspection/gpu_selftest.py", "inspection/peer_torch.py"}
OF_A_CARD = {"inspection/gpu_selftest.py"}


def imported(path):
    """Absolute names of all modules that a file imports, at its top or within functions."""
    package = ("enhance_np", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *(node.module or "").split("."))).strip(".")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def uses(path, *modules):
    return {m for m in imported(path) for p in modules if m == p or m.startswith(p + ".")}


def level(path):
    return LEVELS.index(path.relative_to(ROOT).with_suffix("").parts[0])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_rules(path):
    above = (f"enhance_np.{name}" for name in LEVELS[level(path) + 1 :])
    assert not uses(path, *above)
    place = path.relative_to(ROOT)
    foreign = FOREIGN - {"torch"} if place.as_posix() in TIMED_BESIDE else FOREIGN
    assert not uses(path, *foreign, "sunpy")  # a Map that is given has the methods that are needed
    if place.parts[0] == "layers" or place.name in ("network.py", "loss.py", "optim.py"):
        assert not uses(path, "numba", "cupy", "scipy", "h5py", "astropy")
    if place.parts[0] != "engine" and place.as_posix() not in OF_A_CARD:
        assert not uses(path, "numba", "llvmlite", "cupy")
    if place.as_posix() not in ("prediction/chunks.py", "_array.py"):  # only for a dask array
        assert not uses(path, "dask")


def test_every_module_and_subpackage_has_a_level():
    assert {path.relative_to(ROOT).with_suffix("").parts[0] for path in FILES} == {*LEVELS}
