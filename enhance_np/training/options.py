"""Options of a training, their checks, and the learning rate and batch norm mode of each step."""

import math
from dataclasses import asdict, dataclass, replace

from ..config import NOISE

L2 = {"intensity": 1e-6, "blos": 1e-5}
STARTS = ("he", "contrast")
REAL = ("lr", "lr_multiplier", "clip", "noise", "l2", "decay")  # options that are not counts
LATE_EPOCH = 20  # lr_multiplier applies from this epoch on, as in the original's script
FROZEN_OVER = 64  # batches whose statistics are pooled when batch norm is frozen


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training. The defaults are the paper's (Díaz Baso & Asensio Ramos 2018, section
    3.3).

    type : "intensity" (Ic) or "blos" (kG); it sets noise and l2 if they are None.
    epochs : total number, including those before a run is continued.
    batch_size : pairs in a batch.  lr : learning rate.  seed : of all random numbers.
    lr_multiplier : factor on lr from epoch 20 on (the first epoch is 0).
    schedule : "constant", or "cosine": lr falls to 0 at the last step.
    clip : largest norm of a step's gradient, over all tensors; None sets no bound.
    warmup : steps over which the rate rises from 0 to that of the schedule.
    start : "he" (He et al. 2015), "contrast" (see params.contrasted), or the path of a weights file
    of this network and type. With a file, batch norm keeps the file's statistics and freeze must be
    None; to continue such a run, the file must still exist under the same name.
    freeze : epoch from which batch norm keeps its statistics, pooled over the first FROZEN_OVER
    batches of that epoch; None means never.
    noise : sigma in Ic or kG; None takes the sigma of each patch, if the data store it.
    l2 : strength of L2 on the kernels, part of the loss.
    decay : strength of decoupled weight decay of the kernels, see optim.decayed; 0 means none.
    """

    type: str = "intensity"
    epochs: int = 20
    batch_size: int = 32
    lr: float = 1e-4
    lr_multiplier: float = 1.0
    schedule: str = "constant"
    start: str = "he"
    clip: float | None = None
    warmup: int = 0
    freeze: int | None = None
    noise: float | None = None
    l2: float | None = None
    decay: float = 0.0
    seed: int = 0

    def resolved(self) -> "TrainOptions":
        """The same with noise and l2 filled in. Raises ValueError for an invalid option."""
        if self.type not in NOISE:
            raise ValueError(f"train: type must be intensity or blos, got {self.type!r}")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"train: schedule must be constant or cosine, got {self.schedule!r}")
        if not isinstance(self.start, str):
            raise ValueError(f"train: start must be text, got {self.start!r}")
        if self.from_weights and self.freeze is not None:
            raise ValueError(
                f"train: freeze must not be set with a start from weights, which keeps their "
                f"statistics, got {self.freeze}"
            )
        noise = NOISE[self.type] if self.noise is None else self.noise
        l2 = L2[self.type] if self.l2 is None else self.l2
        filled = replace(self, noise=noise, l2=l2)
        numbers = {
            k: v for k, v in asdict(filled).items() if k not in ("type", "schedule", "start")
        }
        for name in ("clip", "freeze"):
            if numbers[name] is None:
                del numbers[name]
        for name, value in numbers.items():
            if name not in REAL and not isinstance(value, int):
                raise ValueError(f"train: {name} must be an integer, got {value!r}")
            none_too = name in ("noise", "l2", "decay", "seed", "freeze", "warmup")
            least = 0 if none_too else math.nextafter(0, 1)
            if not least <= value < math.inf:  # NaN fails
                bound = ">= 0" if least == 0 else "> 0"
                raise ValueError(f"train: {name} must be {bound} and finite, got {value}")
        return filled

    def of_the_run(self) -> dict:
        """The options that must stay the same when a run is continued.

        These are all options but `epochs`, if the schedule is constant, and `start`, which
        start.read identifies by its content.
        """
        found = asdict(self)
        del found["start"]
        if self.schedule == "constant":
            del found["epochs"]
        for name in ("clip", "freeze"):
            if found[name] is None:
                del found[name]
        for name in ("warmup", "decay"):
            if not found[name]:
                del found[name]
        return found

    @property
    def from_weights(self) -> bool:
        return self.start not in STARTS

    def frozen(self, epoch: int) -> bool:
        return self.from_weights or (self.freeze is not None and epoch >= self.freeze)

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Learning rate of a step; it depends on `epochs` only with the cosine schedule."""
        lr = self.lr * (self.lr_multiplier if epoch >= LATE_EPOCH else 1)
        done = epoch * steps + step
        if self.schedule == "cosine":
            lr *= 0.5 + 0.5 * math.cos(math.pi * done / (self.epochs * steps))
        return lr * min(1.0, (done + 1) / max(1, self.warmup))


# used without --data: the small network on synthetic scenes, some minutes on two cores
QUICK = TrainOptions(epochs=20, batch_size=16, lr=2e-3, schedule="cosine")
