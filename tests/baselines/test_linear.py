import numpy as np
import pytest
from made import pair, smooth_scene
from numpy.lib.stride_tricks import sliding_window_view

from enhance_np.baselines import linear
from enhance_np.baselines.bicubic import bicubic
from enhance_np.baselines.linear import TILE, Equations, LinearFilter, load, tune
from enhance_np.baselines.tuning import Pair


def by_definition(image, weights, bias):
    """The four sums of the class's docstring, away from the borders; NaN near them."""
    h, w = image.shape
    k = weights.shape[2]
    r = k // 2
    out = np.full((2 * h, 2 * w), np.nan)
    for i in range(r, h - r):
        for j in range(r, w - r):
            seen = image[i - r : i + r + 1, j - r : j + r + 1]
            for a in (0, 1):
                for b in (0, 1):
                    out[2 * i + a, 2 * j + b] = bias[a, b] + (weights[a, b] * seen).sum()
    return out


@pytest.fixture
def known(rng):
    """A linear filter, and pairs that it maps exactly, except near the borders, which are
    unused."""
    weights, bias = rng.standard_normal((2, 2, 5, 5)), rng.standard_normal((2, 2))
    low = rng.standard_normal((3, 20, 24))
    high = np.stack([by_definition(image, weights, bias) for image in low])
    return LinearFilter(weights, bias), low, high


def test_filter_is_its_definition(known):
    filter, low, high = known
    out = filter(low[0])
    inner = np.isfinite(high[0])
    assert inner.sum() == 4 * 16 * 20
    np.testing.assert_allclose(out[inner], high[0][inner], atol=1e-12)
    assert np.isfinite(out).all()


def test_mirror_image_beyond_the_borders(known, rng):
    filter, low, _ = known
    mirrored = np.pad(low[0], 4, mode="symmetric")
    np.testing.assert_allclose(filter(mirrored)[8:-8, 8:-8], filter(low[0]), atol=1e-12)


@pytest.mark.parametrize("size", [5, 9])
def test_recovers_a_linear_map(size, known):
    """Up to rounding: there are at least 768 equations, with a condition number below 100."""
    filter, low, high = known
    found = Equations(size)
    found.add(low, np.nan_to_num(high) if size > 5 else high)
    edge = (size - 5) // 2
    want = np.pad(filter.weights, [(0, 0), (0, 0), (edge, edge), (edge, edge)])
    solved = found.solve(noise=0.0)
    np.testing.assert_allclose(solved.weights, want, atol=1e-11)
    np.testing.assert_allclose(solved.bias, filter.bias, atol=1e-11)


def test_is_least_squares(rng):
    """Compares with numpy's lstsq on the rows themselves; noise and ridge are additional rows."""
    low, high = rng.standard_normal((2, 9, 8)), rng.standard_normal((2, 18, 16))
    noise, ridge = 0.3, 0.2
    rows, values = [], []
    for image, truth in zip(low, high, strict=True):
        for i in range(1, 8):
            for j in range(1, 7):
                rows.append([1, *image[i - 1 : i + 2, j - 1 : j + 2].ravel()])
                values.append(truth[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].ravel())
    n = len(rows)
    penalty = np.sqrt(n * (noise**2 + ridge)) * np.eye(10)[1:]
    want, *_ = np.linalg.lstsq(
        np.vstack([rows, penalty]), np.vstack([values, np.zeros((9, 4))]), rcond=None
    )
    found = Equations(3)
    found.add(low, high)
    assert found.n == n
    solved = found.solve(noise, ridge)
    np.testing.assert_allclose(solved.bias.ravel(), want[0], atol=1e-12)
    np.testing.assert_allclose(solved.weights.reshape(4, 9).T, want[1:], atol=1e-12)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("shape", [(TILE + 4, 2 * TILE + 9), (2 * TILE + 1, 7)])
def test_sums_in_tiles_are_those_of_the_neighbourhoods(rng, size, shape):
    h, w = shape
    low, high = rng.standard_normal((2, h, w)), rng.standard_normal((2, 2 * h, 2 * w))
    r = size // 2
    x = sliding_window_view(low, (size, size), axis=(1, 2)).reshape(-1, size**2)
    inner = high[:, 2 * r : 2 * (h - r), 2 * r : 2 * (w - r)]
    y = np.stack([inner[:, a::2, b::2].ravel() for a, b in np.ndindex(2, 2)], axis=1)
    found = Equations(size)
    found.add(low, high)
    assert found.n == len(x)
    for name, want in {"x": x.sum(0), "y": y.sum(0), "xx": x.T @ x, "xy": x.T @ y}.items():
        np.testing.assert_allclose(getattr(found, name), want, rtol=0, atol=1e-9)


