"""The state of a training between two steps, and the file that stores it."""

import io
import json
import os
from pathlib import Path
from typing import NamedTuple

from .._array import Array
from .._atomic import write_bytes
from .._errors import one_line
from ..optim import AdamState

GROUPS = ("params", "moving", "m", "v")


class State(NamedTuple):
    """Everything that the next step depends on. A step makes a new State and changes none."""

    params: dict[str, Array]
    moving: dict[str, Array]
    adam: AdamState
    epoch: int  # epochs done
    step: int  # steps done in this epoch
    random: dict | None  # state of the epoch's NumPy generator; None before its first step
    loss: float  # sum over the steps of this epoch
    rows: tuple[dict, ...]  # rows of the log, one per epoch done


def save(path: str | os.PathLike, state: State, run: dict) -> None:
    """Write an HDF5 file, whole or not at all.

    state : with NumPy arrays.  run : JSON values that identify the run; `load` returns them.
    """
    import h5py

    numbers = state._asdict()
    tensors = (numbers.pop("params"), numbers.pop("moving"), *(adam := numbers.pop("adam"))[1:])
    numbers["adam_step"] = adam.step
    image = io.BytesIO()  # in memory, because HDF5 on a full disk fails again when it is closed
    with h5py.File(image, "w") as file:
        for group, arrays in zip(GROUPS, tensors, strict=True):
            for name, array in arrays.items():
                file[f"{group}/{name}"] = array
        # a dataset, because an attribute is limited to 64 kB
        file["state"] = json.dumps({"run": run, "numbers": numbers})
    write_bytes(path, image.getbuffer())


def load(path: str | os.PathLike) -> tuple[State, dict]:
    """(state, run) as saved. Raises OSError in one line if the file is not a checkpoint."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            about = json.loads(file["state"][()])
            found = {group: {} for group in GROUPS}

            def collect(name, item):
                group, _, tensor = name.partition("/")
                if group in found and isinstance(item, h5py.Dataset):
                    found[group][tensor] = item[()]

            file.visititems(collect)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise OSError(
            f"train: {Path(path)} must be a checkpoint of train ({one_line(error)})"
        ) from None
    numbers = about["numbers"]
    adam = AdamState(numbers.pop("adam_step"), found["m"], found["v"])
    numbers["rows"] = tuple(numbers["rows"])
    return State(found["params"], found["moving"], adam, **numbers), about["run"]


def differences(before: dict, now: dict) -> list[str]:
    """ "lr was 0.001, is 0.0001" for each value that differs between two runs."""
    return [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]


def same_arrays(state: State, convert) -> State:
    """The state with convert(array) for each array, to move it to an engine or back."""

    def each(group):
        return {name: convert(array) for name, array in group.items()}

    adam = AdamState(state.adam.step, each(state.adam.m), each(state.adam.v))
    return state._replace(params=each(state.params), moving=each(state.moving), adam=adam)
