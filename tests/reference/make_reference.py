"""Make the files of this folder with Keras and PyTorch; run by hand, the results are committed.

    python -m pip install -e . tensorflow tf_keras torch
    python tests/reference/make_reference.py

It writes beside itself. tf_keras is Keras 2 kept alive; the CPU build of torch is enough. Made
with tensorflow 2.21.0, tf_keras 2.21.0, keras 3.15.1, torch 2.13.0.

    keras_<case>.npz, torch_<case>.npz    float64: one step and five, see `CASES`, `keras_case`
    bn_moving_float32.npz                 moving statistics of Keras's fused batch norm
    weights_*.h5, weights_files.npz       one network as each Keras writes it, see `weights_files`

The keys of the .npz are the names of enhance_np.params with a group before them:
`params/block0/conv1/w`, `grads/...`, `after/...` (five Adam steps), `moving_after/...`.
"""

import os
from pathlib import Path

import h5py
import numpy as np

from enhance_np.config import NetworkConfig
from enhance_np.params import layers, shapes

HERE = Path(__file__).parent
CASES = {
    "relu": NetworkConfig(depth=1, filters=4),
    "elu": NetworkConfig(depth=2, filters=3, activation="elu"),
    "refine16": NetworkConfig(depth=1, filters=4, refine_filters=16),
}
TINY = CASES["relu"]
L2 = 1e-3
LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-7
STEPS = 5
BN_EPS, MOMENTUM = 1e-3, 0.99
ROLES = {"conv": ("w", "b"), "bn": ("gamma", "beta", "mean", "var")}  # Keras's order


def random_network(config, rng):
    """(params, moving), float64, of the magnitude that training gives, every value different."""
    params, moving = shapes(config)

    def fill(name, shape):
        z = rng.standard_normal(shape)
        if name.endswith("/w"):
            return z * np.sqrt(2 / np.prod(shape[:-1]))
        return 1 + 0.2 * np.abs(z) if name.endswith(("/gamma", "/var")) else 0.2 * z

    return tuple({name: fill(name, s) for name, s in group.items()} for group in (params, moving))


def keras_model(keras, config, noise=0.0):
    """(model, {our layer name: Keras layer}); `keras` is the module keras or tf_keras.

    noise : sigma of the Gaussian noise that the original adds in training; 0 leaves it out.
    """
    import tensorflow as tf

    class ReflectionPadding2D(keras.layers.Layer):
        def call(self, x):
            return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")

    made = {}

    def conv(h, name, filters, kernel=3):
        made[name] = keras.layers.Conv2D(filters, kernel, padding="valid")
        return made[name](ReflectionPadding2D()(h) if kernel == 3 else h)

    def bn(h, name):
        made[name] = keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=BN_EPS)
        return made[name](h)

    def act(h):
        return keras.layers.Activation(config.activation)(h)

    def add(h, skip):
        return keras.layers.Add()([h, skip])

    x = keras.layers.Input((None, None, 1))
    h = keras.layers.GaussianNoise(noise)(x) if noise else x
    h = x0 = act(conv(h, "stem/conv", config.filters))
    for k in range(config.depth):
        skip = h
        h = act(bn(conv(h, f"block{k}/conv1", config.filters), f"block{k}/bn1"))
        h = bn(conv(h, f"block{k}/conv2", config.filters), f"block{k}/bn2")
        h = add(h, skip)
    h = add(bn(conv(h, "tail/conv", config.filters), "tail/bn"), x0)
    h = keras.layers.UpSampling2D(interpolation="nearest")(h)
    h = act(conv(h, "refine/conv", config.refine))
    return keras.Model(x, conv(h, "head", 1, kernel=1)), made


def set_keras(made, config, params, moving):
    values = {**params, **moving}
    for kind, name, _ in layers(config):
        made[name].set_weights([values[f"{name}/{role}"] for role in ROLES[kind]])


def get_keras(made, config):
    """(params, moving) of a Keras model."""
    values = {
        f"{name}/{role}": value
        for kind, name, _ in layers(config)
        for role, value in zip(ROLES[kind], made[name].get_weights(), strict=True)
    }
    return tuple({name: values[name] for name in group} for group in shapes(config))


