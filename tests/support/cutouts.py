"""Cut-outs as JSOC serves them, with small images, and Maps of them."""

import numpy as np

LEVEL = {"intensity": 50_000.0, "blos": 0.0}
NOISE = {"intensity": 2_000.0, "blos": 300.0}
SHAPE = (40, 60)


def pixels(type, shape=SHAPE):
    noise = np.random.default_rng(5).standard_normal(shape)
    return (LEVEL[type] + NOISE[type] * noise).astype(np.float32)


def cards(type, wcs="crota"):
    """A header as JSOC writes it for a cut-out of hmi.Ic_45s or hmi.M_45s, with sizes for SHAPE."""
    header = {
        "SIMPLE": True, "BITPIX": 32, "NAXIS": 2, "NAXIS1": SHAPE[1], "NAXIS2": SHAPE[0],
        "TELESCOP": "SDO/HMI", "INSTRUME": "HMI_FRONT2", "DETECTOR": "HMI", "CAMERA": 2,
        "WAVELNTH": 6173.0, "WAVEUNIT": "angstrom", "CADENCE": 45.0, "QUALITY": 0,
        "CONTENT": {"intensity": "CONTINUUM INTENSITY", "blos": "MAGNETOGRAM"}[type],
        "BUNIT": {"intensity": "DN/s", "blos": "Gauss"}[type],
        "DATE-OBS": "2014-03-01T00:00:27.90", "T_OBS": "2014.03.01_00:01:25_TAI",
        "T_REC": "2014.03.01_00:01:30_TAI", "WCSNAME": "Helioprojective-cartesian",
        "DSUN_OBS": 148205511547.72, "RSUN_REF": 696000000, "RSUN_OBS": 968.660583,
        "R_SUN": 1920.79, "CRLN_OBS": 132.560135, "CRLT_OBS": -7.226688, "CAR_ROT": 2147,
        "DATAMIN": 7046.586426, "DATAMEAN": 49948.070312, "TOTVALS": 2400, "BLANK": -2147483648,
        "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
        "CRPIX1": 28.61, "CRPIX2": 1017.2, "CRVAL1": 2.48, "CRVAL2": -1.7,
        "CDELT1": 0.504302, "CDELT2": 0.504302, "CROTA2": 179.929779,
    }  # fmt: skip
    if wcs == "pc":
        del header["CROTA2"]
        header |= {"PC1_1": -0.8, "PC1_2": 0.6, "PC2_1": -0.6, "PC2_2": -0.8}
    return header


def hmi_map(type="intensity", data=None, wcs="crota", **keys):
    """An HMIMap of the cut-out, with text and comments in its meta."""
    import sunpy.map

    header = cards(type, wcs) | {"COMMENT": "one\ntwo", "HISTORY": "made at JSOC"} | keys
    header["KEYCOMMENTS"] = {"CRPIX1": "of the Sun's centre", "DATAMIN": "of the pixels"}
    made = sunpy.map.Map(pixels(type) if data is None else data, header)
    assert isinstance(made, sunpy.map.sources.HMIMap)
    return made
