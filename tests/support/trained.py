"""A tiny training: its data, its run, and the comparison of two runs."""

import h5py
import numpy as np

from enhance_np import layers
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.training import checkpoint, loop
from enhance_np.training.options import TrainOptions
from enhance_np.weights import load

CONFIG = NetworkConfig(1, 16)
CPU = select("cpu")
OPTIONS = TrainOptions(epochs=3, batch_size=4, lr=2e-3, schedule="cosine", seed=7)


def pairs(path, seed, n=24, size=8, spoil=None):
    """Patches whose target is the upsampled input, which a network can learn."""
    rng = np.random.default_rng(seed)
    x = 1 + 0.1 * rng.standard_normal((n, size, size, 1), dtype=np.float32)
    y = layers.upsample(x)
    if spoil == "nan":
        y[5, 3, 2, 0] = np.nan
    if spoil == "huge":
        y[:] = 3e38
    if spoil == "integers":
        x = x.astype(np.int32)
    with h5py.File(path, "w") as f:
        if spoil != "missing":
            f["imHMI"] = x[..., 0] if spoil == "3-D" else x
        f["imSST"] = y[:, :-1] if spoil == "not x2" else y
    return path


def train(files, options=OPTIONS, engine=CPU, **keywords):
    data, validation, output = files
    loop.train(data, output, CONFIG, options, engine, validation=validation, **keywords)
    return load(output)


def state(files):
    return checkpoint.load(files[2].with_suffix(".checkpoint.h5"))[0]


def assert_same_bits(one, two):
    assert one.epoch == two.epoch
    assert one.rows == two.rows
    for a, b in (
        (one.params, two.params),
        (one.moving, two.moving),
        (one.adam.m, two.adam.m),
        (one.adam.v, two.adam.v),
    ):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
