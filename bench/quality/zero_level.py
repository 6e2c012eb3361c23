"""The offset that the magnetogram networks add to the quiet Sun, independent of its polarity.

    python -m bench.quality.zero_level DISC.fits ...

Two pieces of SIDE x SIDE pixels near the centre of each full disc are enhanced with both signs.
Half the sum of the two outputs is the part that does not follow the sign of the field. The script
prints its mean over the pixels below QUIET, and the net flux that it adds up to on a disc.
"""

import argparse

import numpy as np
from astropy.io import fits

from bench.shared import table
from enhance_np import models, weights
from enhance_np.engine import select
from enhance_np.pairs.sources import KILOGAUSS

SIDE, QUIET = 200, 50.0  # pixels, G
CENTRES = (2048, 2048), (1200, 2300)
DISC = np.pi * 6.957e10**2  # cm^2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("discs", nargs="+", help="4096 x 4096 magnetograms, FITS")
    cpu, rows = select("cpu"), []
    networks = {}
    for model in models.MODELS:
        networks[model] = cpu.predictor(weights.load(models.path("blos", model)))
    for path in parser.parse_args().discs:
        with fits.open(path) as file:
            disc = next(hdu.data for hdu in file if hdu.data is not None)
            date = next(hdu.header["DATE-OBS"] for hdu in file if hdu.data is not None)
        for y, x in CENTRES:
            box = np.s_[y - SIDE // 2 : y + SIDE // 2, x - SIDE // 2 : x + SIDE // 2]
            piece = (disc[box] * KILOGAUSS).astype(np.float32)
            quiet = (abs(piece) < QUIET * KILOGAUSS).repeat(2, axis=0).repeat(2, axis=1)
            for model, predict in networks.items():
                both = predict(piece) + predict(-piece)
                left = float(both[quiet].mean(dtype=float)) / 2 / KILOGAUSS
                rows.append([date, f"{y}, {x}", model, f"{left:+.3f}", f"{left * DISC:.1e}"])
    print(table.markdown(["disc", "pixel", "network", "left, G", "on a disc, Mx"], rows))


if __name__ == "__main__":
    main()
