"""The state of a training between two steps, and the file that stores it."""

import json
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .._array import Array
from .._errors import one_line
from .._hdf5 import open_file, text, written_whole
from ..config import NetworkConfig
from ..optim import AdamState
from ..params import shapes

GROUPS = ("params", "moving", "m", "v")
NUMBERS = {"epoch", "step", "random", "loss", "rows", "adam_step"}  # of the State, as JSON
COLUMNS = ("epoch", "lr", "loss", "val_loss", "live_filters")  # of a row of the log


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
    numbers = state._asdict()
    tensors = (numbers.pop("params"), numbers.pop("moving"), *(adam := numbers.pop("adam"))[1:])
    numbers["adam_step"] = adam.step
    with written_whole(path) as file:
        for group, arrays in zip(GROUPS, tensors, strict=True):
            for name, array in arrays.items():
                file[f"{group}/{name}"] = array
        # a dataset, because an attribute is limited to 64 kB
        file["state"] = json.dumps({"run": run, "numbers": numbers})


def load(path: str | os.PathLike, run: dict | None = None) -> tuple[State, dict]:
    """(state, run) as saved, after everything in the file has been checked.

    run : what the stored run must be, if given.
    Raises OSError in one line if the file is not a checkpoint, with what must hold and what was
    found; ValueError if its run is another.
    """
    try:
        with open_file(path) as file:
            about = _about(file)
            stored = about["run"]
            differ = [] if run is None else differences(stored, run)
            state = None if differ else _state(file, stored, about["numbers"])
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise OSError(
            f"train: {Path(path)} must be a checkpoint of train ({one_line(error)})"
        ) from None
    if differ:
        raise ValueError(f"train: to continue, nothing may change, got {'; '.join(differ)}")
    return state, stored


def _about(file) -> dict:
    if "state" not in file:
        raise ValueError(f"state must be in the file, got {sorted(file)[:5]}")
    found = json.loads(text(file["state"]))
    _check_keys("state", found, {"run", "numbers"})
    _check_keys("run", found["run"])
    _check_keys("numbers", found["numbers"], NUMBERS)
    return found


def _state(file, run, numbers) -> State:
    for name in ("epoch", "step", "adam_step"):
        _check(name, numbers[name], "an integer >= 0", _is_count(numbers[name]))
    loss, rows, random = (numbers[name] for name in ("loss", "rows", "random"))
    _check("loss", loss, "a finite number", _is_finite(loss))
    _check("rows", rows, "a list of one row per epoch done", isinstance(rows, list))
    _check(
        "rows", len(rows), f"{numbers['epoch']}, one per epoch done", len(rows) == numbers["epoch"]
    )
    for row in rows:
        # rows of earlier versions lack the number of live filters
        _check_keys("a row", row, set(COLUMNS) - {"live_filters"}, set(COLUMNS))
        for name, value in row.items():
            _check(f"{name} of a row", value, "a finite number", _is_finite(value))
    if random is None:
        _check("random", random, "the state of a generator within an epoch", numbers["step"] == 0)
    else:
        _check("random", random, "the state of a PCG64 generator, or null", _is_random(random))
    tensors = _tensors(file, run)
    adam = AdamState(numbers["adam_step"], tensors["m"], tensors["v"])
    return State(
        tensors["params"],
        tensors["moving"],
        adam,
        numbers["epoch"],
        numbers["step"],
        random,
        loss,
        tuple(rows),
    )


def _tensors(file, run) -> dict[str, dict[str, Array]]:
    """The arrays by group and name. All shapes are checked before anything is read."""
    _check_keys("network of run", run.get("network"), {"depth", "filters", "refine_filters"})
    config = NetworkConfig(**run["network"])
    found = {group: {} for group in GROUPS}

    def collect(name, item):
        group, _, tensor = name.partition("/")
        if group in found and isinstance(item, h5py.Dataset):
            found[group][tensor] = item

    import h5py

    file.visititems(collect)
    # a network of so many blocks would have more tensors than the file
    _check("depth", config.depth, "that of the tensors", config.depth <= len(found["params"]))
    of_params, of_moving = shapes(config)
    for group, wanted in zip(GROUPS, (of_params, of_moving, of_params, of_params), strict=True):
        if differ := sorted(found[group].keys() ^ wanted.keys()):
            kind = "an unknown tensor" if differ[0] in found[group] else "none"
            raise ValueError(f"{group} must be those of {config!r}, got {kind} for {differ[0]}")
        for name, shape in wanted.items():
            data, label = found[group][name], f"{group}/{name}"
            _check(label, data.shape, f"{shape}", data.shape == shape)
            _check(label, data.dtype, "float32", data.dtype == np.float32)
    read = {group: {name: data[()] for name, data in found[group].items()} for group in GROUPS}
    for group, tensors in read.items():
        for name, values in tensors.items():
            good = np.isfinite(values).all()
            _check(f"{group}/{name}", "NaN or infinity", "finite", good)
            if group == "v" or name.endswith("/var"):
                _check(f"{group}/{name}", values.min(), ">= 0", values.min() >= 0)
    return read


def _check(name: str, value, must: str, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{name} must be {must}, got {str(value)[:80]}")


def _check_keys(name: str, found, required=frozenset(), allowed=None) -> None:
    """found : must be a dict with the required keys, and only `allowed` ones, if any are given."""
    _check(name, type(found).__name__, "a dict", isinstance(found, dict))
    if missing := sorted(required - found.keys()):
        raise ValueError(f"{name} must have {', '.join(missing)}, got {sorted(found)}")
    if allowed and (more := sorted(found.keys() - allowed)):
        raise ValueError(f"{name} must have {', '.join(sorted(allowed))} only, got {more[0]}")


def _is_count(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_finite(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_random(value) -> bool:
    try:
        np.random.PCG64().state = value
    except (TypeError, ValueError, LookupError, OverflowError, AttributeError):
        return False
    return True


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
