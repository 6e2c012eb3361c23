"""kernels/batchnorm.cu by its launchers, against float64; see tests/kernels/test_proofs.py."""

import numpy as np
from cases.passes import several

from enhance_np import layers
from enhance_np.engine import cuda

# registers per thread on any card; 1024 threads of a multiprocessor have 64 each
REGISTERS = dict.fromkeys(
    "moments statistics normalise normalise_add products gradients normalise_backward".split(), 64
)
U = 2.0**-24


def doubled(*arrays):
    return [a.astype("f8") for a in arrays]


def host(cupy, *arrays):
    return [cupy.asnumpy(a).astype("f8") for a in arrays]


def drawn(rng, shape, level=1.0):
    """(x, dy, skip, gamma, beta); each line of x has its own mean."""
    x = level + 0.3 * rng.standard_normal(shape) + np.linspace(0, 3, shape[1])[:, None, None]
    others = (rng.standard_normal(shape) for _ in range(2))
    return [a.astype(np.float32) for a in (x, *others, *rng.standard_normal((2, shape[-1])))]


def assert_statistics(cupy, cache, x):
    """The statistics are within the bounds of the kernel's head."""
    mean, var, inv_std = host(cupy, cache.mean, cache.var, cache.inv_std)
    want, want_var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    assert (abs(mean - want) <= 36 * U * np.sqrt(want_var) + U * abs(want)).all()
    assert (abs(var - want_var) <= 64 * U * want_var).all()
    assert (abs(inv_std * np.sqrt(var + np.float32(1e-3)) - 1) <= 2 * U).all()


def assert_forward(cupy, y, cache, x, gamma, beta, added=0.0, floor=-np.inf):
    """With the stored statistics, y has three roundings of a product and one of each sum."""
    mean, inv_std = host(cupy, cache.mean, cache.inv_std)
    term = (x - mean) * inv_std * gamma
    bound = 4 * U * (abs(term) + abs(beta) + abs(added))
    (y,) = host(cupy, y)
    assert (abs(y - np.maximum(term + beta + added, floor)) <= bound).all()


def assert_backward(cupy, found, dy, cache, x, gamma, through=1):
    """dx, dgamma and dbeta are right for the stored statistics. dy : the gradient that passed."""
    dx, dgamma, dbeta = host(cupy, *found)
    mean, inv_std = host(cupy, cache.mean, cache.inv_std)
    off, axes, count = x - mean, (0, 1, 2), x.size // x.shape[-1]
    sums = dy.sum(axis=axes), (dy * off).sum(axis=axes)
    sizes = abs(dy).sum(axis=axes), (abs(dy * off)).sum(axis=axes)
    assert (abs(dbeta - sums[0]) <= 9 * U * sizes[0]).all()
    assert (abs(dgamma - inv_std * sums[1]) <= 11 * U * inv_std * sizes[1]).all()
    scale = gamma * inv_std
    want = scale * dy - through * scale * (sums[0] + off * inv_std**2 * sums[1]) / count
    # the errors of the sums, and at most six roundings of each term
    terms = abs(dy) + through * (sizes[0] + abs(off) * inv_std**2 * sizes[1]) / count
    assert (abs(dx - want) <= 17 * U * abs(scale) * terms).all()


def whole(shape, level=1.0):
    """Batch norm alone, with a ReLU and with a residual."""

    def case(cupy, rng):
        data = drawn(rng, shape, level)
        x, dy, skip, gamma, beta = map(cupy.asarray, data)
        exact, exact_dy, exact_skip, *vectors = doubled(*data)
        y, cache = cuda.batchnorm(x, gamma, beta)
        assert_statistics(cupy, cache, exact)
        assert_forward(cupy, y, cache, exact, *vectors)
        found = cuda.batchnorm_backward(dy, cache)
        assert_backward(cupy, found, exact_dy, cache, exact, vectors[0])

        z, cache = cuda.batchnorm_relu(x, gamma, beta)
        assert_forward(cupy, z, cache, exact, *vectors, floor=0.0)
        rectified = cuda.batchnorm_relu_backward(dy, cache)
        passed = exact_dy * (cupy.asnumpy(z) > 0)  # where y as computed is above 0
        assert_backward(cupy, rectified, passed, cache, exact, vectors[0])

        s, cache = cuda.batchnorm_add(x, skip, gamma, beta)
        assert_forward(cupy, s, cache, exact, *vectors, added=exact_skip)
        dx, dskip, *others = cuda.batchnorm_add_backward(dy, cache)
        assert dskip is dy
        assert_backward(cupy, (dx, *others), exact_dy, cache, exact, vectors[0])
        return y, *found, z, *rectified, s

    return case


