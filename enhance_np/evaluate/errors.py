"""Errors of an output against the truth: mean squared error, PSNR, structural similarity."""

import numpy as np
from scipy.ndimage import correlate1d

# Range of a signal for PSNR and SSIM, fixed so that images can be compared: in Ic from zero to the
# quiet Sun; in G the range of plage and penumbra, which the figures also show.
DATA_RANGE = {"intensity": 1.0, "blos": 3000.0}
WINDOW, SIGMA = 11, 1.5  # pixels, of SSIM
K1, K2 = 0.01, 0.03


def scores(
    out: np.ndarray,
    truth: np.ndarray,
    similarity: np.ndarray,
    data_range: float,
    mask: np.ndarray,
) -> dict[str, float]:
    """pixels, mse, rms, psnr (dB), ssim and bias (mean of out - truth) over the mask.

    out, truth : (H, W), one unit, no NaN where the mask is True.  mask : (H, W) bool.
    similarity : (H, W), `ssim_map` of the two, which several masks can share.
    data_range : in that unit. psnr = 10 log10(data_range^2 / mse), infinite without error.
    If the mask is empty, pixels is 0 and the other values are NaN.
    """
    error = np.subtract(out, truth, dtype=np.float64)[mask]
    if error.size == 0:
        nothing = dict.fromkeys(("mse", "rms", "psnr", "ssim", "bias"), np.nan)
        return {"pixels": 0} | nothing
    mse = float(np.mean(error**2))
    similar = similarity[mask & np.isfinite(similarity)]
    return {
        "pixels": int(error.size),
        "mse": mse,
        "rms": mse**0.5,
        "psnr": float(10 * np.log10(data_range**2 / mse)) if mse else np.inf,
        "ssim": float(similar.mean()) if similar.size else np.nan,
        "bias": float(error.mean()),
    }


def ssim_map(a: np.ndarray, b: np.ndarray, data_range: float) -> np.ndarray:
    """Structural similarity around every pixel, (H, W), from -1 to 1; 1 means equal.

    With means m, variances v and covariance c under a Gaussian window of 11 x 11 pixels, sigma
    1.5, of sum 1:

        (2 ma mb + C1) (2 c + C2) / ((ma^2 + mb^2 + C1) (va + vb + C2)),
        C1 = (0.01 data_range)^2,  C2 = (0.03 data_range)^2.

    NaN where the window leaves the image or includes a NaN, because the published average is over
    whole windows. The measure is made for images without negative values: for two fields of
    opposite sign both factors are negative, so their product is high. Compare it with the rms.
    Source: Wang, Bovik, Sheikh & Simoncelli 2004, IEEE Trans. Image Process. 13, 600, equation 13.
    """
    u = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(u**2) / (2 * SIGMA**2))
    window /= window.sum()

    def mean(image):
        for axis in (0, 1):
            image = correlate1d(image, window, axis, mode="constant", cval=np.nan)
        return image

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    ma, mb = mean(a), mean(b)
    # a variance of 0 may become slightly negative by rounding, which is harmless beside C2
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
