"""enhance_np.weights.load: the error names the fault of the file."""

import h5py
import numpy as np
import pytest
from weights_files import CONFIGS, REFERENCE, copied, fault, random_weights

from enhance_np import weights


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        weights.load(tmp_path / "none.h5")
    assert fault(error, tmp_path / "none.h5") == "the file must exist, got no such file"


@pytest.mark.parametrize("name", ["keras2_full", "keras3.weights"])
@pytest.mark.parametrize("part", [0.0, 0.0005, 0.01, 0.5, 0.99999])
def test_truncated_file(tmp_path, name, part):
    whole = (REFERENCE / f"weights_{name}.h5").read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(OSError, match="truncated, damaged or not HDF5") as error:
        weights.load(path)
    fault(error, path)


def test_text_file(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("SIMPLE  =                    T\n" * 100)
    with pytest.raises(OSError, match="not HDF5") as error:
        weights.load(path)
    fault(error, path)


def test_damaged_inside(tmp_path):
    """Signature and length of the file are right, but the tree of a group is zeroed."""
    path = tmp_path / "damaged.h5"
    whole = (REFERENCE / "weights_keras2.h5").read_bytes()
    tree = whole.index(b"TREE")
    path.write_bytes(whole[:tree] + bytes(4) + whole[tree + 4 :])
    with pytest.raises(OSError, match="damaged") as error:
        weights.load(path)
    fault(error, path)


def replace(file, tensor, values):
    del file[tensor]
    if values is not None:
        file[tensor] = values


def nan_at(file, tensor, index):
    file[tensor][index] = np.nan


def set_config(file, old, new):
    text = file.attrs["model_config"]
    assert old in text
    file.attrs["model_config"] = text.replace(old, new, 1)


def set_attribute(group, name, value):
    group.attrs[name] = value


def list_more(file, layer, tensor):
    file.attrs["layer_names"] = [*file.attrs["layer_names"], layer]
    file.create_group(layer).attrs["weight_names"] = [tensor]
    file[layer][tensor] = np.zeros((3, 3, 4, 4), np.float32)


# (file, change, words of the error message)
FAULTS = {
    "tensor not in its group": (
        "keras2",
        lambda f: replace(f, "conv2d_3/conv2d_3/bias:0", None),
        ["conv2d_3/bias:0", "missing"],
    ),
    "tensor not listed": (
        "keras2",
        lambda f: set_attribute(f["conv2d_3"], "weight_names", ["conv2d_3/kernel:0"]),
        ["conv2d_3/bias (tail/conv/b)", "missing"],
    ),
    "tensor missing without names": (
        "keras3.weights",
        lambda f: replace(f, "layers/batch_normalization_1/vars/3", None),
        ["batch_normalization_1/moving_variance (block0/bn2/var)", "missing"],
    ),
    "stem kernel missing": (
        "keras3.weights",
        lambda f: replace(f, "layers/conv2d/vars/0", None),
        ["conv2d/kernel"],
    ),
    "shape": (
        "keras2",
        lambda f: replace(f, "conv2d_1/conv2d_1/kernel:0", np.zeros((3, 3, 4, 5), "f4")),
        ["conv2d_1/kernel (block0/conv1/w)", "(3, 3, 4, 4)", "(3, 3, 4, 5)"],
    ),
    "shape of a moving statistic": (
        "keras3.weights",
        lambda f: replace(f, "layers/batch_normalization/vars/2", np.zeros(5, "f4")),
        ["batch_normalization/moving_mean (block0/bn1/mean)", "(4,)", "(5,)"],
    ),
    "dimensions of the stem": (
        "keras3.weights",
        lambda f: replace(f, "layers/conv2d/vars/0", np.zeros((3, 4), "f4")),
        ["conv2d/kernel", "(3, 4)"],
    ),
    "dtype": (
        "keras3.weights",
        lambda f: replace(f, "layers/conv2d_5/vars/1", np.zeros(1, "i4")),
        ["conv2d_5/bias (head/b)", "float32", "int32"],
    ),
    "NaN": (
        "keras2",
        lambda f: nan_at(f, "conv2d_4/conv2d_4/kernel:0", (0, 1, 2, 3)),
        ["conv2d_4/kernel (refine/conv/w)", "NaN", "1 of 144"],
    ),
    "layer listed but gone": (
        "keras2",
        lambda f: replace(f, "conv2d_2", None),
        ["conv2d_2", "layer_names", "missing"],
    ),
    "layer gone": (
        "keras3.weights",
        lambda f: replace(f, "layers/conv2d_2", None),
        ["found 5 and 3"],
    ),
    "layer of the same kind more": (
        "keras2",
        lambda f: list_more(f, "conv2d_6", "conv2d_6/kernel:0"),
        ["found 7 and 3"],
    ),
    "batch norm gone": (
        "keras3.weights",
        lambda f: replace(f, "layers/batch_normalization_2", None),
        ["found 6 and 2"],
    ),
    "batch norm more": (
        "keras2",
        lambda f: list_more(f, "batch_normalization_3", "batch_normalization_3/gamma:0"),
        ["found 6 and 4"],
    ),
    "layer of another kind more": (
        "keras2",
        lambda f: list_more(f, "dense_1", "dense_1/kernel:0"),
        ["dense_1", "not a layer of this network"],
    ),
    "tensor more": (
        "keras3.weights",
        lambda f: f["layers/conv2d_1/vars"].create_dataset("2", data=np.zeros(4, "f4")),
        ["conv2d_1", "unknown tensor vars/2"],
    ),
    "Theano": (
        "keras2",
        lambda f: set_attribute(f, "backend", np.bytes_(b"theano")),
        ["Theano", "flipped"],
    ),
    "two activations": (
        "keras3_full",
        lambda f: set_config(f, '"activation": "elu"', '"activation": "relu"'),
        ["one activation", "['elu', 'relu']"],
    ),
    "activation of another class": (
        "keras3_full",
        lambda f: set_config(f, '"class_name": "Activation"', '"class_name": "LeakyReLU"'),
        ["one activation", "['elu', 'leakyrelu']"],
    ),
    "epsilon of batch norm": (
        "keras2_full",
        lambda f: set_config(f, '"epsilon": 0.001', '"epsilon": 1e-05'),
        ["batch_normalization", "epsilon 0.001", "1e-05"],
    ),
}


@pytest.mark.parametrize(("name", "change", "holds"), FAULTS.values(), ids=FAULTS)
def test_faults_are_named(tmp_path, name, change, holds):
    path = copied(tmp_path, name)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=r"^load: ") as error:
        weights.load(path)
    message = fault(error, path)
    for part in holds:
        assert part in message


def test_unknown_activation_everywhere(tmp_path):
    path = copied(tmp_path, "keras2_full")
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        file.attrs["model_config"] = text.replace('"activation": "relu"', '"activation": "tanh"')
    with pytest.raises(ValueError, match=r"activation.*relu.*got 'tanh'") as error:
        weights.load(path)
    fault(error, path)


def test_foreign_hdf5(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["continuum"] = np.ones((4, 4))
    with pytest.raises(ValueError, match="not the weights of a Keras model") as error:
        weights.load(path)
    fault(error, path)


@pytest.mark.parametrize("own", ["{", "[]", '{"activation": "relu"}'])
def test_own_attribute_damaged(tmp_path, own):
    path = tmp_path / "w.h5"
    weights.save(path, random_weights(CONFIGS["depth0"]))
    with h5py.File(path, "r+") as file:
        file.attrs[weights.OWN_ATTRIBUTE] = own
    with pytest.raises((OSError, ValueError), match=r"^load: ") as error:
        weights.load(path)
    fault(error, path)
