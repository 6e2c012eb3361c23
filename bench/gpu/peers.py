"""PyTorch on the card, at its best: the ways in which a user of it would compute the same.

Every way is timed in both layouts. Reflection padding in channels-last makes PyTorch fall back to
channels-first and copy twice, so there is a second padding that keeps the layout. TF32, which
rounds the factors to 11 bits, is off and on: its results are not float32's. For a prediction, batch
norm is folded into the convolutions, as ours is. `torch.compile` comes last, because it takes long.
"""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from torch.nn import functional

from enhance_np import network, params
from enhance_np.config import NetworkConfig
from enhance_np.engine.fold import fold
from enhance_np.inspection import peer_torch
from enhance_np.inspection.forward_ops import forward_ops
from enhance_np.weights import Weights

LAYOUTS = "channels-last", "channels-first"


def padded(h, p):
    """Reflection padding by 1 that keeps the layout in memory."""
    if p == 0:
        return h
    h = torch.cat([h[:, :, 1:2], h, h[:, :, -2:-1]], 2)
    return torch.cat([h[..., 1:2], h, h[..., -2:-1]], 3)


def reflected(h, p):
    return functional.pad(h, (p, p, p, p), "reflect") if p else h


PADS: dict[str, Callable] = {"F.pad": reflected, "pad by cat": padded}


def operations(pad: Callable):
    """The operations of network.forward with this padding."""

    def pad_conv(h, w, b):
        return functional.conv2d(pad(h, w.shape[-1] // 2), w, b)

    def upsample_conv(h, w, b):
        return pad_conv(functional.interpolate(h, scale_factor=2, mode="nearest"), w, b)

    return forward_ops(
        pad_conv=pad_conv,
        upsample_conv=upsample_conv,
        batchnorm=peer_torch.batchnorm,
        relu=functional.relu,
        elu=functional.elu,
        add=torch.add,
    )


def precision(tf32: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True  # the fastest algorithm that cuDNN finds


def steps(
    config: NetworkConfig, batch: int, patch: int, device="cuda", compile: bool = False
) -> Iterator[tuple[str, Callable]]:
    """(name, function) of a training step: forward, mse, backward, fused Adam."""
    for layout, (pad, tf32) in product(LAYOUTS, product(PADS, (False, True))):
        precision(tf32)
        rng = np.random.default_rng(2)
        p = peer_torch.tensors(params.initial(config, 0)[0], layout, device)
        x, target = (
            peer_torch.images(
                rng.standard_normal((batch, side, side, 1)).astype(np.float32), layout, device
            )
            for side in (patch, 2 * patch)
        )
        for tensor in p.values():
            tensor.requires_grad_()
        adam = torch.optim.Adam(list(p.values()), 1e-4, fused=device == "cuda")
        ops = operations(PADS[pad])

        def loss(p=p, x=x, target=target, ops=ops):
            return functional.mse_loss(network.forward(p, x, config, ops)[0], target)

        compiled = torch.compile(loss) if compile else loss

        def step(adam=adam, loss=compiled):
            adam.zero_grad()
            loss().backward()
            adam.step()

        yield f"{layout}, {pad}{', TF32' if tf32 else ''}{', compiled' if compile else ''}", step


def folded(convs, config: NetworkConfig, pad: Callable, x):
    """The network with batch norm in its convolutions, as engine.cuda.folded computes it."""

    def conv(h, name):
        w, b = convs[name]
        return functional.conv2d(pad(h, w.shape[-1] // 2), w, b)

    x0 = h = torch.relu(conv(x, "stem/conv"))
    for k in range(config.depth):
        h = h + conv(torch.relu(conv(h, f"block{k}/conv1")), f"block{k}/conv2")
    h = conv(h, "tail/conv") + x0
    h = functional.interpolate(h, scale_factor=2, mode="nearest")
    return conv(torch.relu(conv(h, "refine/conv")), "head")


def predictions(
    weights: Weights, image: np.ndarray, device="cuda"
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """(name, function) of a prediction from and to NumPy.  image : (H, W) float32."""
    for layout, (pad, tf32) in product(LAYOUTS, product(PADS, (False, True))):
        precision(tf32)
        convs = {
            name: (peer_torch.tensors({"w": conv.w}, layout, device)["w"],
                   torch.tensor(conv.b, device=device))
            for name, conv in fold(weights).items()
        }  # fmt: skip

        def predict(convs=convs, layout=layout, pad=PADS[pad]):
            with torch.no_grad():
                x = peer_torch.images(image[None, :, :, None], layout, device)
                return folded(convs, weights.config, pad, x)[0, 0].cpu().numpy()

        yield f"{layout}, {pad}{', TF32' if tf32 else ''}", predict


def convolutions(shape, device="cuda") -> Iterator[tuple[str, Callable]]:
    """(name, function) of one 3x3 convolution, its dX and its dW, of images padded before.

    shape : N, H, W, Cin, Cout of the images without padding.
    """
    n, h, w, cin, cout = shape
    for layout, tf32 in product(LAYOUTS, (False, True)):
        precision(tf32)
        rng = np.random.default_rng(5)

        def image(*size, rng=rng, layout=layout):
            return peer_torch.images(rng.standard_normal(size).astype(np.float32), layout, device)

        x, dy = image(n, h + 2, w + 2, cin), image(n, h, w, cout)
        kernel = peer_torch.tensors(
            {"w": rng.standard_normal((3, 3, cin, cout)).astype(np.float32)}, layout, device
        )["w"]

        def backward(wanted, x=x, dy=dy, kernel=kernel):
            return torch.ops.aten.convolution_backward(
                dy, x, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, wanted
            )

        end = f"{layout}{', TF32' if tf32 else ''}"
        yield f"y, {end}", lambda x=x, kernel=kernel: functional.conv2d(x, kernel)
        yield f"dX, {end}", lambda backward=backward: backward([True, False, False])
        yield f"dW, {end}", lambda backward=backward: backward([False, True, False])


def cudnn_conv(shapes) -> dict[tuple[int, ...], float]:
    """{shape: seconds} of the fastest float32 convolution, without TF32."""
    found = {}
    for shape in shapes:
        timed = []
        for name, way in convolutions(shape):
            if name.startswith("y") and "TF32" not in name:
                timed.append(float(np.median(peer_torch.seconds(way, 3, 20))))
        found[shape] = min(timed)
    return found