def keras_case(config, params, moving, x, target):
    """What Keras 3 computes in float64, as a dict of .npz entries.

    y_train, y_inference : (N, 2H, 2W, 1), with the statistics of the batch and the moving ones;
    loss : mse + L2 sum w^2; grads of it; after, moving_after : STEPS Adam steps on the batch.
    """
    import keras
    import tensorflow as tf

    keras.config.set_floatx("float64")  # the learning rate
    keras.config.set_dtype_policy("float64")  # the layers
    model, made = keras_model(keras, config)
    set_keras(made, config, params, moving)
    # Keras would round a Python float to float32, and 1 - beta2 would be wrong by 1e-5
    adam = keras.optimizers.Adam(LR, np.float64(BETA1), np.float64(BETA2), EPS)
    names = {}  # Keras's variable -> our name
    for kind, name, _ in layers(config):
        for role, variable in zip(ROLES[kind], made[name].weights, strict=True):
            names[variable.path] = f"{name}/{role}"
    out = {"y_inference": model(x, training=False).numpy()}
    for step in range(STEPS):
        with tf.GradientTape() as tape:
            y = model(x, training=True)
            # not regularizers.L2, which rounds its factor to float32
            kernels = [
                made[name].kernel.value for kind, name, _ in layers(config) if kind == "conv"
            ]
            loss = tf.reduce_mean((y - target) ** 2)
            loss += L2 * tf.add_n([tf.reduce_sum(w**2) for w in kernels])
        variables = model.trainable_variables
        grads = tape.gradient(loss, [v.value for v in variables])
        if step == 0:
            out |= {"y_train": y.numpy(), "loss": loss.numpy()}
            for v, g in zip(variables, grads, strict=True):
                out[f"grads/{names[v.path]}"] = g.numpy()
        adam.apply_gradients(zip(grads, variables, strict=True))
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return out | grouped(*get_keras(made, config))


def torch_case(config, params, moving, x, target):
    """The same in PyTorch, with NCHW and OIHW inside.

    Two differences of PyTorch are corrected here: its Adam has eps inside the bias correction
    (eps_t below), and its moving variance takes M / (M - 1) times the batch's.
    """
    import torch
    from torch.nn import functional

    def tensor(value):  # HWIO -> OIHW; NHWC -> NCHW
        order = {"w": (3, 2, 0, 1), "x": (0, 3, 1, 2)}
        value, kind = value
        return torch.tensor(value.transpose(order[kind]) if kind in order else value)

    p = {
        name: tensor((value, name.rsplit("/", 1)[1])).requires_grad_()
        for name, value in params.items()
    }
    moving = {name: torch.tensor(value) for name, value in moving.items()}
    x, target = tensor((x, "x")), tensor((target, "x"))
    act = {"relu": functional.relu, "elu": functional.elu}[config.activation]

    def forward(training):
        def conv(h, name):
            w, b = p[f"{name}/w"], p[f"{name}/b"]
            if w.shape[-1] == 3:
                h = functional.pad(h, (1, 1, 1, 1), "reflect")
            return functional.conv2d(h, w, b)

        def bn(h, name):
            affine = {"weight": p[f"{name}/gamma"], "bias": p[f"{name}/beta"], "eps": BN_EPS}
            if not training:
                return functional.batch_norm(
                    h, moving[f"{name}/mean"], moving[f"{name}/var"], training=False, **affine
                )
            with torch.no_grad():
                var, mean = torch.var_mean(h, (0, 2, 3), correction=0)
                for role, now in (("mean", mean), ("var", var)):
                    old = moving[f"{name}/{role}"]
                    moving[f"{name}/{role}"] = MOMENTUM * old + (1 - MOMENTUM) * now
            return functional.batch_norm(h, None, None, training=True, **affine)

        h = x0 = act(conv(x, "stem/conv"))
        for k in range(config.depth):
            skip = h
            h = act(bn(conv(h, f"block{k}/conv1"), f"block{k}/bn1"))
            h = bn(conv(h, f"block{k}/conv2"), f"block{k}/bn2") + skip
        h = bn(conv(h, "tail/conv"), "tail/bn") + x0
        h = functional.interpolate(h, scale_factor=2, mode="nearest")
        return conv(act(conv(h, "refine/conv")), "head")

    def image(y):
        return y.detach().numpy().transpose(0, 2, 3, 1)

    def array(value, name):
        value = value.detach().numpy().copy()
        return value.transpose(2, 3, 1, 0) if name.endswith("/w") else value

    out = {"y_inference": image(forward(training=False))}
    adam = torch.optim.Adam(p.values(), LR, (BETA1, BETA2))
    for step in range(STEPS):
        adam.zero_grad()
        y = forward(training=True)
        kernels = (value for name, value in p.items() if name.endswith("/w"))
        loss = functional.mse_loss(y, target) + L2 * sum((w**2).sum() for w in kernels)
        loss.backward()
        if step == 0:
            out |= {"y_train": image(y), "loss": loss.detach().numpy()}
            out |= {f"grads/{name}": array(value.grad, name) for name, value in p.items()}
        adam.param_groups[0]["eps"] = EPS / (1 - BETA2 ** (step + 1)) ** 0.5
        adam.step()
    after = {name: array(value, name) for name, value in p.items()}
    return out | grouped(after, {name: value.numpy() for name, value in moving.items()})


