"""Files like those of JSOC: their cards, their storage, a small Sun of noise and a spot.

The cards are those of hmi.M_720s, 2016-07-07 01:00 TAI, without the list of its filtergrams.
"""

import gzip
from pathlib import Path

import numpy as np
from astropy.io import fits
from scipy.ndimage import gaussian_filter

BLANK = -(2**31)
SHAPE = (48, 64)
SCALE = 0.504337847  # arcsec
CENTRE = (2038.84863, 2051.8396)  # CRPIX of the full disc
CARDS = r"""
DATE    = '2017-11-10T03:05:52.000' / [ISO] HDU creation date
DATE-OBS= '2016-07-07T00:58:47.300' / [ISO] Observation date {DATE__OBS}
TELESCOP= 'SDO/HMI '           / Telescope
INSTRUME= 'HMI_COMBINED'       / For HMI: HMI_SIDE1, HMI_FRONT2, or HMI_COMBINED
WAVELNTH=                6173. / [angstrom] Wavelength
CAMERA  =                    3 / Camera
BUNIT   = 'Gauss   '           / Physical Units
ORIGIN  = 'SDO/JSOC-SDP'       / Origin
CONTENT = 'MAGNETOGRAM'        / Content
QUALITY =                    0 / Level 1.5 quality
QUALLEV1=                    0 / Level 1 quality
BLD_VERS= '-901    '           / Release build number
HCAMID  =                    2 / HMI_SEQ_ID_EXP_PATH
TOTVALS =             12087911 / Total values
DATAVALS=             12087911 / Data values
MISSVALS=                    0 / Missing values
SATVALS =                 7868 / Saturated values
DATAMIN2=  -4799.3212899999999 / [Gauss] Minimum value 2
DATAMAX2=   4799.3212899999999 / [Gauss] Maximum value 2
DATAMED2=          0.106117271 / [Gauss] Median value 2
DATAMEA2=  0.75823867300000003 / [Gauss] Mean value 2
DATARMS2=   44.842842099999999 / [Gauss] RMS 2
DATASKE2=   38.757217400000002 / [Gauss] Skewness 2
DATAKUR2=           8187.36816 / [Gauss] Kurtosis 2
DATAMIN =  -995.97314500000005 / [Gauss] Minimum value
DATAMAX =   994.07788100000005 / [Gauss] Maximum value
DATAMEDN=          0.163408995 / [Gauss] Median value
DATAMEAN=  0.65489423300000005 / [Gauss] Mean value from pixels within 99% of so
DATARMS =   18.145557400000001 / [Gauss] RMS
DATASKEW=   3.5382356599999998 / [Gauss] Skewness
DATAKURT=   281.37707499999999 / [Gauss] Kurtosis
CTYPE1  = 'HPLN-TAN'           / HPLN
CTYPE2  = 'HPLT-TAN'           / HPLT
CRPIX1  =           2038.84863 / [pixel] location of the Sun center in CCD x dir
CRPIX2  =   2051.8395999999998 / [pixel] location of the Sun center in CCD y dir
CRVAL1  =                   0. / [arcsec] x origin
CRVAL2  =                   0. / [arcsec] y origin
CDELT1  =  0.50433784699999995 / [arcsec/pixel] image scale in the x direction
CDELT2  =  0.50433784699999995 / [arcsec/pixel] image scale in the y direction
CUNIT1  = 'arcsec  '           / [arcsec] Physical units of CRVAL1/CDELT1
CUNIT2  = 'arcsec  '           / [arcsec] Physical units of CRVAL2/CDELT2
CROTA2  =   180.01336699999999 / [deg] INST_ROT + SAT_ROT
CRDER1  =                   0. / [arcsec] estimate of random error in coordinate
CRDER2  =                   0. / [arcsec] estimate of random error in coordinate
CSYSER1 =                      / [arcsec] (MISSING) estimate of systematic error
CSYSER2 =                      / [arcsec] (MISSING) estimate of systematic error
WCSNAME = 'Helioprojective-cartesian' / WCS system name
DSUN_OBS=   152093947186.01578 / [m] Distance from SDO to Sun center.
DSUN_REF=        149597870691. / [m] Astronomical Unit
RSUN_REF=           696000000. / [m] Reference radius of the Sun: 696,000,000.0
CRLN_OBS=           312.437164 / [deg] Carrington longitude of the observer
CRLT_OBS=   3.5560345600000001 / [deg] Carrington latitude of the observer
CAR_ROT =                 2179 / Carrington rotation number of CRLN_OBS
OBS_VR  =   2323.2315666771929 / [m/s] velocity of the observer in radial direct
OBS_VW  =   29399.299620843773 / [m/s] velocity of the observer solar
OBS_VN  =   5184.7625607160007 / [m/s] velocity of the observer solar
RSUN_OBS=   943.89569091796875 / [arcsec] angular radius of Sun. Corresponds to
T_OBS   = '2016.07.07_01:00:08.326_TAI' / [TAI] nominal time
T_REC   = '2016.07.07_01:00:00.000_TAI' / [TAI] Slot time
TRECEPOC= '1993.01.01_00:00:00.000_TAI' / [TAI] Time of origin {T_REC_epoch}
TRECSTEP=                 720. / [seconds] ts_eq step {T_REC_step}
TRECUNIT= 'secs    '           / ts_eq unit {T_REC_unit}
CADENCE =                 720. / [seconds] Observation cadence
DATASIGN=                    1 / sign of observable quantity wrt Sun center
HFLID   =                 1022 / HMI_SEQ_ID_FRAMELIST
HCFTID  =                   11 / HMI_SEQ_ID_FOCUS
QLOOK   =                    0 / 0=final data, 1=quick
CAL_FSN =            104314890 / Lookup table filtergram serial number
LUTQUERY= 'hmi.lookup_corrected_expanded[104314890][][2][37][50][0][79][6]' / qu
TSEL    =           21.9901333 / [degree Celsius] temperature keyword for polari
TFRONT  =   32.559623700000003 / [degree Celsius] temperature keyword for polari
TINTNUM =                  672 / Number of source filtergrams
SINTNUM =                   10 / number of points used for the spatial interpola
DISTCOEF= '/home/jsoc/cvs/Development/JSOC/proj/lev1.5_hmi/apps//../libs/lev15/'
ROTCOEF = '/home/jsoc/cvs/Development/JSOC/proj/lev1.5_hmi/apps//../libs/lev15/'
ODICOEFF=                    6 / order of the distortion
OROCOEFF=                    4 / order of the differential
POLCALM =                    1 / method used by the polarization calibration sub
CODEVER0= '$Id: HMI_IQUV_averaging.c,v 1.55 2017/10/11 16:40:58 yliu Exp $' / ve
CODEVER1= '$Id: interpol_code.c,v 1.6 2017/08/31 22:17:13 arta Exp $' / version
CODEVER2= '$Id: interpol_code.c,v 1.6 2017/08/31 22:17:13 arta Exp $' / version
CODEVER3= '$Id: polcal.c,v 1.8 2016/10/03 19:11:21 arta Exp $' / version of the
CALVER64=               270610 / Calibration version information
RECNUM  =               495257 / Recnum
DRMS_ID = 'hmi.M_720s:495257:magnetogram' / DRMS ID
PRIMARYK= 'T_REC, CAMERA'      / DRMS primary key
LICENSE = 'LICENSE '           / CC0 1.0
HEADSUM = '9kHlCj9l9jGlCj9l'   / Keyword checksum
"""


