import numpy as np

from enhance_np.layers import gaussian_noise


def test_standard_deviation_and_mean():
    x = np.full((8, 50, 50, 1), 3.0, np.float32)
    noise = gaussian_noise(x, 0.01, np.random.default_rng(0)) - x
    # 20,000 samples: the standard error of the deviation is 0.5 %, of the mean 0.7 % of sigma
    assert abs(noise.std() / 0.01 - 1) < 0.02
    assert abs(noise.mean()) < 0.0003


def test_seeded_and_pure():
    x = np.zeros((1, 4, 4, 1), np.float32)
    one, two = (gaussian_noise(x, 1.0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32
    assert not x.any()
