"""Numbers of regions whose outputs are known functions of the input."""

from dataclasses import replace

import numpy as np
import pytest
from made_region import SIDE, region

from enhance_np import params
from enhance_np._array import repeated
from enhance_np.baselines.bicubic import bicubic
from enhance_np.chapter import measures
from enhance_np.chapter.regions import RL
from enhance_np.config import SMALL
from enhance_np.optics.psf import ARCSEC


def times(factor, *names, type="blos"):
    def change(outputs):
        for name in names:
            outputs[name][type] = outputs[name][type] * np.float32(factor)
        return outputs

    return change


def test_the_ratio_of_an_output_that_is_stronger_by_a_known_factor(rng):
    found = measures.field(region(rng, times(1.35, "default"), truth=1.2))
    for key in ("kilogauss", "plage", "flux"):
        assert found[key].value == pytest.approx(1.35, rel=1e-5)
        assert found[key].truth == pytest.approx(1.2, rel=1e-5)
    assert found["flux_rl"].value == pytest.approx(1, rel=1e-6)


def test_the_ratio_of_richardson_lucy_and_network(rng):
    found = measures.field(region(rng, times(0.4, RL), truth=1.0))
    assert found["line"].value == pytest.approx(0.4, rel=1e-5)
    assert found["line"].truth == pytest.approx(1, rel=1e-5)
    assert found["rl_power"].value == pytest.approx(0.16, rel=1e-5)
    assert found["umbra_rl"].value < -1000
    assert found["umbra_rl"].truth == 0
    assert "bridge" not in found  # none was drawn


def test_the_umbra_of_richardson_lucy_in_gauss(rng):
    def stronger(outputs):
        field = outputs[RL]["blos"]
        outputs[RL]["blos"] = field + np.float32(60) * np.sign(field)
        return outputs

    found = measures.field(region(rng, stronger))
    assert found["umbra_rl"].value == pytest.approx(60, rel=1e-4)
    assert found["umbra_rl"].truth is None


def test_the_levels_of_noise(rng):
    """The input's noise of 10 G, which interpolation keeps below its Nyquist frequency."""

    def noisy(outputs):
        shape = (2 * SIDE, 2 * SIDE)
        for name, sigma in (("default", 30), (RL, 80)):
            noise = sigma * rng.standard_normal(shape)
            outputs[name]["blos"] = (bicubic(outputs[name]["blos"][::2, ::2]) + noise).astype("f4")
        return outputs

    made = region(rng, noisy)
    found = measures.field(made)
    # a band of 2 pi 0.275 0.05 128^2 = 1415 modes; beside the noise there is a rest of the plage
    rest = found["noise_input"].value
    assert found["noise_output"].value == pytest.approx(np.hypot(30, rest), rel=0.1)
    assert found["noise_rl"].value == pytest.approx(np.hypot(80, rest), rel=0.1)


def test_the_umbra_that_becomes_darker(rng):
    found = measures.intensity(region(rng, times(0.98, "default", type="intensity"), truth=0.97))
    assert found["umbra_change"].value == pytest.approx(-2, abs=1e-3)
    assert found["umbra_change"].truth == pytest.approx(-3, abs=1e-3)
    assert found["contrast_output"].value == pytest.approx(found["contrast_input"].value, rel=1e-4)


def test_the_small_network(rng):
    found = measures.small_network(region(rng, times(1.02, "small")))
    assert found["small_speed"].value == 6
    assert found["small_blos"].value == pytest.approx(2, rel=1e-3)
    assert found["small_intensity"].value == 0


def test_the_error_at_disc_centre(rng):
    made = region(rng, truth=1.0)
    error = np.float32(1e-3) * (-1) ** np.arange(2 * SIDE)  # alternating columns
    made.out["intensity"] += error
    truth, quiet = made.truths["intensity"], repeated(made.classes["quiet"])
    smooth = bicubic(made.images["intensity"]) - truth
    wanted = 1e-3 / np.sqrt(np.mean(smooth[quiet] ** 2))
    assert measures.of_truth(made)["disc_error"].value == pytest.approx(wanted, rel=1e-3)


def test_the_architecture():
    found = {key: number.value for key, number in measures.architecture(SMALL).items()}
    assert (found["parameters"], found["trainable"]) == (446_657, 445_249)
    assert found["parameters_default"] == found["parameters_small"] == sum(params.count(SMALL))
    assert found["limit"] == pytest.approx(1.22 * 6173e-10 / 0.14 / ARCSEC, rel=1e-3)
    assert found["limit_target"] == found["limit"] / 2


def test_what_a_region_does_not_have_is_left_out(rng):
    made = region(rng)
    for image in (made.images, *made.outputs.values()):
        if "intensity" in image:
            image["intensity"] = np.ones_like(image["intensity"])
        image["blos"] = (image["blos"] / 1e3).astype(np.float32)
    made = replace(made)  # without what it has computed of the old images
    assert "umbra_change" not in measures.intensity(made)
    found = measures.field(made)
    for key in ("kilogauss", "plage", "bridge", "line", "umbra_rl", "missed_umbra"):
        assert key not in found
    assert all(np.isfinite(number.value) for number in found.values())
