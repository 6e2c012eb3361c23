"""One training step of a tiny Enhance, with every array: python docs/learn/first_steps.py"""

import numpy as np

from enhance_np import loss, network, optim, params
from enhance_np.config import NetworkConfig


def show(name, a):
    print(f"{name:<20}{a.shape!s:<16} mean {a.mean():9.5f}   rms {np.sqrt((a**2).mean()):9.5f}")


rng = np.random.default_rng(4)
target = 1 + 0.1 * rng.standard_normal((2, 16, 16, 1))  # two images of the quiet Sun, (N, H, W, C)
x = target.reshape(2, 8, 2, 8, 2, 1).mean(axis=(2, 4))  # each pixel is the mean of 2 x 2
config = NetworkConfig(depth=1, filters=8)  # one residual block, 8 channels
p, _ = params.initial(config, seed=1, dtype=np.float64)  # kernels random, biases 0, gamma 1, beta 0

print("values, from x to y")
y, tape = network.forward(p, x, config, observe=show)
value, dy = loss.mse(y, target)
print(f"\nloss {value:.5f}\n\ngradients, from y to x")
dx, g = network.backward(dy, tape, config, observe=lambda name, dh: show(f"d {name}", dh))

print("\ngradients of the parameters, and what one step of Adam adds to them")
new, state = optim.adam(p, g, optim.adam_start(p), lr=1e-3)
for name in p:
    print(f"{name:<20}g rms {np.sqrt((g[name] ** 2).mean()):8.1e}   ", end="")
    print(f"step rms {np.sqrt(((new[name] - p[name]) ** 2).mean()):8.1e}")

for step in range(50):
    y, tape = network.forward(p, x, config)
    value, dy = loss.mse(y, target)
    _, g = network.backward(dy, tape, config)
    p, state = optim.adam(p, g, state if step else optim.adam_start(p), lr=1e-2)
print(f"\nloss after 50 steps {value:.5f}")
