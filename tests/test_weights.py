"""enhance_np.weights: every Keras layout is read, one is written, faults have names.

The files of tests/reference/ were written by tf_keras (Keras 2) and Keras 3; see
make_reference.py there.
"""

import importlib.util
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from enhance_np import network, weights
from enhance_np.config import NetworkConfig
from enhance_np.params import initial, shapes
from enhance_np.weights import Weights

REFERENCE = Path(__file__).parent / "reference"
FILES = {  # name: activation that `load` finds
    "keras202_full": "relu",
    "keras2_full": "relu",
    "keras2": "relu",
    "keras2_renumbered": "relu",
    "keras2.weights": "relu",
    "keras3_full": "elu",
    "keras3.weights": "relu",
}
CONFIGS = {
    "depth0": NetworkConfig(depth=0, filters=3),
    "tiny": NetworkConfig(depth=1, filters=4),
    "refine4x": NetworkConfig(depth=1, filters=4, refine_filters=16),
    "elu": NetworkConfig(depth=2, filters=3, activation="elu"),
    "deep": NetworkConfig(depth=6, filters=2),  # conv2d_16, batch_normalization_13
}
PROVENANCE = {
    "type": "blos",
    "normalisation": "kG",
    "seed": 2**70,  # past 64 bits
    "validation_loss": 0.1 + 0.2,
    "data": "MURaM, B = 100 G, µ = 1",
}
# the float32 of Keras against our float64: a part of the range of the output
OUTPUT = 1e-5


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE / "weights_files.npz") as file:
        return dict(file)


def random_weights(config, dtype=np.float32, provenance=PROVENANCE):
    """No two values alike, so that no two tensors can be swapped unseen."""
    rng = np.random.default_rng(5)
    params, moving = initial(config, seed=5, dtype=dtype)
    for group in (params, moving):
        for name, a in group.items():
            group[name] = (a + 0.2 * rng.random(a.shape)).astype(dtype)
    return Weights(config, params, moving, provenance)


def same_bits(got, want):
    assert list(got) == list(want)
    for name, a in want.items():
        assert got[name].dtype == a.dtype, name
        assert got[name].shape == a.shape, name
        assert got[name].tobytes() == a.tobytes(), name


def predict(w, x):
    y, _ = network.forward(w.params, x.astype(np.float64), w.config, moving=w.moving)
    return y


def copied(tmp_path, name):
    """A copy of a reference file, to be changed."""
    return shutil.copy(REFERENCE / f"weights_{name}.h5", tmp_path / f"{name}.h5")


def fault(error, path):
    """The message after "load: PATH: "; the whole of it is one line."""
    message = str(error.value)
    assert message.startswith(f"load: {path}: ")
    assert "\n" not in message
    return message.removeprefix(f"load: {path}: ")


# ---- files written by Keras


@pytest.mark.parametrize("name", FILES)
def test_reads_what_keras_wrote(name, reference):
    w = weights.load(REFERENCE / f"weights_{name}.h5")
    assert w.config == NetworkConfig(depth=1, filters=4, activation=FILES[name])
    assert w.provenance == {}
    params, moving = shapes(w.config)
    same_bits(w.params, {n: reference[f"params/{n}"] for n in params})
    same_bits(w.moving, {n: reference[f"moving/{n}"] for n in moving})


@pytest.mark.parametrize("name", FILES)
def test_computes_what_keras_computed(name, reference):
    w = weights.load(REFERENCE / f"weights_{name}.h5")
    want = reference[f"y_{name}"]
    np.testing.assert_allclose(predict(w, reference["x"]), want, rtol=0, atol=OUTPUT * np.ptp(want))


def test_renumbered_file_is_a_trap():
    """HDF5 lists its layers in an order that is not that of the network."""
    with h5py.File(REFERENCE / "weights_keras2_renumbered.h5") as file:
        listed = [name for name in file if name.startswith("conv2d")]
    assert listed[0] == "conv2d_10"
    assert "conv2d_7" in listed


