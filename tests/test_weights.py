"""enhance_np.weights: every Keras layout is read, one is written.

The files of tests/reference/ were written by tf_keras (Keras 2) and Keras 3; see
make_reference.py there.
"""

import gc
import hashlib
import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest
from weights_files import CONFIGS, PROVENANCE, REFERENCE, copied, random_weights

from enhance_np import network, weights
from enhance_np.config import NetworkConfig
from enhance_np.params import shapes

FILES = {  # name: activation that `load` finds
    "keras202_full": "relu",
    "keras2_full": "relu",
    "keras2": "relu",
    "keras2_renumbered": "relu",
    "keras2.weights": "relu",
    "keras3_full": "elu",
    "keras3.weights": "relu",
}
# Keras's float32 against our float64, relative to the range of the output
OUTPUT = 1e-5


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE / "weights_files.npz") as file:
        return dict(file)


def same_bits(got, want):
    assert list(got) == list(want)
    for name, a in want.items():
        assert got[name].dtype == a.dtype, name
        assert got[name].shape == a.shape, name
        assert got[name].tobytes() == a.tobytes(), name


def predict(w, x):
    y, _ = network.forward(w.params, x.astype(np.float64), w.config, moving=w.moving)
    return y


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
    """HDF5 lists the layers of this file in an order that is not that of the network."""
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


# ---- save and load


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


# ---- errors of save, which leave no file


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
    error.value.itself = error.value  # now only the collector can remove what the error keeps
    del error
    gc.collect()  # what it complains of fails the test
    assert list(tmp_path.iterdir()) == [path]
    assert weights.load(path).provenance == {"seed": 1}


def test_a_file_is_identified_by_the_bytes_that_were_read(tmp_path, monkeypatch):
    """Once, so that weights and sha256 belong together even if the file is replaced meanwhile."""
    path = tmp_path / "w.h5"
    w = random_weights(CONFIGS["tiny"])
    weights.save(path, w)
    want, reads = hashlib.sha256(path.read_bytes()).hexdigest(), []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: reads.append(p) or read_bytes(p))
    found, content = weights.identified(path)
    assert reads == [path]
    assert content == want == weights.digest(path)
    same_bits(found.params, w.params)


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
    # including the layers without weights, which the file does not list
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


def test_calibration_is_stored_beside_the_rest(tmp_path):
    """In files of our own and of Keras; a damaged one is told."""
    path, table = tmp_path / "w.h5", {"gain": [[1.5, 2.0]], "data": "made"}
    made = random_weights(CONFIGS["tiny"])
    weights.save(path, made)
    before = weights.load(path)
    assert before.calibration is None
    weights.add_calibration(path, {"gain": 1})
    weights.add_calibration(path, table)
    after = weights.load(path)
    assert after.calibration == table
    assert after.provenance == before.provenance
    assert after.config == before.config
    for name, values in before.params.items():
        np.testing.assert_array_equal(after.params[name], values)
    weights.save(tmp_path / "again.h5", after)
    assert weights.load(tmp_path / "again.h5").calibration == table
    with h5py.File(path, "r+") as file:
        file.attrs["enhance_np_calibration"] = "[1]"
    with pytest.raises(ValueError, match="attribute enhance_np_calibration: expected a table"):
        weights.load(path)
    with pytest.raises(OSError, match="nowhere"):
        weights.add_calibration(tmp_path / "nowhere.h5", table)
