import numpy as np
import pytest
from made import FINE, pair, smooth_scene
from scipy.ndimage import convolve as direct_convolve

from enhance_np.baselines.bicubic import bicubic
from enhance_np.baselines.richardson_lucy import deconvolve, iterates, tune
from enhance_np.baselines.tuning import Pair
from enhance_np.optics.cosines import double, transfers
from enhance_np.optics.degrade import HMI, HMI_SCALE, Optics

NARROW = Optics(support=2.0)  # a kernel small enough to convolve directly


def published(raw, psf, iterations, damped):
    """The code printed in the chapter on Enhance, with mirrored borders instead of wrapped ones."""
    lucy = np.ones(raw.shape) * raw.mean()
    for _ in range(iterations):
        ratio = raw / direct_convolve(lucy, psf, mode="reflect")
        lucy = lucy * direct_convolve(ratio, psf, mode="reflect")
        miss = np.abs(direct_convolve(lucy, psf, mode="reflect") - raw)
        if damped:
            off = miss > 10 * np.median(miss)
            lucy[off] = raw[off]
    return lucy


@pytest.mark.parametrize("damped", [False, True])
def test_is_the_published_algorithm(damped, rng):
    raw = smooth_scene(rng, (3, 4))
    raw[10, 12] = 4.0  # an outlier, for damping to act
    psf, _ = NARROW.kernels(FINE)
    transfer, _ = transfers(raw.shape, FINE, NARROW)
    run = iterates(raw, transfer, damped)
    for _ in range(4):
        estimate = next(run)
    np.testing.assert_allclose(estimate, published(raw, psf, 4, damped), rtol=1e-9)


def test_damping_returns_an_outlier_to_its_data(rng):
    raw = smooth_scene(rng, (3, 4))
    raw[10, 12] = 4.0
    transfer, _ = transfers(raw.shape, FINE, HMI)
    assert next(iterates(raw, transfer, damping=True))[10, 12] == 4.0
    assert next(iterates(raw, transfer))[10, 12] != 4.0


def test_every_iteration_is_more_probable(rng):
    """The Poisson likelihood sum(d log m - m), which the algorithm maximises, never falls."""
    data = 50 + 20 * rng.random((24, 24))
    transfer, _ = transfers(data.shape, HMI_SCALE / 2, HMI)
    run, last = iterates(data, transfer), -np.inf
    from enhance_np.optics.cosines import to_image, to_modes

    for _ in range(15):
        model = to_image(to_modes(next(run)) * transfer)
        likelihood = float((data * np.log(model) - model).sum())
        assert likelihood > last
        last = likelihood


@pytest.mark.parametrize("as_target", [False, True])
def test_flux_is_conserved(as_target, rng):
    """An input pixel becomes 4 output pixels of a quarter of its area. The flux of each polarity of
    a field is conserved, and so is their difference. 1e-10 is the rounding of some hundred
    transforms."""
    low, _ = pair(smooth_scene(rng))
    field = low - 1
    out = deconvolve(low, "intensity", 10, as_target=as_target)
    assert out.sum() == pytest.approx(4 * low.sum(), rel=1e-10)
    out = deconvolve(field, "blos", 10, as_target=as_target)
    assert out.sum() == pytest.approx(4 * field.sum(), rel=1e-10, abs=1e-10 * np.abs(out).sum())


@pytest.mark.parametrize("type", ["intensity", "blos"])
def test_scale_does_not_matter(type, rng):
    low, _ = pair(smooth_scene(rng, (8, 9)))
    image = low if type == "intensity" else low - 1
    once = deconvolve(image, type, 5)
    np.testing.assert_allclose(deconvolve(1e4 * image, type, 5), 1e4 * once, rtol=1e-9, atol=1e-9)


def test_recovers_point_sources():
    """Two points 1.0 arcsec apart are one lobe to HMI. The output shows the dip between them, and
    is closer to the truth than the input."""
    scene = np.zeros((16 * 16, 24 * 8))
    scene[128, 96 - 8], scene[128, 96 + 8] = 1.0, 1.0
    scene = 0.05 + 1e3 * scene / (8 * 8)
    low, high = pair(scene)
    peak = low[16].argmax()
    assert (np.diff(low[16, : peak + 1]) > 0).all()
    assert (np.diff(low[16, peak:]) < 0).all()
    out = deconvolve(low, "intensity", 200)
    row = out[31:33].sum(axis=0)
    middle = row[23:25].mean()
    assert row[:24].max() > 1.2 * middle
    assert row[24:].max() > 1.2 * middle

    def error(image):
        return np.square(image - high).sum()

    # measured: 0.52; frequencies above the input's Nyquist frequency are not recovered
    as_target = deconvolve(low, "intensity", 200, as_target=True)
    assert error(as_target) < 0.6 * error(bicubic(low))
    assert out.min() >= 0


def test_polarities_are_mirror_images(rng):
    field = pair(smooth_scene(rng, (8, 9)))[0] - 1
    plus, minus = (deconvolve(sign * field, "blos", 6) for sign in (1, -1))
    np.testing.assert_allclose(plus, -minus, atol=1e-12)


def test_nothing_stays_nothing():
    assert not deconvolve(np.zeros((6, 7)), "blos", 3).any()
    assert not deconvolve(np.zeros((6, 7)), "intensity", 3).any()


def test_progress_counts_both_parts():
    seen = []
    deconvolve(np.ones((4, 4)), "blos", 3, progress=lambda *at: seen.append(at))
    assert seen == [(k, 6) for k in range(7)]


def test_tune_scores_what_deconvolve_makes(rng):
    low, high = pair(smooth_scene(rng))
    low = low + 3e-3 * rng.standard_normal(low.shape)
    for type, shift in (("intensity", 0), ("blos", 1)):
        scene = Pair(low - shift, high - shift)
        found = tune([scene, scene], type, 12, as_target=True)
        assert [k for k, _ in found.curve] == list(range(1, 13))
        for k in (1, found.value):
            out = deconvolve(scene.low, type, k, as_target=True)
            assert dict(found.curve)[k] == pytest.approx(np.square(out - scene.high).mean())
        assert found.mse == min(error for _, error in found.curve)


def test_more_noise_stops_earlier(rng):
    low, high = pair(smooth_scene(rng))
    noise = rng.standard_normal(low.shape)
    stops = [tune([Pair(low + s * noise, high)], "intensity", 150).value for s in (1e-2, 5e-2)]
    assert stops[0] > stops[1]


def test_faults():
    image = np.ones((4, 4))
    with pytest.raises(ValueError, match="type"):
        deconvolve(image, "velocity")
    with pytest.raises(ValueError, match="iterations=0"):
        deconvolve(image, "intensity", 0)
    with pytest.raises(ValueError, match="finite"):
        deconvolve(np.full((4, 4), np.nan), "intensity")
    with pytest.raises(ValueError, match="type"):
        tune([], "velocity")


def test_negative_intensity_counts_as_nothing():
    image = np.ones((8, 8))
    image[4, 4] = -3
    assert deconvolve(image, "intensity", 5).min() >= 0
    assert double(image).min() < 0