def given(shape):
    """With given statistics, no gradient goes through them."""

    def case(cupy, rng):
        data = drawn(rng, shape)
        moving = tuple((1 + rng.random((2, shape[-1]))).astype(np.float32))
        x, dy, _, gamma, beta = map(cupy.asarray, data)
        exact, exact_dy, _, *vectors = doubled(*data)
        y, cache = cuda.batchnorm(x, gamma, beta, moving=tuple(map(cupy.asarray, moving)))
        assert_forward(cupy, y, cache, exact, *vectors)
        want, _ = layers.batchnorm(exact, *vectors, moving=doubled(*moving))
        np.testing.assert_allclose(cupy.asnumpy(y), want, rtol=1e-5, atol=1e-5)
        found = cuda.batchnorm_backward(dy, cache)
        assert_backward(cupy, found, exact_dy, cache, exact, vectors[0], through=0)
        return y, *found

    return case


def not_a_number(shape):
    """NaN stays NaN after a ReLU, so that a training that diverges is noticed."""

    def case(cupy, rng):
        x, _, _, gamma, beta = drawn(rng, shape)
        moving = tuple(map(cupy.asarray, (np.zeros_like(beta), np.ones_like(beta))))
        x[0, 1, 2, 3] = np.nan
        y, _ = cuda.batchnorm_relu(*map(cupy.asarray, (x, gamma, beta)), moving=moving)
        np.testing.assert_array_equal(np.isnan(cupy.asnumpy(y)), np.isnan(x))
        return (cupy.asarray(np.nan_to_num(cupy.asnumpy(y))),)

    return case


def exactly(shape):
    """Constant channels of any value, and sums of integers, are exact."""

    def case(cupy, rng):
        c = shape[-1]
        x = np.empty(shape, np.float32)
        x[...] = np.resize(np.float32([0.1, 1e3, -3e4, 1e7]), c)
        gamma, beta = np.ones(c, np.float32), np.linspace(-2, 0, c, dtype=np.float32)
        y, cache = cuda.batchnorm_relu(*map(cupy.asarray, (x, gamma, beta)))
        np.testing.assert_array_equal(cupy.asnumpy(cache.mean), x[0, 0, 0])
        assert not cupy.asnumpy(cache.var).any()
        assert not cupy.asnumpy(y).any()
        one = cupy.ones(shape, cupy.float32)  # no gradient passes where y is exactly 0
        assert not any(cupy.asnumpy(a).any() for a in cuda.batchnorm_relu_backward(one, cache))

        # for a given mean of 0 and var of 1 - eps, x_hat is x
        x, dy = (rng.integers(-4, 5, shape).astype(np.float32) for _ in range(2))
        eps = np.float32(2**-10)
        moving = np.zeros(c, np.float32), np.full(c, 1 - eps, np.float32)
        x, dy, gamma, beta, *moving = map(cupy.asarray, (x, dy, gamma, 0 * beta, *moving))
        z, cache = cuda.batchnorm(x, gamma, beta, eps=float(eps), moving=tuple(moving))
        np.testing.assert_array_equal(cupy.asnumpy(z), cupy.asnumpy(x))
        dx, dgamma, dbeta = cuda.batchnorm_backward(dy, cache)
        exact, slope = host(cupy, x, dy)
        np.testing.assert_array_equal(cupy.asnumpy(dx), slope)
        np.testing.assert_array_equal(cupy.asnumpy(dgamma), (exact * slope).sum(axis=(0, 1, 2)))
        np.testing.assert_array_equal(cupy.asnumpy(dbeta), slope.sum(axis=(0, 1, 2)))
        return y, z, dx, dgamma, dbeta

    return case


CASES = {
    "several blocks": whole((2, 9, 7, 64)),  # 126 pixels in blocks of 32
    "several passes": several(whole((3, 9, 7, 64))),
    "more blocks than threads": whole((1, 46, 45, 256)),
    "NaN": not_a_number((2, 3, 5, 7)),
    "one channel, a tail": whole((1, 3, 7, 1)),
    "one channel, two blocks": whole((1, 47, 45, 1)),
    "three channels": whole((3, 5, 7, 3)),
    "32 channels": whole((2, 2, 2, 32)),
    "100 channels": whole((1, 5, 9, 100)),
    "256 channels": whole((1, 3, 5, 256)),
    "more channels than threads": whole((1, 2, 3, 259)),
    "a large mean": whole((2, 5, 9, 32), level=1e5),
    "given": given((2, 5, 3, 7)),
    "exact": exactly((2, 9, 7, 12)),
}
