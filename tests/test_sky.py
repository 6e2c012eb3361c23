"""sunpy and astropy give the output the sky coordinates of the input, to 1e-6 arcsec."""

import logging

import numpy as np
import pytest
from astropy.io import fits as afits
from astropy.wcs import WCS

from enhance_np import params, weights
from enhance_np.config import NetworkConfig
from enhance_np.prediction.file import enhance_file

CONFIG = NetworkConfig(1, 4)
SHAPE = (40, 60)
ANGLE = np.radians(179.9298)
COS, SIN = np.cos(ANGLE), np.sin(ANGLE)
SCALE = 0.504302
BASE = {
    "TELESCOP": "SDO/HMI",
    "INSTRUME": "HMI_SIDE1",
    "CONTENT": "MAGNETOGRAM",
    "BUNIT": "Gauss",
    "DATE-OBS": "2011-02-15T01:58:12.30",
    "T_OBS": "2011.02.15_01:59:54_TAI",
    "WAVELNTH": 6173.0,
    "DSUN_OBS": 147746220503.41,
    "RSUN_REF": 696000000.0,
    "RSUN_OBS": 971.671936,
    "R_SUN": 971.671936 / SCALE,
    "CRLN_OBS": 21.725103,
    "CRLT_OBS": -6.8279,
}
PLANE = {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec"}
CUT_OUT = PLANE | {"CRPIX1": -700.61, "CRPIX2": 417.2, "CRVAL1": 2.48, "CRVAL2": -1.7}
DELT = {"CDELT1": SCALE, "CDELT2": SCALE}
# the same rotation in three conventions, and a whole disc on few pixels
WCSES = {
    "crota": CUT_OUT | DELT | {"CROTA2": 179.9298},
    "pc": CUT_OUT | DELT | {"PC1_1": COS, "PC1_2": -SIN, "PC2_1": SIN, "PC2_2": COS},
    "cd": CUT_OUT
    | {"CD1_1": SCALE * COS, "CD1_2": -SCALE * SIN, "CD2_1": SCALE * SIN, "CD2_2": SCALE * COS},
    "full disc": PLANE
    | {"CRPIX1": 30.61, "CRPIX2": 19.9, "CRVAL1": 0.0, "CRVAL2": 0.0, "CROTA2": 180.0134}
    | {"CDELT1": 50.0, "CDELT2": 50.0},
    "cea": {"CTYPE1": "CRLN-CEA", "CTYPE2": "CRLT-CEA", "CUNIT1": "degree", "CUNIT2": "degree"}
    | {"CRPIX1": 30.5, "CRPIX2": 20.5, "CRVAL1": 34.879105, "CRVAL2": -21.0769}
    | {"CDELT1": 0.0299999993, "CDELT2": 0.0299999993, "CROTA2": 0.0},
}


@pytest.fixture(params=WCSES)
def pair(request, tmp_path, caplog):
    """(path of an input, path of its output)."""
    caplog.set_level(logging.ERROR)  # without the warning about the disc's large pixels
    field = 300 * np.random.default_rng(0).standard_normal(SHAPE)
    source, target, tiny = (tmp_path / name for name in ("in.fits", "out.fits", "tiny.h5"))
    afits.writeto(source, field.astype("f4"), afits.Header(BASE | WCSES[request.param]))
    weights.save(tiny, weights.Weights(CONFIG, *params.initial(CONFIG, 0)))
    enhance_file(source, target, weights=tiny, device="cpu")
    return source, target


def shift(before: WCS, after: WCS) -> float:
    """Largest angle in arcsec between corners and centre of input and output."""
    h, w = SHAPE
    edges = np.array([[0, 0], [w, 0], [0, h], [w, h], [w / 2, h / 2]])
    vectors = []
    for wcs, factor in ((before, 1), (after, 2)):
        # FITS pixel 1 is the centre of the first pixel: its corner is at 0.5
        lon, lat = np.radians(wcs.wcs_pix2world(factor * edges + 0.5, 1)).T
        vectors.append([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return np.degrees(np.linalg.norm(np.subtract(*vectors), axis=0).max()) * 3600


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")  # sets MJD-OBS
def test_astropy(pair):
    before, after = (afits.getheader(path) for path in pair)
    assert shift(WCS(before), WCS(after)) < 1e-6
    for key in ("CRPIX1", "CRPIX2"):
        after[key] += 0.5  # as in the published program; the check must detect it
    assert shift(WCS(before), WCS(after)) > 0.1


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
def test_sunpy(pair):
    sunpy_map = pytest.importorskip("sunpy.map")
    from sunpy.map.sources import HMIMap

    before, after = (sunpy_map.Map(path) for path in pair)
    assert isinstance(after, HMIMap)
    assert after.data.shape == (2 * SHAPE[0], 2 * SHAPE[1])
    assert shift(before.wcs, after.wcs) < 1e-6
    for axis in (0, 1):
        np.testing.assert_allclose((before.scale[axis] / after.scale[axis]).value, 2, rtol=1e-12)
    for name in ("rsun_obs", "rsun_meters", "unit", "date", "measurement"):
        assert getattr(after, name) == getattr(before, name)
    assert before.observer_coordinate.separation_3d(after.observer_coordinate).value == 0
    assert after.meta["r_sun"] == 2 * before.meta["r_sun"]
    assert after.meta["rsun_obs"] == before.meta["rsun_obs"]