def grouped(after, moving_after):
    return {f"after/{name}": a for name, a in after.items()} | {
        f"moving_after/{name}": a for name, a in moving_after.items()
    }


def given(params, moving, x, target):
    """The inputs of a case, in the form in which they are stored beside its results."""
    numbers = {"x": x, "target": target, "l2": L2, "lr": LR, "beta1": BETA1, "beta2": BETA2}
    numbers |= {"eps": EPS, "steps": STEPS, "momentum": MOMENTUM, "bn_eps": BN_EPS}
    numbers |= {f"params/{name}": a for name, a in params.items()}
    return numbers | {f"moving/{name}": a for name, a in moving.items()}


def steps(case, config):
    """Writes keras_<case>.npz and torch_<case>.npz, after checking that they agree."""
    rng = np.random.default_rng(sorted(CASES).index(case))
    params, moving = random_network(config, rng)
    x, target = rng.standard_normal((2, 6, 7, 1)), rng.standard_normal((2, 12, 14, 1))
    start = given(params, moving, x, target)
    results = [f(config, params, moving, x, target) for f in (keras_case, torch_case)]
    worst = 0.0
    assert results[0].keys() == results[1].keys()
    for name, a in results[0].items():
        b = results[1][name]
        assert a.shape == b.shape, name
        assert a.dtype == b.dtype == np.float64, name
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-11, err_msg=name)
        worst = max(worst, float(np.abs(a - b).max()))
    print(f"{case}: Keras and PyTorch differ by {worst:.1e} at most")
    for framework, result in zip(("keras", "torch"), results, strict=True):
        np.savez_compressed(HERE / f"{framework}_{case}.npz", **start, **result)


def bn_moving():
    """One training pass of tf_keras's fused float32 batch norm over M = 24 values.

    It stores momentum * old + (1 - momentum) * var * M / (M - 1), unlike the float64 above.
    """
    import tf_keras

    rng = np.random.default_rng(0)
    x = (1 + rng.standard_normal((2, 3, 4, 5))).astype(np.float32)
    mean, var = (1 + 0.1 * rng.random((2, 5))).astype(np.float32)
    layer = tf_keras.layers.BatchNormalization(momentum=MOMENTUM, epsilon=BN_EPS)
    layer.build(x.shape)
    layer.set_weights([np.ones(5), np.zeros(5), mean, var])
    layer(x, training=True)
    *_, mean_after, var_after = layer.get_weights()
    m = x.size // 5
    stored = (var_after - MOMENTUM * var) / (1 - MOMENTUM)
    np.testing.assert_allclose(stored, x.var((0, 1, 2)) * m / (m - 1), rtol=2e-4)
    np.savez_compressed(
        HERE / "bn_moving_float32.npz",
        **{"x": x, "mean": mean, "var": var, "momentum": MOMENTUM},
        **{"mean_after": mean_after, "var_after": var_after},
    )


