"""The demo: enhances a synthetic scene of known truth, so no data are needed."""

from pathlib import Path

import numpy as np

from .._atomic import write_bytes
from ..observation import fits
from .file import enhance_file

SEED = 1_000_000  # the first of sun.scene.DEMO_SEEDS, which no training scene has
SIDE = 128  # input pixels, 64.6 arcsec


def make(folder: str | Path, device: str = "auto", progress=lambda done, total: None) -> str:
    """Write scene.fits (as HMI sees it), enhanced.fits, truth.fits and demo.png to `folder`.

    Returns one line of figures: the errors of the output and of bicubic interpolation against the
    truth, and the granulation contrast of input, output and truth.
    """
    from .._figures import require_matplotlib
    from ..baselines.bicubic import bicubic
    from ..sun.observed import observed
    from .picture import side_by_side

    require_matplotlib()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    frame, truth, _ = observed(SEED, SIDE, "active", ("intensity",))["intensity"]
    low, header = frame.data, frame.header
    fits.write(folder / "scene.fits", low, header, overwrite=True)
    fits.write(folder / "truth.fits", truth, fits.rescaled_header(header, 2), overwrite=True)
    result = enhance_file(
        folder / "scene.fits",
        folder / "enhanced.fits",
        norm="none",  # the scene is in units of its quiet Sun
        device=device,
        overwrite=True,
        progress=progress,
    )
    png = side_by_side(
        result.input,
        result.output,
        "intensity",
        units="Ic",
        header=header,
        truth=truth,
        title=f"synthetic active region, seed {SEED}, enhanced by {result.header['ENHMODEL']}",
    )
    write_bytes(folder / "demo.png", png)
    quiet = truth > 0.75  # granules and lanes, neither umbra nor penumbra
    quiet_low = low > 0.9

    def rms(image):
        return float(np.sqrt(np.mean((image - truth) ** 2)))

    def contrast(image, at):
        return 100 * float(image[at].std() / image[at].mean())

    return (
        f"{folder}: rms error {rms(result.output):.4f} Ic (bicubic {rms(bicubic(low)):.4f}), "
        f"contrast outside spots {contrast(low, quiet_low):.2f} % -> "
        f"{contrast(result.output, quiet):.2f} % (truth {contrast(truth, quiet):.2f} %)"
    )