@pytest.mark.parametrize("kind", [bytes, str])
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("name", ["keras2", "keras2_full"])
def test_attributes_as_bytes_or_str_in_one_piece_or_more(tmp_path, name, pieces, kind):
    path = copied(tmp_path, name)
    with h5py.File(path, "r+") as file:
        root = file["model_weights"] if name == "keras2_full" else file
        groups = [(root, "layer_names")]
        groups += [(root[layer], "weight_names") for layer in root.attrs["layer_names"]]
        for group, attribute in groups:
            names = [str(n) for n in group.attrs.pop(attribute)]
            dtype = "S" if kind is bytes else h5py.string_dtype()
            for i, piece in enumerate(np.array_split(np.array(names, dtype=object), pieces)):
                key = attribute if pieces == 1 else f"{attribute}{i}"
                group.attrs[key] = piece.astype("S") if kind is bytes else piece.astype(dtype)
        if kind is bytes and name == "keras2_full":
            file.attrs["model_config"] = np.bytes_(file.attrs["model_config"].encode())
    want = weights.load(REFERENCE / f"weights_{name}.h5")
    got = weights.load(path)
    assert got.config == want.config
    same_bits(got.params, want.params)
    same_bits(got.moving, want.moving)


def test_group_name_of_early_weights_h5(tmp_path):
    path = copied(tmp_path, "keras2.weights")
    with h5py.File(path, "r+") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    same_bits(weights.load(path).params, weights.load(REFERENCE / "weights_keras2.h5").params)


def test_batch_normalization_v1_of_tensorflow_113(tmp_path):
    path = copied(tmp_path, "keras3.weights")
    with h5py.File(path, "r+") as file:
        for name in list(file["layers"]):
            if name.startswith("batch_normalization"):
                new = name.replace("batch_normalization", "batch_normalization_v1")
                file.move(f"layers/{name}", f"layers/{new}")
    same_bits(weights.load(path).moving, weights.load(REFERENCE / "weights_keras2.h5").moving)


def test_big_endian_becomes_native(tmp_path):
    path = copied(tmp_path, "keras2.weights")
    want = weights.load(path)
    with h5py.File(path, "r+") as file:
        kernel = file["layers/conv2d/vars/0"][()]
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = kernel.astype(">f4")
    got = weights.load(path)
    assert got.params["stem/conv/w"].dtype.isnative
    same_bits(got.params, want.params)


# ---- there and back


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_round_trip_is_exact(tmp_path, config, dtype):
    want = random_weights(config, dtype)
    weights.save(tmp_path / "w.h5", want)
    got = weights.load(tmp_path / "w.h5")
    assert got.config == config
    assert got.provenance == PROVENANCE
    assert {k: type(v) for k, v in got.provenance.items()} == {
        k: type(v) for k, v in PROVENANCE.items()
    }
    same_bits(got.params, want.params)
    same_bits(got.moving, want.moving)


def test_refine_filters_equal_to_filters_reads_as_none(tmp_path):
    config = NetworkConfig(depth=0, filters=3, refine_filters=3)
    weights.save(tmp_path / "w.h5", random_weights(config))
    assert weights.load(tmp_path / "w.h5").config == NetworkConfig(depth=0, filters=3)


def test_saved_layout_is_that_of_keras_202(tmp_path):
    weights.save(tmp_path / "w.h5", random_weights(CONFIGS["tiny"]))
    with (
        h5py.File(tmp_path / "w.h5") as file,
        h5py.File(REFERENCE / "weights_keras202_full.h5") as keras,
    ):
        root = keras["model_weights"]
        listed = root.attrs["layer_names"]
        listed = [name for name in listed if len(root[name].attrs["weight_names"])]
        assert list(file.attrs["layer_names"]) == listed
        for layer in listed:
            names = list(file[layer].attrs["weight_names"])
            assert names == list(root[layer].attrs["weight_names"])
            for name in names:
                assert file[layer][name].shape == root[layer][name].shape
        for name in ("layer_names", "backend", "keras_version"):
            assert file.attrs[name].dtype.kind == root.attrs[name].dtype.kind == "S", name


# ---- what load refuses


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        weights.load(tmp_path / "none.h5")
    assert fault(error, tmp_path / "none.h5") == "there is no such file"


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
    """The signature and the length are right; the group's tree is zeroed."""
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


# (file, change, what the message must hold)
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


# ---- what save refuses; nothing is left behind