def weights_files():
    """One set of float32 weights (TINY, one training step old) as each Keras writes it.

    weights_keras2_full.h5        tf_keras, model.save: model_weights, optimizer_weights
    weights_keras2.h5             tf_keras, save_weights
    weights_keras2_renumbered.h5  tf_keras, save_weights, layers from conv2d_7 and
                                  batch_normalization_9: HDF5 lists conv2d_10 first
    weights_keras2.weights.h5     tf_keras, save_weights, in the other layout
    weights_keras3_full.h5        Keras 3, model.save, with elu in place of relu
    weights_keras3.weights.h5     Keras 3, save_weights
    weights_keras202_full.h5      NOT written by Keras 2.0.2, which needs Python 3.6:
                                  weights_keras2_full.h5 with its names and types of attributes
    weights_files.npz             the weights, an input x, and each Keras's output: y_<file>
    """
    import keras
    import tf_keras

    rng = np.random.default_rng(7)
    x = (1 + 0.1 * rng.standard_normal((2, 6, 7, 1))).astype(np.float32)
    target = np.repeat(np.repeat(x, 2, 1), 2, 2)
    tf_keras.backend.reset_uids()
    model, made = keras_model(tf_keras, TINY, noise=1e-3)
    set_keras(made, TINY, *random_network(TINY, rng))
    tf_keras.utils.set_random_seed(7)
    # it has one moment per weight, with the same name: a smaller file than with Adam
    model.compile(tf_keras.optimizers.SGD(1e-3, momentum=0.9), "mse")
    model.fit(x, target, verbose=0)
    params, moving = get_keras(made, TINY)
    out = {"x": x, **{f"params/{n}": a for n, a in params.items()}}
    out |= {f"moving/{n}": a for n, a in moving.items()}

    def write(name, model, save):
        save(HERE / f"weights_{name}.h5")
        out[f"y_{name}"] = model.predict(x, verbose=0)

    write("keras2_full", model, model.save)
    write("keras2", model, model.save_weights)
    tf_keras.backend.reset_uids()
    for _ in range(7):
        tf_keras.layers.Conv2D(1, 1)
    for _ in range(9):
        tf_keras.layers.BatchNormalization()
    model, made = keras_model(tf_keras, TINY, noise=1e-3)
    assert [made["stem/conv"].name, made["head"].name] == ["conv2d_7", "conv2d_12"]
    assert made["block0/bn1"].name == "batch_normalization_9"
    set_keras(made, TINY, params, moving)
    write("keras2_renumbered", model, model.save_weights)
    write("keras2.weights", model, model.save_weights)

    model, made = keras_model(keras, TINY, noise=1e-3)
    set_keras(made, TINY, params, moving)
    write("keras3.weights", model, model.save_weights)
    elu = NetworkConfig(TINY.depth, TINY.filters, "elu")
    model, made = keras_model(keras, elu, noise=1e-3)
    set_keras(made, elu, params, moving)
    write("keras3_full", model, model.save)

    like_keras_202(HERE / "weights_keras2_full.h5", HERE / "weights_keras202_full.h5")
    out["y_keras202_full"] = out["y_keras2_full"]
    np.savez_compressed(HERE / "weights_files.npz", **out)


def like_keras_202(source, target):
    """Copy a full tf_keras file to names that count from 1, and to attributes in bytes.

    model_weights/conv2d_1/conv2d_1/kernel:0 with layer_names, weight_names, backend and
    keras_version in bytes, no group top_level_model_weights, a stub of optimizer_weights.
    """

    def renamed(layer):
        stem, _, number = layer.rpartition("_")
        known = number.isdigit()
        return f"{stem}_{int(number) + 1}" if known else f"{layer}_1"

    def text(names):
        return np.array([name.encode() for name in names])

    with h5py.File(source) as old, h5py.File(target, "w") as new:
        config = old.attrs["model_config"]
        for name, value in (("model_config", config), ("keras_version", "2.0.2")):
            new.attrs[name] = np.bytes_(value.encode())
        new.attrs["backend"] = np.bytes_(b"tensorflow")
        group = new.create_group("model_weights")
        for name in ("keras_version", "backend"):
            group.attrs[name] = new.attrs[name]
        old_group = old["model_weights"]
        listed = list(old_group.attrs["layer_names"])
        group.attrs["layer_names"] = text(map(renamed, listed))
        for layer in listed:
            inner = group.create_group(renamed(layer))
            names = [
                n.replace(layer, renamed(layer)) for n in old_group[layer].attrs["weight_names"]
            ]
            inner.attrs["weight_names"] = text(names)
            for old_name, name in zip(old_group[layer].attrs["weight_names"], names, strict=True):
                inner[name] = old_group[layer][old_name][()]
        optimizer = new.create_group("optimizer_weights")
        optimizer["training/Adam/iterations:0"] = np.float32(1)
        optimizer.attrs["weight_names"] = text(["training/Adam/iterations:0"])


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for case, config in CASES.items():
        steps(case, config)
    bn_moving()
    weights_files()
