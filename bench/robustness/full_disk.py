"""Enhances a full disk of 4096 x 4096, measures the peak memory and draws the limb.

    python -m bench.robustness.full_disk [--header HMI.fits] [--model default|small] [--folder DIR]
                                         [--nolimbdark] [--threads N]

Makes a file like those of JSOC (Rice-compressed int32 in extension 1, BLANK off the limb, CROTA2
near 180) of a limb-darkened disc with granulation and spots, with the cards of --header if given,
and runs `enhance-np predict` on it in its own process. It prints the peak memory, and the measured
quiet Sun and limb darkening beside the true ones, and draws the disc and the limb, input and
output. --nolimbdark makes a file like those of hmi.Ic_noLimbDark_720s, cut at the Sun's radius.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from enhance_np.observation import disc
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.sun.scene import scene

SIDE = 4096
LEVEL = 60_000.0  # DN/s
SKY, SKY_ENDS = 0.006, 1.0475  # stray light off the limb, up to so many radii
SPOTS = ((1500, 1700), (2600, 2300), (1100, 3000), (2050, 3840))  # the last is at the limb
CARDS = {
    "TELESCOP": "SDO/HMI", "INSTRUME": "HMI_FRONT2", "CONTENT": "CONTINUUM INTENSITY",
    "BUNIT": "DN/s", "T_REC": "2014.03.01_00:01:30_TAI", "DATE-OBS": "2014-03-01T00:00:27.90",
    "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
    "CRPIX1": 2038.85, "CRPIX2": 2051.84, "CRVAL1": 0.0, "CRVAL2": 0.0, "CDELT1": 0.504338,
    "CDELT2": 0.504338, "CROTA2": 180.0134, "RSUN_OBS": 968.660583, "RSUN_REF": 696000000.0,
    "DSUN_OBS": 148205511547.72, "CRLN_OBS": 132.560135, "CRLT_OBS": -7.226688, "QUALITY": 0,
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--header", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--nolimbdark", action="store_true")
    parser.add_argument("--threads", default="2")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    source, target = folder / "disk.fits", folder / "enhanced.fits"
    header = fits.Header(CARDS) if options.header is None else rescaled(options.header)
    write(source, made(header, options.nolimbdark), header)
    command = [sys.executable, "-m", "enhance_np", "predict", source, target, "--overwrite"]
    subprocess.run([*command, "--model", options.model, "--threads", options.threads], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    found = fits.getheader(target)
    print(f"peak memory {peak:.2f} GiB")
    print(f"level {found['ENHNORM']:.6g}, put in {1 if options.nolimbdark else LEVEL:.6g}")
    print(f"strength {found.get('ENHLIMB', 0):.4f}, put in {0 if options.nolimbdark else 1}")
    print("drawn in", draw(folder, fits.getdata(source, 1), fits.getdata(target)))


def rescaled(path):
    """The cards of an image of the whole Sun, for one of SIDE x SIDE."""
    with fits.open(path) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.is_image and len(hdu.shape) == 2)
        header = hdu.header.copy(strip=True)
        header.remove("BLANK", ignore_missing=True)
        for i in (1, 2):
            ratio = SIDE / hdu.shape[2 - i]
            header[f"CRPIX{i}"] = (header[f"CRPIX{i}"] - 0.5) * ratio + 0.5
            header[f"CDELT{i}"] /= ratio
    return header


def made(header, flat):
    """(SIDE, SIDE) float32 as HMI sees it, NaN where HMI has no pixels; flat : no darkening."""
    quiet, spot = (
        degrade(scene(3, (4 * n, 4 * n), HMI_SCALE / 4, kind)[0], HMI_SCALE / 4)[0]
        for n, kind in ((100, "quiet"), (110, "spot"))
    )
    quiet = np.tile(np.pad(quiet, (0, 100), mode="symmetric"), (21, 21))[:SIDE, :SIDE]
    taper = np.minimum(1, np.hanning(110) * 4)
    spots = np.ones((SIDE, SIDE), np.float32)
    for y, x in SPOTS:
        spots[y : y + 110, x : x + 110] += taper[:, None] * taper * (spot - 1)
    larger = header.copy()
    larger["RSUN_OBS"] = 2 * header["RSUN_OBS"]  # of which all pixels are inside
    at, radii = disc.locate(larger), np.linspace(0, 2, 2**16)
    image = np.empty((SIDE, SIDE), np.float32)
    law = profile(radii)
    for i in range(0, SIDE, 256):
        r = 2 * np.sqrt(1 - at(np.arange(i, i + 256), np.arange(SIDE)) ** 2)
        mu = np.sqrt(np.clip(1 - r * r, 0, None))
        # granulation loses its contrast to the limb; spots keep theirs
        lines = (1 + (quiet[i : i + 256] - 1) * mu) * spots[i : i + 256]
        lines *= LEVEL * np.interp(r, radii, law)
        if flat:
            lines = lines / (LEVEL * disc.limb_darkening(mu))
        image[i : i + 256] = np.where(r > (1.0 if flat else SKY_ENDS), np.nan, lines)
    return image


def profile(radii):
    """The profile of the limb seen through HMI's PSF, which differs within 12 arcsec of it."""
    side, finer, radius = 70, 8, 968.0
    x = (np.arange(side * finer) + 0.5) * HMI_SCALE / finer - side * HMI_SCALE / 2 + radius
    y = (np.arange(side * finer) + 0.5) * HMI_SCALE / finer - side * HMI_SCALE / 2
    r = np.hypot(x, y[:, None]) / radius
    sharp = np.where(r < 1, disc.limb_darkening(np.sqrt(np.clip(1 - r * r, 0, None))), SKY)
    blurred = degrade(sharp, HMI_SCALE / finer)[0][side // 2]
    at = np.hypot((np.arange(side) + 0.5 - side / 2) * HMI_SCALE + radius, HMI_SCALE / 2) / radius
    law = disc.limb_darkening(np.sqrt(np.clip(1 - np.minimum(radii, 1) ** 2, 0, None)))
    near = np.interp(radii, at, blurred)
    return np.where(radii < at[10], law, np.where(radii > at[-10], SKY, near))


def write(path, image, header):
    """As JSOC does: int32, BSCALE 3, Rice, in extension 1."""
    scale = 3.0 if np.nanmax(image) > 100 else 1 / 30000
    counts = np.where(np.isfinite(image), np.round(image / scale), -(2**31)).astype(np.int32)
    hdu = fits.CompImageHDU(counts, header, compression_type="RICE_1", tile_shape=(1, SIDE))
    hdu.header.update({"BSCALE": scale, "BZERO": 0.0, "BLANK": -(2**31)})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def draw(folder, image, output):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 22), layout="constrained")
    axes = figure.subplots(3, 2)
    boxes = [(0, SIDE, 0, SIDE), (1950, 2350, 3800, 3950), (2000, 2100, 3900, 4000)]
    for (y0, y1, x0, x1), row in zip(boxes, axes, strict=True):
        step = max(1, (y1 - y0) // 1000)
        for data, k, ax in ((image, 1, row[0]), (output, 2, row[1])):
            cut = data[k * y0 : k * y1 : k * step, k * x0 : k * x1 : k * step]
            if step == 1:
                cut = data[k * y0 : k * y1, k * x0 : k * x1]
            high = np.nanpercentile(cut, 99.9)
            ax.imshow(cut, origin="lower", cmap="gray", vmin=0, vmax=high, extent=(x0, x1, y0, y1))
            ax.set_facecolor("lightsteelblue")
    figure.savefig(folder / "disk.png", dpi=70)
    return folder / "disk.png"


if __name__ == "__main__":
    main()
