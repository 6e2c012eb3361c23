"""The comparison of PSFs, against what is known of the Airy pattern."""

import numpy as np
import pytest

from enhance_np.cli import main
from enhance_np.evaluate import psfs
from enhance_np.optics.degrade import PSFS, Optics
from enhance_np.optics.psf import ARCSEC, airy

D, WAVELENGTH = 0.14, 6173e-10
UNIT = WAVELENGTH / D / ARCSEC  # lambda / D in arcsec


def test_measures_of_the_airy_pattern():
    """Width 1.029 lambda / D, 83.8 % within the first dark ring, the OTF of a circle."""
    scale = UNIT / 40
    found = psfs.measured(airy(scale, D, 60 * UNIT, WAVELENGTH), scale)
    assert found.width == pytest.approx(1.029 * UNIT, rel=2e-3)
    # the support of 60 lambda / D holds all but 2 / (pi^2 60) of the light
    within = np.interp(1.22 * UNIT, found.radius, found.energy)
    assert within == pytest.approx(0.838 / (1 - 2 / (np.pi**2 * 60)), abs=2e-3)
    q = np.clip(found.frequency * UNIT, 0, 1)
    circle = 2 / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2))
    np.testing.assert_allclose(found.transfer, circle, atol=6e-3)


def test_every_psf_is_compared(tmp_path, capsys):
    found = psfs.known(Optics("norton", lorentzian=0.1))
    for name in PSFS:
        assert sum(key.startswith(f"{name}, 0.14 m") for key in found) == 1
    assert sum(key.startswith("target: airy, 0.28 m") for key in found) == 1
    assert not any("norton" in key for key in psfs.known())
    pytest.importorskip("matplotlib")
    with pytest.raises(SystemExit) as ended:
        main(["psf", "--psf", "norton", "--lorentzian", "0.1", "--plot", str(tmp_path / "a.png")])
    assert ended.value.code is None
    assert capsys.readouterr().out == psfs.table(found) + "\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