def header(series: str = "hmi.M_720s", segment: str = "magnetogram", **cards) -> fits.Header:
    """Header of a cut-out of SHAPE about 400 arcsec from disc centre, as `series` writes it.

    segment : "magnetogram" or "continuum".  cards : set on top; None takes a card away.
    """
    made = fits.Header.fromstring(CARDS.strip(), sep="\n")
    made["CRPIX1"], made["CRPIX2"] = -700.25, 412.5
    if segment == "continuum":
        made["CONTENT"], made["BUNIT"] = "CONTINUUM INTENSITY", "DN/s"
    if "45s" in series:
        made["CADENCE"], made["INSTRUME"], made["CAMERA"] = 45.0, "HMI_FRONT2", 2
    if "sharp" in series:
        made["CONTENT"] = "HMI observable"
        if segment == "magnetogram":
            made["BUNIT"] = "Mx/cm^2"
        made["HARPNUM"], made["NPIX"], made["IMCRPIX1"] = 6555, 1800, CENTRE[0]
        made["CRSIZE1"], made["CRSIZE2"] = SHAPE[1], SHAPE[0]
    if "cea" in series:
        made["CTYPE1"], made["CTYPE2"] = "CRLN-CEA", "CRLT-CEA"
        made["CUNIT1"] = made["CUNIT2"] = "degree"
        made["CRPIX1"], made["CRPIX2"] = (SHAPE[1] + 1) / 2, (SHAPE[0] + 1) / 2
        made["CRVAL1"], made["CRVAL2"] = 330.25, 11.5
        made["CDELT1"] = made["CDELT2"] = 0.0299999993
        made["CROTA2"], made["WCSNAME"] = 0.0, "Carrington Heliographic"
        del made["CRSIZE*"]
    made["DRMS_ID"] = f"{series}:495257:{segment}"
    for key, value in cards.items():
        if value is None:
            made.remove(key)
        else:
            made[key] = value
    return made


