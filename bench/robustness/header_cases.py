"""The files that headers.py tests, and how each must be treated."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.io import fits

from bench.robustness import jsoc
from bench.robustness.jsoc import broken, header, plain, rice, zipped
from enhance_np import models
from enhance_np.observation import fits as our_fits


class Kind(NamedTuple):
    what: str
    name: str  # of the file
    make: Callable[[Path], None]
    options: dict  # of enhance_file
    outcome: str  # "enhanced", "warned" or "refused"
    says: str  # regular expression that the warning or the refusal begins with


def made() -> Iterator[Kind]:
    """One file of every kind; all are small except the full disc, which is the first."""
    field, light, flat = jsoc.field(), jsoc.intensity(), jsoc.intensity(level=1.0)
    counts = {"bscale": 3.0, "bzero": 97304.0}

    def kind(what, name, make, outcome="enhanced", says="", **options):
        return Kind(what, name, make, options, outcome, says)

    def archive(what, series, data, scaling=None, outcome="enhanced", says="", **cards):
        segment = "magnetogram" if data is field else "continuum"
        make = partial(rice, data=data, header=header(series, segment, **cards), **(scaling or {}))
        return kind(what, f"{series}.20160707_010000_TAI.{segment}.fits", make, outcome, says)

    def magnetogram(what, name, outcome="enhanced", says="", **cards):
        return kind(what, name, partial(plain, data=field, header=header(**cards)), outcome, says)

    # --- series

    disc = header("hmi.Ic_45s", "continuum", CRPIX1=jsoc.CENTRE[0], CRPIX2=jsoc.CENTRE[1])
    yield kind(
        "45 s continuum, full disc",
        "hmi.Ic_45s.20160707_010000_TAI.2.continuum.fits",
        lambda path: rice(path, jsoc.full_disc(), disc, **counts),
    )
    yield archive("720 s continuum", "hmi.Ic_720s", light, counts)
    north_up = {"CROTA2": 0.013, "CRPIX1": 748.5, "CRPIX2": -310.75}
    scaling = {"bscale": 1 / 30000, "bzero": 1.0}
    yield archive(
        "720 s continuum without limb darkening, north up",
        "hmi.Ic_noLimbDark_720s",
        flat,
        scaling,
        BUNIT=None,
        **north_up,
    )
    yield archive("45 s magnetogram", "hmi.M_45s", field, CROTA2=179.93)
    yield archive("720 s magnetogram", "hmi.M_720s", field)
    yield archive("720 s magnetogram, near real time", "hmi.M_720s_nrt", field, QLOOK=1)
    patches = "Tracked Extracted Patches, made by im_patch"
    yield archive(
        "JSOC's cut-out, north up",
        "hmi.M_720s_mod",
        field,
        CONTENT=patches,
        XCEN=-371.2,
        **north_up,
    )
    yield archive("SHARP, magnetogram", "hmi.sharp_720s", field)
    yield archive("SHARP, continuum", "hmi.sharp_720s", light, counts)
    remapped = {"outcome": "warned", "says": "is a map: .*hmi.sharp_720s"}
    yield archive("SHARP on a CEA map, magnetogram", "hmi.sharp_cea_720s", field, **remapped)
    yield archive(
        "SHARP on a CEA map, continuum, _BUNIT",
        "hmi.sharp_cea_720s",
        light,
        counts,
        BUNIT=None,
        _BUNIT="DN/s",
        **remapped,
    )

    # --- storage

    m = header()
    yield kind("Rice, .fz", "m.fits.fz", partial(rice, data=field, header=m))
    yield kind("Rice, gzipped", "m.fits.gz", lambda path: zipped(path, rice, field, m))
    whole = partial(rice, data=np.round(field), header=m, bscale=1, bzero=0)
    yield kind("Rice, BLANK, no BSCALE", "whole.fits", whole)
    yield kind("big-endian float64", "double.fits", lambda path: plain(path, field.astype("f8"), m))
    short = np.nan_to_num(field).astype(np.int16)
    yield kind("int16", "short.fits", lambda path: plain(path, short, m))
    third = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(short), fits.ImageHDU(field, m)])
    yield kind("image in HDU 2, `--ext 2`", "third.fits", third.writeto, ext=2)
    yield kind("last block not padded", "unpadded.fits", lambda path: _part(path, field, m, True))
    old = {
        "CRDER1": "CRDER1  = nan",
        "QUALLEV1": "QUALLEV1= 2.714760e+22",
        "RECNUM": f"BLANK   = {jsoc.BLANK:>20}",
    }
    yield kind(
        "nan and 2e+22 unquoted, BLANK with floats",
        "old.fits",
        lambda path: broken(path, field, m, old),
    )

    # --- WCS

    turn = np.array([[-0.8, 0.6], [-0.6, -0.8]])
    names = [(i, j) for i in (1, 2) for j in (1, 2)]
    pc = {f"PC{i}_{j}": turn[i - 1, j - 1] for i, j in names}
    cd = {f"CD{i}_{j}": jsoc.SCALE * turn[i - 1, j - 1] for i, j in names}
    yield magnetogram("PC matrix", "pc.fits", CROTA2=None, **pc)
    yield magnetogram("CD matrix", "cd.fits", CROTA2=None, CDELT1=None, CDELT2=None, **cd)
    degrees = {f"CDELT{i}": jsoc.SCALE / 3600 for i in (1, 2)} | {"CUNIT1": "deg", "CUNIT2": "deg"}
    yield magnetogram("WCS in degrees", "degrees.fits", **degrees)
    bare = fits.Header()
    # of strong fields alone, as a Dopplergram looks
    guess = {"outcome": "warned", "says": "type guessed from the values alone: blos"}
    make = partial(plain, data=field, header=bare)
    yield kind("bare, a field", "bare_field.fits", make, **guess)
    yield kind("bare, an intensity", "bare.fits", partial(plain, data=flat, header=bare))

    # --- type and unit

    silent = header(CONTENT=None, BUNIT=None, DRMS_ID=None)
    yield magnetogram("no BUNIT", "no_bunit.fits", BUNIT=None)
    yield magnetogram("no CONTENT", "no_content.fits", CONTENT=None)
    make = partial(plain, data=field, header=silent)
    yield kind("neither: by its values", "neither.fits", make, **guess)
    for unit, in_gauss in (("kG", 1e3), ("T", 1e4)):
        make = partial(plain, data=field / in_gauss, header=header(BUNIT=unit))
        yield kind(f"a field in {unit}", f"{unit}.fits", make)
    unsaid = partial(plain, data=field / 1e3, header=silent)
    says = "names no unit of field"
    yield kind("in kG, unsaid, `--type blos`", "unsaid.fits", unsaid, "warned", says, type="blos")
    says = "image_type: cannot tell intensity from magnetogram, so the type must be given"
    umbra = partial(plain, data=1800 + np.nan_to_num(field) / 10, header=silent)
    yield kind("neither, one polarity", "umbra.fits", umbra, "refused", says)
    yield kind("the same, `--type blos`", "umbra2.fits", umbra, type="blos")
    words = header(CONTENT="CONTINUUM INTENSITY", BUNIT="Gauss")
    conflict = partial(plain, data=light, header=words)
    yield kind("CONTENT against BUNIT", "conflict.fits", conflict, "refused", says)
    yield kind("the same, `--type intensity`", "conflict2.fits", conflict, type="intensity")
    wrong = partial(plain, data=light, header=header(CONTENT=None))
    yield kind("BUNIT against the values", "values.fits", wrong, "refused", says)
    other = {"CONTENT": "DOPPLERGRAM", "BUNIT": "m/s"}
    says = "image_type: needs a continuum image or a line-of-sight magnetogram"
    yield magnetogram("Dopplergram", "hmi.V_720s.fits", "refused", says, **other)
    says = "image_type: the type given must match the file"
    make = partial(plain, data=field, header=m)
    yield kind("`--type intensity`, a field", "m.fits", make, "refused", says, type="intensity")

    # --- what a user should know

    says = "QUALITY=0x00000500: cosmic rays not removed from every filtergram; eclipse"
    yield magnetogram("QUALITY", "eclipse.fits", "warned", says, QUALITY=0x500)
    says = "QUALITY=0x00010400: see the documentation"
    text = {"HARPNUM": 7115, "QUALITY": "0x00010400"}
    yield magnetogram("QUALITY of a SHARP, as text", "sharp.fits", "warned", says, **text)
    says = "has been deconvolved before"
    name = "hmi.M_720s_dconS.20160707_010000_TAI.magnetogram.fits"
    yield magnetogram("deconvolved series, by name", name, "warned", says)
    record = {"DRMS_ID": "hmi.M_720s_dcon:17:magnetogram"}
    yield magnetogram("deconvolved series, by DRMS_ID", "download.fits", "warned", says, **record)
    calver = {"CALVER64": 270610 | 2 << 20}
    yield magnetogram("deconvolved, by CALVER64", "calver.fits", "warned", says, **calver)
    again = {"ENHMODEL": "5 blocks, 64 filters"}
    yield magnetogram("an output of enhance_np", "enhanced.fits", "warned", says, **again)
    binned = {f"CDELT{i}": 2 * jsoc.SCALE for i in (1, 2)}
    yield magnetogram("binned 2 x 2", "binned.fits", "warned", "has pixels of 1.01", **binned)
    high = {"CDELT2": 2 * jsoc.SCALE}
    says = "has pixels of 0.504 x 1.01"
    yield magnetogram("binned along one axis", "aniso.fits", "warned", says, **high)
    mdi = {"TELESCOP": "SOHO", "INSTRUME": "MDI", "CAMERA": "MDI", "DRMS_ID": None}
    mdi |= {"CDELT1": 1.98, "CDELT2": 1.98}
    says = "require_hmi: the shipped weights are for HMI"
    yield magnetogram("SOHO/MDI", "mdi.fd_M_96m_lev182.fits", "refused", says, **mdi)
    make = partial(plain, data=field, header=header(**mdi))
    own = models.path("blos", "small")
    unfit = "has pixels of 1.98"
    yield kind("SOHO/MDI, `--weights` given", "mdi.fits", make, "warned", unfit, weights=own)
    gong = {"TELESCOP": "NSO-GONG", "INSTRUME": None, "CAMERA": None, "DRMS_ID": None}
    yield magnetogram("GONG", "gong.fits", "refused", says, **gong)

    # --- beyond repair

    says = "rescaled_header: CRPIX1 must be a number"
    yield magnetogram("text where the WCS needs a number", "t.fits", "refused", says, CRPIX1="mid")
    says = "read: needs a whole FITS file"
    cut = partial(_part, data=field, header=m, all_pixels=False)
    yield kind("cut short", "cut.fits", cut, "refused", says)
    cube = partial(plain, data=np.stack([field, field]), header=bare)
    says = "read: needs an HDU with a 2-D image"
    yield kind("a cube", "cube.fits", cube, "refused", says)


# real headers among sunpy's test data: how they are treated
SHIPPED = {
    "hmi_sharp_magnetogram": ("enhanced", ""),
    "hmi_cea_sharp_magnetogram": ("warned", "is a map: "),
    "hmi_bharp_vlos_mag": ("refused", "image_type: "),
    "hmi_synoptic": ("refused", "image_type: "),
    "mdi.fd_Ic.20101015_230100_TAI.data": ("refused", "require_hmi: "),
    "mdi.fd_M_96m_lev182.20101015_191200_TAI.data": ("refused", "require_hmi: "),
    "gong_magnetogram": ("refused", "require_hmi: "),
    "HinodeSOT": ("refused", "require_hmi: "),
}


def shipped() -> Iterator[Kind]:
    """The real headers of sunpy's tests, with artificial pixels."""
    import sunpy

    for name, (outcome, says) in SHIPPED.items():
        path = Path(sunpy.__file__).parent / "data" / "test" / f"{name}.header"
        if not path.exists():  # in another version of sunpy
            continue
        cards = fits.Header.fromstring(path.read_text(), sep="\n")
        for key in ("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM"):
            cards.remove(key, ignore_missing=True)
        light = "Ic" in name or "SOT" in name
        data = jsoc.intensity() if light else jsoc.field()
        make = partial(plain, data=data, header=cards)
        yield Kind(f"sunpy's {name}", f"{name}.fits", make, {}, outcome, says)


def _part(path, data, header, all_pixels):
    """A plain file that ends after its last pixel, or within the pixels."""
    plain(path, data, header)
    with fits.open(path) as hdus:
        start = hdus.fileinfo(0)["datLoc"]
    path.write_bytes(path.read_bytes()[: start + (data.nbytes if all_pixels else 2000)])


def real(folders: list[Path]) -> Iterator[Kind]:
    """Every FITS file below `folders`."""
    for path in sorted(p for folder in folders for p in folder.rglob("*.fits*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame = our_fits.read(path)
        said = [frame.header.get(key) for key in ("TELESCOP", "DRMS_ID", "CTYPE1")]
        what = ", ".join(str(value).split(":")[0] for value in said if value) or "bare"
        yield Kind(what, path.name, lambda to, path=path: to.symlink_to(path), {}, "", "")
