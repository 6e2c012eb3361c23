"""How similar is the synthetic Sun to observed fields and to MURaM's?

    python -m bench.quality.synthetic_sun --fields DIR [--figure PNG] [--scenes N]
    python -m bench.quality.synthetic_sun --fields DIR --calibrate

DIR has muram_quiet_continuum.npy (0.0662 arcsec per pixel), muram_{030,100,200}G_{ic,bz}.fits
(0.0287) and hinode_sp_sunspot_continuum.fits (0.32); missing files are left out. Prints tables: the
histogram and the power spectrum of quiet granulation, the tails of the field's histogram for planes
that start with a uniform field as MURaM's runs did, a sunspot as Hinode would see it, and the time
of one frame. --figure draws them side by side. Exit status 1 if the power spectrum is wrong by a
factor of 1.5 or more between 0.1 and 2 cycles per arcsec.

--calibrate prints the tables of enhance_np/sun/granulation.py. They are measured on MURaM's rows
0 to 673, which training uses; the others are for validation.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from bench.shared.table import markdown
from enhance_np._random import stream
from enhance_np.optics.degrade import convolve, degrade
from enhance_np.optics.psf import airy
from enhance_np.sun import granulation as light
from enhance_np.sun.convection import SPACING, convection
from enhance_np.sun.plane import Plane
from enhance_np.sun.scene import scene

TRAINING_ROWS = 674
# cycles per arcsec; up to JUDGED the ratio must be within FACTOR
BANDS = np.concatenate([np.geomspace(0.1, 2, 10), np.geomspace(2.8, 5.6, 3)])
JUDGED = 2.0
FACTOR = 1.5
PERCENTILES = (0.1, 1, 5, 25, 50, 75, 95, 99, 99.9)
GAUSS = (50, 100, 200, 400, 800, 1200, 1500)
# uniform field to begin with, so that its mean comes out near that of the run it is held against
BEGIN = {30: 35, 100: 88, 200: 150}
MURAM_PLAGE = 20.833 / 725.3  # arcsec per pixel


def spectrum(image, spacing, bands):
    """Mean power per (cycle / arcsec)^2 in bands of frequency; a Hann window keeps edges out."""
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    seen = (image - image.mean()) * window / np.sqrt((window**2).mean())
    power = np.abs(np.fft.rfft2(seen)) ** 2 * spacing**2 / seen.size
    fy, fx = np.fft.fftfreq(image.shape[0], spacing), np.fft.rfftfreq(image.shape[1], spacing)
    at = np.digitize(np.hypot(fy[:, None], fx).ravel(), bands)
    count = np.bincount(at, minlength=len(bands) + 1)
    total = np.bincount(at, power.ravel(), len(bands) + 1)
    return total[1:-1] / np.maximum(count[1:-1], 1)


def muram(fields):
    quiet = np.load(fields / "muram_quiet_continuum.npy").astype(float)
    return quiet / quiet.mean()


def quiet_tables(quiet, scenes):
    """Prints both; True if the spectrum is within the factor."""
    images = [image for image, _ in scenes]
    rows = [["mean", "1", f"{np.mean(images):.4f}"]]
    rows += [["rms contrast, %", f"{100 * quiet.std():.2f}", f"{100 * np.std(images):.2f}"]]
    rows += [
        [f"percentile {p}", f"{np.percentile(quiet, p):.3f}", f"{np.percentile(images, p):.3f}"]
        for p in PERCENTILES
    ]
    skew = [((a - a.mean()) ** 3).mean() / a.std() ** 3 for a in (quiet, np.array(images))]
    rows += [["skewness", *(f"{s:.3f}" for s in skew)]]
    seen = [degrade(a.astype(float), SPACING) for a in (quiet, *images)]
    for i, name in enumerate(("as HMI", "as 28 cm")):
        contrast = [100 * pair[i].std() / pair[i].mean() for pair in seen]
        rows.append([f"contrast {name}, %", f"{contrast[0]:.2f}", f"{np.mean(contrast[1:]):.2f}"])
    print(markdown(["quiet intensity", "MURaM", "synthetic"], rows), end="\n\n")
    want = spectrum(quiet, SPACING, BANDS)
    each = np.array([spectrum(a, SPACING, BANDS) for a in images]) / want
    ratio = each.mean(axis=0)
    rows = []
    good = True
    for low, high, p, r, all_ in zip(BANDS, BANDS[1:], want, ratio, each.T, strict=False):
        judged = high < 1.001 * JUDGED
        good &= not judged or 1 / FACTOR < r < FACTOR
        spread = f"{all_.min():.2f} to {all_.max():.2f}"
        rows.append([f"{low:.2f} to {high:.2f}", f"{p:.2e}", f"{r:.2f}", spread])
    header = ["cycles per arcsec", "MURaM's power", "synthetic over it", "of single scenes"]
    print(markdown(header, rows), end="\n\n")
    return good


def read(path):
    from astropy.io import fits

    return fits.getdata(path).astype(float)


def coarser(image):
    """MURaM's plage on pixels of 0.0662 arcsec."""
    ratio = MURAM_PLAGE / SPACING
    return zoom(gaussian_filter(image, 0.35 * np.sqrt(ratio**-2 - 1)), ratio, order=1)


