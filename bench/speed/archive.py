"""What does an archive of full disks cost: processor time, memory and disk space?

    python -m bench.speed.archive [--disks 3] [--side 4096] [--model default|small] [--compress]
                                  [--images 700000]

Makes disks with the limb darkening of a continuum image and noise of 3 %, in whole numbers,
Rice-compressed as JSOC serves them, and runs `enhance-np predict` on the folder: reading, the
network, checksums, sha256 and writing. Processor time (user and system) is reported beside the time
on the clock, because it hardly depends on what else runs. The start of the process, with the
loading of the kernels, is in both; a first run on one small image fills their cache. The last line
gives processor time and space for `--images` images.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from astropy.io import fits

from enhance_np.instrument import HMI
from enhance_np.observation.disc import limb_darkening

RADIUS = 944.0  # arcsec, at the Earth's mean distance
QUIET_SUN = 60_000  # DN/s
BLANK = -(2**31)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disks", type=int, default=3)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--model", default="default")
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--images", type=int, default=700_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for name, count, side in (("first", 1, 64), ("disks", options.disks, options.side)):
            (folder / name).mkdir()
            for number in range(count):
                disk(folder / name / f"{number}.fits", side, number)
        predict(folder / "first", folder / "warm", options)
        used = predict(folder / "disks", folder / "out", options)
        sizes = [path.stat().st_size for path in (folder / "out").glob("*.fits*")]
    assert len(sizes) == options.disks
    seconds, clock, space = used["cpu"] / len(sizes), used["clock"] / len(sizes), np.mean(sizes)
    print(
        f"{options.side} x {options.side}, {options.model} network, {os.cpu_count()} cores, load "
        f"{used['load']:.1f} before: {seconds:.1f} s of processor and {clock:.1f} s on the clock "
        f"per image, {used['peak'] / 2**30:.2f} GiB at most, {space / 1e6:.0f} MB per output"
    )
    print(
        f"{options.images} images: {options.images * seconds / 86400 / 365.25:.1f} core-years, "
        f"{options.images * space / 1e12:.0f} TB"
    )


def disk(path, side, seed):
    """A full disk; fewer pixels are larger ones."""
    scale = HMI.pixel_scale * 4096 / side
    axis = ((np.arange(side) - (side - 1) / 2) * scale / RADIUS).astype(np.float32)
    mu = np.sqrt(np.clip(1 - axis[:, None] ** 2 - axis**2, 0, 1))
    noise = np.random.default_rng(seed).standard_normal((side, side), np.float32)
    data = np.rint(QUIET_SUN * limb_darkening(np.maximum(mu, 0.01)) * (1 + 0.03 * noise))
    data = np.where(mu > 0, data, BLANK).astype(np.int32)
    header = fits.Header(
        {
            "TELESCOP": "SDO/HMI", "CONTENT": "CONTINUUM INTENSITY", "BUNIT": "DN/s",
            "DATE-OBS": "2014-07-05T01:00:00", "RSUN_OBS": RADIUS,
            "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
            "CRPIX1": (side + 1) / 2, "CRPIX2": (side + 1) / 2, "CRVAL1": 0.0, "CRVAL2": 0.0,
            "CDELT1": scale, "CDELT2": scale,
        }
    )  # fmt: skip
    packed = fits.CompImageHDU(data, header, compression_type="RICE_1")
    packed.header["BLANK"] = BLANK
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)


def predict(source, target, options):
    """Seconds of processor and clock, peak bytes, and the machine's load before."""
    words = [sys.executable, "-m", "enhance_np", "predict", source, "--out-dir", target, "--quiet"]
    words += ["--model", options.model, *(["--compress"] if options.compress else [])]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    load = os.getloadavg()[0]
    subprocess.run(words, check=True)
    clock, after = perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "clock": clock, "peak": 1024 * after.ru_maxrss, "load": load}


if __name__ == "__main__":
    main()
