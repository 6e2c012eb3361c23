"""The network in PyTorch, to compare speeds: by gpu-selftest on a CUDA device, by bench/ on a CPU.

This is the only file of the package that imports torch, and gpu-selftest imports it only if torch
is installed.
"""

import numpy as np
import torch
from torch.nn import functional

from .. import network, params
from ..layers.batchnorm import EPS
from .forward_ops import forward_ops


def ways(config, batch, patch, image, device="cuda") -> dict:
    """{name: function to time}: forward pass, training step and prediction, in channels-last."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # the fastest algorithm that cuDNN finds
    rng = np.random.default_rng(2)
    p, moving = params.initial(config, 0)
    p, moving = tensors(p, device=device), tensors(moving, device=device)
    x, target = (
        images(rng.standard_normal((batch, side, side, 1)).astype(np.float32), device=device)
        for side in (patch, 2 * patch)
    )
    picture = rng.standard_normal((1, image, image, 1)).astype(np.float32)
    for tensor in p.values():
        tensor.requires_grad_()
    adam = torch.optim.Adam(list(p.values()), 1e-4)

    def forward():
        with torch.no_grad():
            return network.forward(p, x, config, OPS)[0]

    def step():
        adam.zero_grad()
        loss = functional.mse_loss(network.forward(p, x, config, OPS)[0], target)
        loss.backward()
        adam.step()
        return loss

    def predict():
        with torch.no_grad():
            y, _ = network.forward(p, images(picture, device=device), config, OPS, moving)
            return y[0, 0].cpu().numpy()

    sides = f"{batch} x {patch} x {patch}"
    return {
        f"forward, {sides}": forward,
        f"training step, {sides}": step,
        f"prediction, {image} x {image}, from and to NumPy": predict,
    }


def seconds(way, warm_up, repeats) -> list[float]:
    """Like gpu_selftest.seconds, with torch's events."""
    for _ in range(warm_up):
        way()
    found = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        way()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1000)
    return found


def _pad_conv(h, w, b):
    p = w.shape[-1] // 2
    h = functional.pad(h, (p, p, p, p), "reflect") if p else h
    return functional.conv2d(h, w, b)


def _upsample_conv(h, w, b):
    return _pad_conv(functional.interpolate(h, scale_factor=2, mode="nearest"), w, b)


def batchnorm(h, gamma, beta, moving=None):
    mean, var = moving or (None, None)
    return functional.batch_norm(h, mean, var, gamma, beta, training=moving is None, eps=EPS)


# for network.forward: images NCHW, kernels OIHW; torch computes the gradients
OPS = forward_ops(
    pad_conv=_pad_conv,
    upsample_conv=_upsample_conv,
    batchnorm=batchnorm,
    relu=functional.relu,
    elu=functional.elu,
    add=torch.add,
)


def images(x, layout="channels-last", device="cpu"):
    """(N, H, W, C) as a tensor (N, C, H, W), in memory NHWC or, "channels-first", NCHW."""
    x = torch.from_numpy(x).to(device).permute(0, 3, 1, 2)
    if layout == "channels-last":
        return x
    # not contiguous(): with one channel it takes NHWC for NCHW, and the layers behind follow
    return x.clone(memory_format=torch.contiguous_format)


def tensors(group, layout="channels-last", device="cpu"):
    """Parameters as tensors of their own in torch's shapes, kernels in the layout of images."""
    return {
        name: images(a.transpose(3, 0, 1, 2).copy(), layout, device)
        if a.ndim == 4
        else torch.tensor(a, device=device)
        for name, a in group.items()
    }
