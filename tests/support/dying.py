"""A worker of a cluster that is killed while it computes; imported by the workers."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

from enhance_np.prediction.file import enhancer

MARK = "DYING"  # environment: the file that is made before


def enhancer_that_is_killed(again=False, **options):
    """`enhancer`, but the process that first computes an image named c.fits is killed by then.

    again : and so is every other that computes it.
    """
    work = enhancer(**options)
    mark = Path(os.environ[MARK])

    def compute(image, progress):
        if os.path.basename(image.frame.path) == "c.fits" and (again or not mark.exists()):
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return work.compute(image, progress)

    return replace(work, compute=compute)


enhancer_that_is_always_killed = partial(enhancer_that_is_killed, again=True)