def plage_pairs(fields):
    """gauss -> (MURaM's, synthetic), each (intensity, field), all on pixels of 0.0662 arcsec."""
    pairs = {}
    for gauss, begin in BEGIN.items():
        paths = [fields / f"muram_{gauss:03d}G_{name}.fits" for name in ("ic", "bz")]
        if not all(path.is_file() for path in paths):
            continue
        plane = Plane((256, 256), 2 * SPACING)
        plane, state = convection(stream(0, "bench", gauss), plane, np.full(plane.shape, begin))
        found = light.with_field(
            stream(0, "bench elements", gauss), plane, state, light.granulation(plane, state)
        )
        pairs[gauss] = ([coarser(read(path)) for path in paths], found)
    return pairs


def plage_table(pairs):
    header = ["vertical field", *(f"{g} G: {who}" for g in pairs for who in ("MURaM", "synthetic"))]
    both = [images for pair in pairs.values() for images in pair]
    rows = [
        ["mean, G", *(f"{b.mean():.0f}" for _, b in both)],
        ["mean unsigned, G", *(f"{np.abs(b).mean():.0f}" for _, b in both)],
        ["rms, G", *(f"{b.std():.0f}" for _, b in both)],
    ]
    for gauss in GAUSS:
        rows.append(
            [f"area above {gauss} G, %", *(f"{100 * (b > gauss).mean():.2f}" for _, b in both)]
        )
    for gauss in GAUSS[1:3]:
        rows.append(
            [f"area below -{gauss} G, %", *(f"{100 * (b < -gauss).mean():.2f}" for _, b in both)]
        )
    rows.append(["mean intensity", *(f"{i.mean():.3f}" for i, _ in both)])
    rows.append(["rms intensity, %", *(f"{100 * i.std():.1f}" for i, _ in both)])
    for low, high in ((0, 20), (200, 400), (600, 1000), (1000, 1400), (1400, 2000)):
        cells = []
        for i, b in both:
            at = (np.abs(b) >= low) & (np.abs(b) < high)
            cells.append(f"{i[at].mean():.2f} ± {i[at].std():.2f}" if at.sum() > 20 else "–")
        rows.append([f"intensity, {low} to {high} G", *cells])
    print(markdown(header, rows), end="\n\n")


def spot_pair(fields):
    """(Hinode's spot, a synthetic one as Hinode would see it): intensity, 0.32 arcsec per pixel."""
    path = fields / "hinode_sp_sunspot_continuum.fits"
    if not path.is_file():
        return None
    intensity, _ = scene(5, (1200, 1100), SPACING, "spot")
    seen = convolve(intensity, airy(SPACING, 0.5))
    return read(path) / 188, zoom(seen, SPACING / 0.32, order=3, grid_mode=True, mode="nearest")


def spot_table(pair):
    rows = {"umbra over spot, area": [], "umbra, mean": [], "umbra, darkest": []}
    rows |= {"penumbra, mean": [], "penumbra, rms": []}
    for image in pair:
        spot = gaussian_filter(image, 3) < 0.86
        dark = (gaussian_filter(image, 1) < 0.45) & spot
        bright = spot & (gaussian_filter(image, 2) > 0.55)
        rows["umbra over spot, area"].append(f"{dark.sum() / spot.sum():.2f}")
        rows["umbra, mean"].append(f"{image[dark].mean():.3f}")
        rows["umbra, darkest"].append(f"{image.min():.3f}")
        rows["penumbra, mean"].append(f"{image[bright].mean():.3f}")
        rows["penumbra, rms"].append(f"{image[bright].std():.3f}")
    table = [[name, *cells] for name, cells in rows.items()]
    print(markdown(["spot, 50 cm", "Hinode", "synthetic"], table), end="\n\n")


