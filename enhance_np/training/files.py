"""The files of a training run: their names, checks, and the log."""

import csv
import io
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from .._atomic import write_bytes
from .._errors import avoidable
from .._hdf5 import not_a_file, open_file
from ..observation.fits import check_output
from ..weights import check_name


def run_files(output: Path) -> tuple[Path, ...]:
    """Paths of the weights, checkpoint, log and loss curves of a run."""
    return tuple(output.with_suffix(end) for end in (".h5", ".checkpoint.h5", ".csv", ".png"))


def outputs(output: str | os.PathLike, resume: bool, overwrite: bool) -> tuple[Path, Path]:
    """(weights file, checkpoint), after checking that all files of the run can be written.

    Raises as weights.check_name and fits.check_output; FileExistsError for files of an earlier run
    that is neither continued nor overwritten.
    """
    output = check_name(output)
    files = run_files(output)
    saved = files[1]
    going_on = resume and saved.exists()
    if not going_on and not overwrite and (there := [str(f) for f in files if f.exists()]):
        message = (
            f"train: {', '.join(there)} must not exist, unless the run is resumed or overwritten, "
            f"got {'neither' if saved.exists() else 'no checkpoint to continue'}"
        )
        raise avoidable(FileExistsError(message), "resume", "overwrite")
    for path in files:
        check_output(path, overwrite=True)
    return output, saved


def open_pairs(path: str | os.PathLike):
    """The HDF5 file, opened for reading. Raises as `_hdf5.open_file`, with the path."""
    if not_a_file(path) == "no such file":
        raise FileNotFoundError(f"train: the file must exist, got {os.fspath(path)!r}")
    try:
        return open_file(path)
    except (OSError, ValueError) as error:
        raise type(error)(f"train: {path} must be a whole HDF5 file ({error})") from None


def write_log(output: Path, rows: Sequence[dict]) -> None:
    """Write the log and, with matplotlib, the loss curves.  rows : one for each epoch."""
    text = io.StringIO(newline="")
    # current columns; older rows of a continued run may lack one
    writer = csv.DictWriter(text, rows[-1].keys(), restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(output.with_suffix(".csv"), text.getvalue().encode())
    if find_spec("matplotlib"):
        from .curves import loss_curves

        write_bytes(output.with_suffix(".png"), loss_curves(rows))