def field(shape=SHAPE, seed: int = 0) -> np.ndarray:
    """G, float32: noise of 10 G and two polarities; the left corner is off the limb, NaN."""
    rng = np.random.default_rng(seed)
    blobs = gaussian_filter(rng.standard_normal(shape), 4)
    data = 10 * rng.standard_normal(shape) + 300 * blobs / blobs.std()
    data[np.add.outer(np.arange(shape[0]), np.arange(shape[1])) < 9] = np.nan
    return np.round(data, 1).astype(np.float32)


def intensity(shape=SHAPE, level: float = 50_000.0, seed: int = 0) -> np.ndarray:
    """In units of which quiet Sun is `level`, float32: granules, a spot, the same corner NaN."""
    rng = np.random.default_rng(seed)
    granules = gaussian_filter(rng.standard_normal(shape), 1)
    y, x = np.indices(shape)
    spot = np.exp(-(((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2) / 50.0))
    data = level * (1 + 0.04 * granules / granules.std() - 0.8 * spot)
    data[np.add.outer(np.arange(shape[0]), np.arange(shape[1])) < 9] = np.nan
    return data.astype(np.float32)


def full_disc(level: float = 50_000.0) -> np.ndarray:
    """(4096, 4096) limb-darkened disc at CENTRE, NaN off it; linear law, 0.56 at 617 nm."""
    radius = 943.89569 / SCALE
    x, y = (np.arange(1, 4097) - c for c in CENTRE)
    mu = np.sqrt(np.maximum(1 - (x**2 + y[:, None] ** 2) / radius**2, 0))
    grain = np.random.default_rng(0).standard_normal((64, 64)).repeat(2, 0).repeat(2, 1)
    data = level * (1 - 0.56 * (1 - mu)) * (1 + 0.03 * np.tile(grain, (32, 32)))
    data[mu == 0] = np.nan
    return data.astype(np.float32)


def rice(path: Path, data: np.ndarray, header: fits.Header, bscale=0.1, bzero=0.0) -> None:
    """Tile-compressed int32 in extension 1, BSCALE, BZERO, NaN as BLANK: as JSOC exports.

    bscale : 1, with bzero 0: no such cards are written.
    """
    stored = np.where(np.isnan(data), 0, np.rint((data.astype(float) - bzero) / bscale))
    stored = np.where(np.isnan(data), BLANK, stored).astype(np.int32)
    header = header.copy()
    header["BLANK"] = BLANK
    fits.CompImageHDU(stored, header, compression_type="RICE_1").writeto(path)
    if (bscale, bzero) != (1, 0):
        # astropy would scale the pixels; these are scaled already
        with fits.open(path, mode="update", disable_image_compression=True) as hdus:
            hdus[1].header["BSCALE"], hdus[1].header["BZERO"] = bscale, bzero


def plain(path: Path, data: np.ndarray, header: fits.Header) -> None:
    fits.PrimaryHDU(data, header).writeto(path)


def zipped(path: Path, write, *arguments) -> None:
    """The file of `write`, gzipped."""
    loose = path.with_suffix("")
    write(loose, *arguments)
    path.write_bytes(gzip.compress(loose.read_bytes()))
    loose.unlink()


def broken(path: Path, data: np.ndarray, header: fits.Header, changes: dict[str, str]) -> None:
    """A plain file whose cards of these names are overwritten as text, standard or not."""
    plain(path, data, header)
    content = path.read_bytes()
    for key, text in changes.items():
        at = content.index(f"{key:<8}= ".encode())
        content = content[:at] + f"{text:<80}".encode() + content[at + 80 :]
    path.write_bytes(content)
