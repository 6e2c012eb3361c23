"""PyTorch, eager and compiled, as a peer."""

from functools import partial

import torch
from torch.nn import functional

from enhance_np import network
from enhance_np.inspection.peer_torch import OPS, images, tensors


def predictors(weights, x, threads):
    """Both in channels-last, in which the convolutions are faster."""
    torch.set_num_threads(threads)
    net = Network(weights).eval()
    image = images(x.reshape(1, *x.shape, 1))
    # dynamic=False: an own program for each size.  freezing: weights are constants, so that they
    # are laid out, and folded with batch norm, once; without it this is slower than eager
    frozen = torch.compile(net, dynamic=False, options={"freezing": True})

    def predict(forward):
        with torch.no_grad():
            return forward(image)[0, 0].numpy()

    return {"torch.compile": partial(predict, frozen), "PyTorch eager": partial(predict, net)}


class Network(torch.nn.Module):
    """network.py as a torch module whose weights are constants."""

    def __init__(self, weights):
        super().__init__()
        self.config = weights.config
        for role, group in (("p", weights.params), ("moving", weights.moving)):
            for name, tensor in tensors(group).items():
                self.register_buffer(self._own(role, name), tensor)
        self.names = {"p": tuple(weights.params), "moving": tuple(weights.moving)}

    def forward(self, x):
        p, moving = (
            {name: getattr(self, self._own(role, name)) for name in self.names[role]}
            for role in ("p", "moving")
        )
        return network.forward(p, x, self.config, OPS, moving)[0]

    @staticmethod
    def _own(role, name):
        return f"{role}_{name.replace('/', '_')}"


def trainers(p, x, target, config, lr, decay, threads):
    torch.set_num_threads(threads)
    return {
        f"{how}, {layout}": trainer(p, x, target, config, lr, decay, layout, how)
        for how in ("PyTorch eager", "torch.compile")
        for layout in ("channels-last", "channels-first")
    }


def trainer(p, x, target, config, lr, decay, layout, how):
    """(step, gradients); every step changes its own parameters."""
    p = tensors(p, layout)
    x, target = images(x, layout), images(target, layout)
    for tensor in p.values():
        tensor.requires_grad_()
    kernels = [tensor for name, tensor in p.items() if name.endswith("/w")]
    others = [tensor for name, tensor in p.items() if not name.endswith("/w")]
    # weight_decay adds its product with w to the gradient, as 2 l2 w does here
    groups = [{"params": kernels, "weight_decay": 2 * decay}, {"params": others}]
    adam = torch.optim.Adam(groups, lr)

    def loss(p, x, target):
        return functional.mse_loss(network.forward(p, x, config, OPS)[0], target)

    if how == "torch.compile":
        loss = torch.compile(loss, dynamic=False)

    def backward():
        adam.zero_grad()
        value = loss(p, x, target)
        value.backward()
        return value.item()

    def step():
        backward()
        adam.step()

    def gradients():
        value, g = backward(), {name: tensor.grad.numpy() for name, tensor in p.items()}
        return value, {n: a.transpose(2, 3, 1, 0) if a.ndim == 4 else a for n, a in g.items()}

    return step, gradients