def changed(group, name, value):
    w = random_weights(CONFIGS["tiny"])
    if value is None:
        del getattr(w, group)[name]
    else:
        getattr(w, group)[name] = value
    return w


@pytest.mark.parametrize(
    ("w", "message"),
    [
        (changed("params", "head/b", None), "save: head/b: missing"),
        (changed("params", "block1/conv1/b", np.zeros(4)), "save: block1/conv1/b: unknown"),
        (
            changed("params", "tail/conv/w", np.zeros((3, 3, 4, 1))),
            r"save: tail/conv/w: expected shape \(3, 3, 4, 4\), found \(3, 3, 4, 1\)",
        ),
        (changed("moving", "tail/bn/var", np.full(4, np.nan)), "save: tail/bn/var: NaN .* 4 of 4"),
        (changed("moving", "tail/bn/var", np.ones(4, int)), "save: tail/bn/var: .* found int64"),
    ],
)
def test_save_names_the_tensor(tmp_path, w, message):
    with pytest.raises(ValueError, match=message):
        weights.save(tmp_path / "w.h5", w)
    assert list(tmp_path.iterdir()) == []


def test_save_refuses_provenance_that_is_not_flat(tmp_path):
    w = random_weights(CONFIGS["depth0"], provenance={"training": {"lr": 1e-4}})
    with pytest.raises(TypeError, match="training=dict"):
        weights.save(tmp_path / "w.h5", w)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["w.hdf5", "w", "w.weights.h5"])
def test_save_refuses_names_that_keras_reads_otherwise(tmp_path, name):
    with pytest.raises(ValueError, match=r"must end in \.h5"):
        weights.save(tmp_path / name, random_weights(CONFIGS["depth0"]))
    assert list(tmp_path.iterdir()) == []


def test_save_overwrites_only_when_asked(tmp_path):
    path = tmp_path / "w.h5"
    weights.save(path, random_weights(CONFIGS["depth0"], provenance={"seed": 1}))
    new = random_weights(CONFIGS["tiny"], provenance={"seed": 2})
    with pytest.raises(FileExistsError, match="overwrite=True"):
        weights.save(path, new)
    assert weights.load(path).provenance == {"seed": 1}
    weights.save(path, new, overwrite=True)
    assert weights.load(path).provenance == {"seed": 2}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "replace"])
def test_save_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch, call):
    path = tmp_path / "w.h5"
    weights.save(path, random_weights(CONFIGS["depth0"], provenance={"seed": 1}))

    def half(self, data):
        with open(self, "wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    def refuse(source, target):
        raise OSError(28, "No space left on device")

    if call == "write":
        monkeypatch.setattr(Path, "write_bytes", half)
    else:
        monkeypatch.setattr(weights.os, "replace", refuse)
    with pytest.raises(OSError, match="No space left on device") as error:
        weights.save(path, random_weights(CONFIGS["tiny"]), overwrite=True)
    assert str(error.value) == f"{path} cannot be written (No space left on device)"
    assert list(tmp_path.iterdir()) == [path]
    assert weights.load(path).provenance == {"seed": 1}


def test_save_into_no_folder(tmp_path):
    with pytest.raises(OSError, match="cannot be written"):
        weights.save(tmp_path / "none" / "w.h5", random_weights(CONFIGS["depth0"]))


# ---- Keras itself, where it is installed


@pytest.mark.parametrize("keras_name", ["keras", "tf_keras"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_keras_loads_what_save_wrote(tmp_path, config, keras_name):
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip(keras_name)
    w = random_weights(config)
    weights.save(tmp_path / "w.h5", w)
    # with all the layers that have no weights: the file does not list them
    model, made = make_reference().keras_model(keras, config, noise=1e-3)
    model.load_weights(tmp_path / "w.h5")
    params, moving = make_reference().get_keras(made, config)
    same_bits(params, w.params)
    same_bits(moving, w.moving)
    x = np.random.default_rng(6).standard_normal((2, 6, 7, 1)).astype(np.float32)
    y = predict(w, x)
    np.testing.assert_allclose(
        np.asarray(model(x, training=False)), y, rtol=0, atol=OUTPUT * np.ptp(y)
    )


def make_reference():
    spec = importlib.util.spec_from_file_location("make_reference", REFERENCE / "make_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