def test_noise_is_what_drawn_noise_is_on_average(rng):
    """For 200 draws of noise, the mean of the sums is within 5 % of the expected diagonal."""
    low, high = rng.standard_normal((1, 12, 12)), rng.standard_normal((1, 24, 24))
    drawn, clean = Equations(3), Equations(3)
    clean.add(low, high)
    for _ in range(200):
        drawn.add(low + 0.5 * rng.standard_normal(low.shape), high)
    a, b = drawn.solve(noise=0.0), clean.solve(noise=0.5)
    scale = np.abs(b.weights).max()
    np.testing.assert_allclose(a.weights, b.weights, atol=0.05 * scale)
    assert np.abs(clean.solve(noise=0.0).weights - b.weights).max() > 0.1 * scale


def test_smaller_size_from_the_same_sums(known):
    _, low, high = known
    high = np.nan_to_num(high)
    large, small = Equations(7), Equations(5)
    large.add(low, high)
    small.add(low[:, 1:-1, 1:-1], high[:, 2:-2, 2:-2])  # the same neighbourhoods
    a, b = large.solve(0.1, size=5), small.solve(0.1)
    np.testing.assert_allclose(a.weights, b.weights, atol=1e-12)
    assert a.size == b.size == 5


def test_ridge_shrinks(known):
    _, low, high = known
    found = Equations(5)
    found.add(low, high)
    norms = [np.linalg.norm(found.solve(0.0, ridge).weights) for ridge in (0, 0.1, 1, 10)]
    assert norms == sorted(norms, reverse=True)
    assert norms[0] > 2 * norms[-1]


def test_beats_interpolation_and_chooses(rng):
    """On scenes of the kind that it was fitted on; the chosen value is the best of the curve."""
    scenes = [pair(smooth_scene(rng)) for _ in range(4)]
    found = Equations(9)
    for low, high in scenes[:3]:
        found.add(low[None], high[None])
    low, high = scenes[3]
    scene = Pair(low + 1e-3 * rng.standard_normal(low.shape), high)
    tuned = tune(found, 1e-3, [scene], ridges=(0.0, 1e-6, 1e-2), sizes=(5, 9))
    assert len(tuned.curve) == 6
    assert tuned.mse == min(error for _, error in tuned.curve)
    assert tuned.value.size == 9
    assert tuned.value.ridge < 1e-2
    assert tuned.mse < 0.3 * np.square(bicubic(scene.low) - high).mean()


def test_equations_of_a_file(rng, tmp_path):
    import h5py

    low, high = rng.random((40, 10, 11)), rng.random((40, 20, 22))
    with h5py.File(tmp_path / "pairs.h5", "w") as file:
        file["imHMI"], file["imSST"] = low[..., None], high[..., None]
    a, b = linear.equations(tmp_path / "pairs.h5", 5), Equations(5)
    b.add(low.astype(np.float32), high.astype(np.float32))  # as training reads them
    for name in ("n", "x", "y", "xx", "xy"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12)


def test_save_and_load(known, tmp_path):
    _, low, high = known
    found = Equations(5)
    found.add(low, high)
    filter = found.solve(0.1)
    filter.save(tmp_path / "filter.npz")
    again = load(tmp_path / "filter.npz")
    np.testing.assert_array_equal(again.weights, filter.weights)
    np.testing.assert_array_equal(again.bias, filter.bias)
    assert again.provenance == filter.provenance
    assert again.provenance["noise"] == 0.1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["filter.npz"]


def test_broken_files(known, tmp_path):
    with pytest.raises(FileNotFoundError, match="must exist"):
        load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(OSError, match=r"text\.npz"):
        load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    with pytest.raises(OSError, match=r"other\.npz"):
        load(tmp_path / "other.npz")
    np.savez(
        tmp_path / "shape.npz", weights=np.ones((2, 2, 4, 4)), bias=np.ones((2, 2)), provenance="{}"
    )
    with pytest.raises(ValueError, match="k odd"):
        load(tmp_path / "shape.npz")
    with pytest.raises(OSError, match="HDF5"):
        linear.equations(tmp_path / "text.npz")


def test_faults(known):
    filter, low, high = known
    with pytest.raises(ValueError, match="size must be odd"):
        Equations(4)
    with pytest.raises(ValueError, match="n=0"):
        Equations(3).solve(0.1)
    with pytest.raises(ValueError, match="high"):
        Equations(3).add(low, high[:, :-1])
    with pytest.raises(ValueError, match="h and w of 21"):
        Equations(21).add(low, high)
    found = Equations(5)
    found.add(low, high)
    for wrong in ({"noise": -1}, {"noise": 0, "ridge": -1}, {"noise": np.nan}):
        with pytest.raises(ValueError, match="noise"):
            found.solve(**wrong)
    with pytest.raises(ValueError, match="size must be odd, 1 to 5"):
        found.solve(0.0, size=7)
    with pytest.raises(ValueError, match="finite"):
        filter(np.full((9, 9), np.nan))
