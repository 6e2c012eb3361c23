"""The network in PyTorch on a CUDA device, with cuDNN's operations, as a comparison of speed.

This is the only file of the package that imports torch, and only gpu-selftest imports it, if torch
is installed.
"""

from types import SimpleNamespace

import numpy as np
import torch
from torch.nn import functional

from .. import network, params
from ..layers.batchnorm import EPS


def ways(config, batch, patch, image, device="cuda") -> dict:
    """{name: function to time}: forward pass, training step and prediction, in channels-last."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True  # the fastest algorithm that cuDNN finds
    rng = np.random.default_rng(2)
    p, moving = params.initial(config, 0)
    p, moving = _tensors(p, device), _tensors(moving, device)
    x, target = (
        _image(rng.standard_normal((batch, side, side, 1)).astype(np.float32), device)
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
            y, _ = network.forward(p, _image(picture, device), config, OPS, moving)
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
    return functional.conv2d(h, w, b), None


def _upsample_conv(h, w, b):
    return _pad_conv(functional.interpolate(h, scale_factor=2, mode="nearest"), w, b)


def _batchnorm(h, gamma, beta, moving=None):
    mean, var = moving or (None, None)
    return functional.batch_norm(h, mean, var, gamma, beta, training=moving is None, eps=EPS)


def _of(act):
    def bn_act(h, gamma, beta, moving=None):
        return act(_batchnorm(h, gamma, beta, moving)), None

    return lambda h: (act(h), None), bn_act, lambda h, w, b: _pad_conv(act(h), w, b)


def _batchnorm_add(h, skip, gamma, beta, moving=None):
    return _batchnorm(h, gamma, beta, moving) + skip, None


# forward operations for network.forward: images NCHW, kernels OIHW; torch computes the gradients
OPS = SimpleNamespace(pad_conv=_pad_conv, upsample_conv=_upsample_conv)
OPS.batchnorm_add = _batchnorm_add
OPS.relu, OPS.batchnorm_relu, OPS.relu_conv = _of(functional.relu)
OPS.elu, OPS.batchnorm_elu, OPS.elu_conv = _of(functional.elu)


def _image(x, device):
    """(N, H, W, C) as a tensor (N, C, H, W) that is NHWC in memory."""
    return torch.from_numpy(x).to(device).permute(0, 3, 1, 2)


def _tensors(group, device):
    """Parameters in torch's shapes."""
    return {
        name: _image(a.transpose(3, 0, 1, 2).copy(), device)
        if a.ndim == 4
        else torch.from_numpy(a.copy()).to(device)
        for name, a in group.items()
    }
