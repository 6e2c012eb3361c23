"""Reads and writes weights as HDF5 files of Keras.

One layout is written, and every layout that Keras has used for this network is read:

    root or model_weights/, attributes layer_names and weight_names    `.h5`, since Keras 2.0
    layers/conv2d_3/vars/0, no such attributes                         `.weights.h5`, Keras 3

Layers are identified by kind (conv2d, batch_normalization) and, within a kind, by the order of
their numbers: Keras counts layers per session, so a file may start at `conv2d` (0), `conv2d_1` or
`conv2d_27`, and HDF5 lists `conv2d_10` before `conv2d_2`.
"""

import hashlib
import io
import json
import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ._array import Array, without_subnormals
from ._atomic import write_bytes
from ._errors import one_line
from ._hdf5 import not_a_file, open_file, written_whole
from .config import NetworkConfig
from .layers.batchnorm import EPS
from .params import layers, shapes

# JSON of values for which Keras has no place in its files
OWN_ATTRIBUTE = "enhance_np"
CALIBRATION = "enhance_np_calibration"  # of the error bars, see prediction.error_bar
LAYER = re.compile(  # batch_normalization_v1: TensorFlow 1.13
    r"(?:(?P<conv>conv2d)|(?P<bn>batch_normalization(?:_v1)?))(?:_(?P<number>\d+))?"
)
# Keras's names of the tensors of a layer, in Keras's order, and the names used here
TENSORS = {
    "conv": {"kernel": "w", "bias": "b"},
    "bn": {"gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "var"},
}
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Weights:
    """Everything that prediction needs, and the provenance.

    config : sizes.  params, moving : float32 or float64 arrays with the names and shapes of
        params.shapes.
    provenance : a flat dict, {} for files of Keras. Its keys are type ("intensity" or "blos"),
        normalisation, data (a description), seed, version, validation_loss, each option of the
        training under its own name, and the optics of its data (`Optics.attributes`); without
        optics, HMI's are assumed.
    calibration : of the error bars, as `prediction.error_bar.Calibration.attributes` gives it; None
        if the file has none.
    """

    config: NetworkConfig
    params: dict[str, Array]
    moving: dict[str, Array]
    provenance: dict[str, str | int | float] = field(default_factory=dict)
    calibration: dict | None = None


def digest(path: str | os.PathLike) -> str:
    """sha256 of a file in hexadecimal, by which headers and provenance identify it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(path: str | os.PathLike, activation: str | None = None) -> Weights:
    """Weights of the HDF5 file `path`, written by Keras or by `save`.

    depth, filters and refine_filters follow from the number and shapes of the layers
    (refine_filters is None if it equals filters). The activation is read from the attribute
    enhance_np, else from the `model_config` of a full model. A weights-only file of Keras stores
    none; then it is `activation`, or "relu" with a warning.

    Raises FileNotFoundError; OSError if the file is truncated, damaged or not HDF5; ValueError if
    it is not a complete and finite network of this kind, or refers to other files. Each error is
    one line that names the file and, if possible, the tensor.
    """
    return identified(path, activation)[0]


def identified(path: str | os.PathLike, activation: str | None = None) -> tuple[Weights, str]:
    """(weights, `digest`) of one reading of the file. Arguments and errors as in `load`."""
    path = Path(path)
    if (found := not_a_file(path)) is not None:
        kind = FileNotFoundError if found == "no such file" else OSError
        raise kind(f"load: {path}: the file must exist, got {found}")
    try:
        content = path.read_bytes()
        with open_file(path, content) as file:
            return _read(file, activation, path), hashlib.sha256(content).hexdigest()
    except ValueError as error:
        raise ValueError(f"load: {path}: {one_line(error)}") from None
    except (OSError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        # h5py raises all of these for damaged files, with messages of the HDF5 library
        raise OSError(f"load: {path}: truncated, damaged or not HDF5 ({one_line(error)})") from None


def save(path: str | os.PathLike, weights: Weights, overwrite: bool = False) -> None:
    """Write `weights` so that `load`, and `load_weights(path)` of Keras 2 and 3, read them.

    path : ends in `.h5` but not in `.weights.h5`, which Keras 3 reads as another layout.
    The file is written beside `path` and then renamed, so `path` is never a partial file.

    Raises FileExistsError unless `overwrite`; ValueError for a tensor that is missing, unknown, of
    a wrong shape, not float32 or float64, or not finite; TypeError for provenance that is not text
    or a number; OSError if the file cannot be written.
    """
    path = check_name(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"save: {path}: the file exists; overwrite=True replaces it")
    for key, value in weights.provenance.items():
        if not isinstance(value, str | int | float):
            raise TypeError(
                f"save: provenance must be str, int or float, got {key}={type(value).__name__}"
            )
    tensors = {**weights.params, **weights.moving}
    wanted = {name: shape for group in shapes(weights.config) for name, shape in group.items()}
    if differ := sorted(tensors.keys() ^ wanted.keys()):
        what = "unknown" if differ[0] in tensors else "missing"
        raise ValueError(f"save: {differ[0]}: {what} for {weights.config!r}")
    for name, shape in wanted.items():
        tensors[name] = _checked(f"save: {name}", tensors[name], shape)

    with written_whole(path) as file:
        _write(file, weights, tensors)


def add_calibration(path: str | os.PathLike, calibration: dict) -> None:
    """Store a calibration in an existing file of weights, whose other contents stay as they are.

    calibration : what JSON can hold, in less than 64 kB.
    The file is replaced whole or not at all. Raises OSError if it cannot be read or written.
    """
    import h5py

    image = io.BytesIO(Path(path).read_bytes())
    with h5py.File(image, "r+") as file:
        file.attrs[CALIBRATION] = json.dumps(calibration)
    with image.getbuffer() as content:
        write_bytes(path, content)


def check_name(path: str | os.PathLike) -> Path:
    """`path` as a Path. Raises ValueError if Keras would read another layout from such a name."""
    path = Path(path)
    if path.suffix != ".h5" or path.name.endswith(".weights.h5"):
        raise ValueError(f"save: path must end in .h5 but not in .weights.h5, got {path}")
    return path


def _write(file, weights: Weights, tensors: dict[str, Array]) -> None:
    """Writes the layout of Keras 2.0, weights only, which Keras 2 and 3 read by order."""
    count = dict.fromkeys(TENSORS, 0)
    names = []
    for kind, name, _ in layers(weights.config):
        count[kind] += 1
        layer = f"{'conv2d' if kind == 'conv' else 'batch_normalization'}_{count[kind]}"
        names.append(layer)
        group = file.create_group(layer)
        for role, ours in TENSORS[kind].items():
            group.create_dataset(f"{layer}/{role}:0", data=tensors[f"{name}/{ours}"])
        group.attrs["weight_names"] = _bytes(f"{layer}/{role}:0" for role in TENSORS[kind])
    file.attrs["layer_names"] = _bytes(names)
    # bytes, as Keras 2.0.2 wrote and decodes them
    file.attrs["backend"] = np.bytes_("tensorflow")
    file.attrs["keras_version"] = np.bytes_("2.0.2")
    file.attrs[OWN_ATTRIBUTE] = json.dumps(
        {"activation": weights.config.activation, "provenance": weights.provenance}
    )
    if weights.calibration is not None:
        file.attrs[CALIBRATION] = json.dumps(weights.calibration)


def _read(file, activation: str | None, path: Path) -> Weights:
    """The weights of an open file. `identified` adds the name of the file to its errors."""
    found = {"conv": {}, "bn": {}}  # kind -> (number, layer) -> Keras's tensor name -> data
    for layer, tensor, data in _tensors(file):
        match = LAYER.fullmatch(layer)
        if match is None:
            raise ValueError(f"{layer}: not a layer of this network (tensor {tensor})")
        kind = "conv" if match["conv"] else "bn"
        role = tensor.rsplit("/", 1)[-1].split(":")[0]
        if role.isdecimal() and int(role) < len(TENSORS[kind]):  # vars/0
            role = list(TENSORS[kind])[int(role)]
        if role not in TENSORS[kind]:
            raise ValueError(f"{layer}: unknown tensor {tensor}")
        found[kind].setdefault((int(match["number"] or 0), layer), {})[role] = data

    stacks = {
        kind: [(layer, tensors) for (_, layer), tensors in sorted(numbered.items())]
        for kind, numbered in found.items()
    }
    stored, provenance = _activation_and_provenance(file)
    if stored is None and activation is None:
        log.warning("%s does not store its activation: relu is assumed", path)
    elif None not in (stored, activation) and stored != activation:
        raise ValueError(f"activation: expected {activation}, found {stored}")
    activation = stored or activation or "relu"
    config = NetworkConfig(activation=activation, **_sizes(stacks["conv"], stacks["bn"]))
    values = {}
    for kind, name, shape in layers(config):
        layer, tensors = stacks[kind].pop(0)
        for role, ours in TENSORS[kind].items():
            label = f"{layer}/{role} ({name}/{ours})"
            if role not in tensors:
                raise ValueError(f"{label}: missing")
            expected = shape if role == "kernel" else shape[-1:]
            values[f"{name}/{ours}"] = _checked(label, tensors[role], expected)
            if ours == "var" and values[f"{name}/{ours}"].min() < 0:
                raise ValueError(f"{label}: expected a variance, found a negative value")
    params, moving = ({name: values[name] for name in group} for group in shapes(config))
    return Weights(config, params, moving, provenance, _calibration(file))


def _tensors(file):
    """Yield (layer, name of the tensor, HDF5 dataset) in whichever layout the file has.

    Groups that are not listed, such as top_level_model_weights or optimizer_weights, are skipped,
    and so are layers without weights.
    """
    root = file.get("model_weights", file)
    listed = _names(root, "layer_names")
    # the second name is that of early versions of .weights.h5, which Keras 3 still reads
    numbered = [g for g in ("layers", "_layer_checkpoint_dependencies") if g in file]
    if listed is not None:
        if _text(root.attrs.get("backend", "")) == "theano":
            raise ValueError("written with the Theano backend, whose kernels are flipped")
        for layer in listed:
            if layer not in root:
                raise ValueError(f"{layer}: listed in layer_names but missing")
            for tensor in _names(root[layer], "weight_names") or []:
                if tensor not in root[layer]:
                    raise ValueError(f"{layer}: tensor {tensor} is missing")
                yield layer, tensor, root[layer][tensor]
    elif numbered:
        for layer, group in file[numbered[0]].items():
            for index, data in group.get("vars", {}).items():
                yield layer, f"vars/{index}", data
    else:
        raise ValueError("HDF5, but not the weights of a Keras model")


def _sizes(convs: list, bns: list) -> dict[str, int | None]:
    """depth, filters and refine_filters from the numbers of layers and two kernels."""
    depth, odd = divmod(len(convs) - 4, 2)
    if depth < 0 or odd or len(bns) != 2 * depth + 1:
        raise ValueError(
            "expected 2 depth + 4 convolutions and 2 depth + 1 batch normalizations, "
            f"found {len(convs)} and {len(bns)}"
        )
    channels = []
    for layer, tensors in (convs[0], convs[-2]):  # stem and refine
        shape = tensors["kernel"].shape if "kernel" in tensors else None
        if shape is None or len(shape) != 4:
            raise ValueError(f"{layer}/kernel: expected (kh, kw, Cin, Cout), found {shape}")
        channels.append(shape[-1])
    filters, refine = channels
    return {
        "depth": depth,
        "filters": filters,
        "refine_filters": None if refine == filters else refine,
    }


def _activation_and_provenance(file) -> tuple[str | None, dict]:
    """(activation, provenance) from the attributes of the file; activation may be None."""
    if OWN_ATTRIBUTE in file.attrs:
        own = json.loads(_text(file.attrs[OWN_ATTRIBUTE]))
        if not isinstance(own, dict) or not isinstance(own.get("provenance"), dict):
            raise ValueError(f"attribute {OWN_ATTRIBUTE}: expected activation and provenance")
        for key, value in own["provenance"].items():
            if not isinstance(value, str | int | float):
                raise ValueError(f"provenance: expected text or a number, found {key}={value!r}")
        return own["activation"], own["provenance"]
    if "model_config" not in file.attrs:
        return None, {}
    activations = set()
    for layer in json.loads(_text(file.attrs["model_config"]))["config"]["layers"]:
        settings = layer["config"]
        if settings.get("epsilon", EPS) != EPS:
            raise ValueError(
                f"{settings.get('name')}: expected epsilon {EPS}, found {settings['epsilon']}"
            )
        if layer["class_name"].endswith("LU"):  # ReLU, ELU; LeakyReLU is refused below
            activations.add(layer["class_name"].lower())
        activations.add(str(settings.get("activation", "linear")))
    activations.discard("linear")
    if len(activations) != 1:
        raise ValueError(f"expected one activation, found {sorted(activations)}")
    return activations.pop(), {}


def _calibration(file) -> dict | None:
    if CALIBRATION not in file.attrs:
        return None
    found = json.loads(_text(file.attrs[CALIBRATION]))
    if not isinstance(found, dict):
        raise ValueError(f"attribute {CALIBRATION}: expected a table of values, found {found!r}")
    return found


def _checked(name: str, data, shape: tuple[int, ...]) -> Array:
    """`data`, an array or an HDF5 dataset, in native byte order and without subnormal numbers."""
    if data.shape != shape:  # checked before reading, because a foreign file may be large
        raise ValueError(f"{name}: expected shape {shape}, found {data.shape}")
    if data.dtype.newbyteorder("=") not in (np.float32, np.float64):
        raise ValueError(f"{name}: expected float32 or float64, found {data.dtype}")
    values = data[()].astype(data.dtype.newbyteorder("="), copy=False)
    if bad := np.count_nonzero(~np.isfinite(values)):
        raise ValueError(f"{name}: NaN or infinite in {bad} of {values.size} values")
    return without_subnormals(values)


def _names(group, attribute: str) -> list[str] | None:
    """A list of names, bytes or str. Keras splits one above 64 kB: attribute0, attribute1, ..."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names, piece = [], 0
    while f"{attribute}{piece}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{piece}"]]
        piece += 1
    return names or None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(names) -> Array:
    return np.array([name.encode() for name in names])
