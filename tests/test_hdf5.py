"""HDF5 files that refer to other files, or declare more than they hold, are refused unread."""

import os

import h5py
import numpy as np
import pytest
from trained import OPTIONS, pairs, train

from enhance_np import weights
from enhance_np._hdf5 import open_file

HUGE = (3, 3, 16_000, 16_000)  # 9 GiB of float32


def external_link(file, folder):
    file["x"] = h5py.ExternalLink(folder / "pipe", "/x")


def external_link_in_a_group(file, folder):
    file.create_group("a/b")["x"] = h5py.ExternalLink(folder / "secret.h5", "/x")


def external_storage(file, folder):
    file.create_dataset("x", (4,), "f4", external=[(folder / "pipe", 0, 16)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(folder / "secret.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def unwritten(file, folder):
    file.create_dataset("x", HUGE, "f4")


def unwritten_chunks(file, folder):
    file.create_dataset("x", HUGE, "f4", chunks=(3, 3, 16, 16))


def unwritten_compressed(file, folder):
    data = file.create_dataset("x", HUGE, "f4", chunks=(3, 3, 16, 16), compression="gzip")
    data[:, :, :16, :16] = 1


REFUSED = {
    external_link: "must not link to other files, got x in ",
    external_link_in_a_group: "must not link to other files, got x in ",
    external_storage: "must not read other files, got /x",
    virtual: "must not read other files, got /x",
    unwritten: "must hold what it declares, got 9,216,000,000 bytes declared and 0 stored for /x",
    unwritten_chunks: "must hold what it declares",
    unwritten_compressed: "must hold what it declares",
}


@pytest.fixture
def folder(tmp_path):
    """A pipe, at which a reader would wait for ever, and a file that is not to be read."""
    os.mkfifo(tmp_path / "pipe")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones(4, "f4")
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("add", REFUSED, ids=lambda add: add.__name__)
def test_refused(folder, files, tiny, add):
    """In a file by itself, and beside the weights, the data or the checkpoint of a training."""
    with h5py.File(folder / "plain.h5", "w") as file:
        add(file, folder)
    with pytest.raises(ValueError, match=REFUSED[add]) as error:
        open_file(folder / "plain.h5")
    assert "\n" not in str(error.value)
    train(files)
    checkpoint = files[2].with_suffix(".checkpoint.h5")
    for path in (tiny, files[0], checkpoint):
        with h5py.File(path, "r+") as file:
            add(file, folder)
    with pytest.raises(ValueError, match=REFUSED[add]):
        weights.load(tiny)
    with pytest.raises(ValueError, match=REFUSED[add]):
        train(files, resume=True)
    pairs(files[0], 0)
    before = checkpoint.read_bytes(), files[2].read_bytes()
    with pytest.raises(OSError, match=REFUSED[add]):
        train(files, resume=True)
    assert (checkpoint.read_bytes(), files[2].read_bytes()) == before


def test_links_within_the_file_and_sparse_strings_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/x"] = np.arange(4.0)
        file["soft"] = h5py.SoftLink("/a/x")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["a/parent"] = file["/"]  # a loop of hard links
        file["null"] = h5py.Empty("f4")
        file.create_dataset("zeros", data=np.zeros(10**6), compression="gzip")
        file.create_dataset("texts", data=["a", "b"], dtype=h5py.string_dtype())
    with open_file(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["soft"][()], np.arange(4.0))


@pytest.mark.parametrize("kind", ["reference", "text", "ragged", "compound", "group"])
def test_weights_of_another_type_are_refused(tiny, kind):
    with h5py.File(tiny, "r+") as file:
        group = file["conv2d_1"]
        del group["conv2d_1/bias:0"]
        shape = (4,)
        made = {
            "reference": lambda: group.create_dataset("r", shape, h5py.ref_dtype),
            "text": lambda: group.create_dataset("r", shape, h5py.string_dtype()),
            "ragged": lambda: group.create_dataset("r", shape, h5py.vlen_dtype("f4")),
            "compound": lambda: group.create_dataset("r", shape, [("a", "f4")]),
            "group": lambda: group.create_group("r"),
        }[kind]()
        if kind == "ragged":
            made[0] = np.ones(3, "f4")
        elif kind != "group":
            made[...] = np.zeros(shape, made.dtype) if kind == "compound" else made[...]
        group.move("r", "conv2d_1/bias:0")
    with pytest.raises((ValueError, OSError), match=r"^load: .*tiny.h5: ") as error:
        weights.load(tiny)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_and_not_waited_for(files, tmp_path):
    pipe = tmp_path / "pipe.h5"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="the file must exist, got a pipe or a device"):
        weights.load(pipe)
    with pytest.raises(OSError, match="must be a file, got a pipe or a device"):
        train((pipe, *files[1:]))
    os.mkfifo(files[2].with_suffix(".checkpoint.h5"))
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(OSError, match="needs the name of a file"):
            train(files, OPTIONS, **options)