def figure(path, quiet, scenes, plage, spots):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = []
    if quiet is not None:
        n = 380
        panels.append(("MURaM quiet", quiet[:n, :n], 0.5, 1.5))
        panels.append(("synthetic quiet", scenes[0][0][:n, :n], 0.5, 1.5))
    for gauss, pair in plage.items():
        n = min(pair[0][0].shape)
        for name, part in zip(("MURaM", "synthetic"), (0, 1), strict=True):
            image, field = (a[:n, :n] for a in pair[part])
            panels.append((f"{name} {gauss} G", image, 0.5, 1.5))
            panels.append((f"{name} {gauss} G, Bz", field, -1500, 1500))
    if spots is not None:
        hinode = spots[0][40:210, 55:225]
        panels += [("Hinode spot", hinode, 0, 1.3)]
        panels += [("synthetic spot, as Hinode", spots[1][35:205, 25:195], 0, 1.3)]
    rows = -(-len(panels) // 4)
    fig, axes = plt.subplots(rows, 4, figsize=(16, 4.2 * rows), squeeze=False, layout="constrained")
    for ax in axes.ravel():
        ax.axis("off")
    for ax, (title, image, low, high) in zip(axes.ravel(), panels, strict=False):
        ax.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower", interpolation="nearest")
        ax.set_title(title)
    fig.savefig(path, dpi=80)


def calibrate(quiet):
    """The tables of granulation.py, for eight planes without field."""
    quiet = quiet[:TRAINING_ROWS] / quiet[:TRAINING_ROWS].mean()
    probability = light.HISTOGRAM[:, 0]
    target = np.quantile(quiet, probability)
    bands = np.concatenate([[0.1, 0.19, 0.42], np.geomspace(0.55, 7.2, 15)])
    frequency = np.sqrt(bands[1:] * bands[:-1])
    planes = [
        convection(stream(i, "calibration"), Plane((400, 400), 2 * SPACING)) for i in range(8)
    ]
    patterns = np.array([light.pattern(*p) for p in planes])
    levels = np.quantile(patterns, probability)
    mapped = np.interp(patterns, levels, target).astype(np.float32)
    want = spectrum(quiet, SPACING, bands)
    gain = np.sqrt(want / np.mean([spectrum(a, SPACING, bands) for a in mapped], axis=0))
    for _ in range(4):  # the last map of the values changes the spectrum a little
        sharp = np.array(
            [
                light.filtered(p, a, frequency, gain)
                for (p, _), a in zip(planes, mapped, strict=True)
            ]
        )
        sharpened = np.quantile(sharp, probability)
        done = np.interp(sharp, sharpened, target)
        found = np.mean([spectrum(a, SPACING, bands) for a in done], axis=0)
        gain *= np.sqrt(want / found)
    tables = {
        "HISTOGRAM": (probability, target, levels, sharpened),
        "TRANSFER": (frequency, gain),
    }
    for name, columns in tables.items():
        print(name)
        for row in zip(*columns, strict=True):
            print(f"        [{', '.join(f'{v:.3f}' for v in row)}],")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=Path, required=True)
    parser.add_argument("--figure", type=Path, help="PNG to write")
    parser.add_argument("--scenes", type=int, default=6, help="quiet scenes (6)")
    parser.add_argument("--calibrate", action="store_true")
    options = parser.parse_args()
    there = (options.fields / "muram_quiet_continuum.npy").is_file()
    quiet = muram(options.fields) if there else None
    if options.calibrate:
        if quiet is None:
            parser.error(f"--calibrate needs {options.fields}/muram_quiet_continuum.npy")
        calibrate(quiet)
        return
    good, scenes = True, []
    if there:
        scenes = [scene(i, quiet.shape, SPACING, "quiet") for i in range(options.scenes)]
        good = quiet_tables(quiet, scenes)
    plage = plage_pairs(options.fields)
    plage_table(plage)
    spots = spot_pair(options.fields)
    if spots is not None:
        spot_table(spots)
    start, cpu = time.perf_counter(), time.process_time()
    scene(0, (1024, 1920), SPACING, "active")
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"1920 x 1024, active: {seconds:.1f} s ({cpu:.1f} s of processor time)")
    if options.figure:
        figure(options.figure, quiet, scenes, plage, spots)
    sys.exit(int(not good))


if __name__ == "__main__":
    main()
