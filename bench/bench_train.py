"""How long does one training step take, beside PyTorch?

    python bench/bench_train.py [--batch 32] [--patch 50] [--repeats 20] [--threads N] [--readme]

A step is forward with batch statistics, loss, backward and Adam, with L2 on the kernels, of the
default network on `batch` patches of 50x50 -> 100x100. Loss and gradients are held against the
page in float64 before anything is timed. PyTorch takes part if it is installed: it runs the page
in channels-last, with its own backward and its own Adam.
"""

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import table
import timing

from enhance_np import layers, loss, network, optim, params
from enhance_np.config import DEFAULT
from enhance_np.engine import select
from enhance_np.layers.batchnorm import EPS
from enhance_np.training import L2, TrainOptions, step_once

# Largest error of a tensor's gradient, in norm. Rounding moves a few of the 36 million inputs of
# ReLUs across 0, and each takes its gradient with it: 1e-4 is seen, without any of those 1e-6.
LIMIT = 1e-3
LR, DECAY = TrainOptions.lr, L2["intensity"]


def main():
    parser = timing.arguments(__doc__.splitlines()[0], repeats=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--patch", type=int, default=50)
    options = parser.parse_args()
    timing.clean_start(options.threads)
    record = {
        "environment": timing.environment(options.threads),
        "repeats": options.repeats,
        "batch": options.batch,
        "patch": options.patch,
    }
    rng = np.random.default_rng(0)
    p, _ = params.initial(DEFAULT, 0)
    shape = (options.batch, options.patch, options.patch, 1)
    x = (1 + rng.standard_normal(shape)).astype(np.float32)
    target = layers.upsample(x)

    steps, gradients = {}, {}
    steps["enhance_np"], gradients["enhance_np"] = ours(p, x, target)
    if find_spec("torch"):
        steps["PyTorch eager"], gradients["PyTorch eager"] = theirs(p, x, target, options.threads)
    record["errors"] = checked(gradients, p, x, target)
    seconds = timing.interleaved(steps, options.repeats)
    record |= {"summary": timing.summary(seconds), "seconds": seconds}

    size = f"{options.batch} patches of {options.patch} x {options.patch}"
    text = "\n\n".join(
        [
            table.markdown(
                ["one step", *steps], [[size, *timing.cells(record["summary"], list(steps))]]
            ),
            f"{timing.caption(record)} Largest relative error of a tensor's gradient against "
            f"float64, in norm: {max(e['gradient'] for e in record['errors'].values()):.1e}.",
        ]
    )
    timing.publish("train", record, text, options.readme)


def ours(p, x, target):
    """(step, gradients): one step from p; (loss, g) at p."""
    ops = select("cpu").ops
    start = optim.adam_start(p)

    def step():
        step_once(p, start, x, target, DEFAULT, ops, LR, DECAY)

    return step, lambda: page(p, x, target, ops)


def page(p, x, target, ops):
    y, tape = network.forward(p, x, DEFAULT, ops)
    value, dy = loss.mse(y, target)
    return value, network.backward(dy, tape, DEFAULT, ops)[1]


def theirs(p, x, target, threads):
    """The same in PyTorch; every step moves its parameters, which are its own."""
    import torch

    torch.set_num_threads(threads)
    p, ops = torch_tensors(p), torch_ops()
    x, target = torch_images(x), torch_images(target)
    for tensor in p.values():
        tensor.requires_grad_()
    kernels = [tensor for name, tensor in p.items() if name.endswith("/w")]
    others = [tensor for name, tensor in p.items() if not name.endswith("/w")]
    # weight_decay adds its product with w to the gradient, as 2 l2 w here
    groups = [{"params": kernels, "weight_decay": 2 * DECAY}, {"params": others}]
    adam = torch.optim.Adam(groups, LR)

    def backward():
        adam.zero_grad()
        value = torch.nn.functional.mse_loss(network.forward(p, x, DEFAULT, ops)[0], target)
        value.backward()
        return value.item()

    def step():
        backward()
        adam.step()

    def gradients():
        value, g = backward(), {name: tensor.grad.numpy() for name, tensor in p.items()}
        return value, {n: a.transpose(2, 3, 1, 0) if a.ndim == 4 else a for n, a in g.items()}

    return step, gradients


def torch_ops():
    """The vocabulary that the page needs, in torch: NCHW, kernels OIHW."""
    from torch.nn import functional

    def pad_conv(h, w, b):
        p = w.shape[-1] // 2
        h = functional.pad(h, (p, p, p, p), "reflect") if p else h
        return functional.conv2d(h, w, b), None

    def batchnorm(h, gamma, beta):
        return functional.batch_norm(h, None, None, gamma, beta, training=True, eps=EPS), None

    return SimpleNamespace(
        pad_conv=pad_conv,
        batchnorm=batchnorm,
        batchnorm_moving=lambda h, gamma, beta, mean, var: functional.batch_norm(
            h, mean, var, gamma, beta, eps=EPS
        ),
        relu=lambda h: (functional.relu(h), None),
        elu=lambda h: (functional.elu(h), None),
        upsample=lambda h: functional.interpolate(h, scale_factor=2, mode="nearest"),
    )


def torch_images(x):
    """(N, H, W, C) as a tensor (N, C, H, W) of the same memory: what torch calls channels-last."""
    import torch

    return torch.from_numpy(x).permute(0, 3, 1, 2)


def torch_tensors(group):
    """Parameters in torch's shapes, kernels channels-last."""
    import torch

    return {
        name: torch_images(a.transpose(3, 0, 1, 2).copy()) if a.ndim == 4 else torch.tensor(a)
        for name, a in group.items()
    }


def checked(gradients, p, x, target):
    """Errors of loss and gradients against the page in float64; exits if one is large.

    Tensors whose gradient is zero by theory are left out: rounding is all there is.
    """
    exact_p = {name: a.astype("f8") for name, a in p.items()}
    exact_loss, exact = page(exact_p, x.astype("f8"), target.astype("f8"), layers)
    zero = {"tail/conv/b"}
    for k in range(DEFAULT.depth):
        zero |= {f"block{k}/{tensor}" for tensor in ("conv1/b", "conv2/b", "bn2/beta")}
    errors = {}
    for way, function in gradients.items():
        value, g = function()
        found = {n: _error(g[n], exact[n]) for n in exact if n not in zero}
        worst = max(found, key=found.get)
        errors[way] = {"loss": _error(value, exact_loss), "gradient": found[worst], "of": worst}
        print(f"{way}: error of the loss {errors[way]['loss']:.1e}, of {worst} {found[worst]:.1e}")
        if not max(errors[way]["loss"], found[worst]) <= LIMIT:
            raise SystemExit(f"bench_train: {way} must agree within {LIMIT}: not timed")
    return errors


def _error(value, exact):
    return float(np.linalg.norm(value - exact) / np.linalg.norm(exact))


if __name__ == "__main__":
    main()
