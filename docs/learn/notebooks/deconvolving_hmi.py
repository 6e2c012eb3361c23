"""Deconvolving HMI: from the PSF to the network, and what it invents

A telescope blurs. How much of that can be undone, by a linear filter and by a network, and where
does a sharp image stop being a measurement? Everything here uses a synthetic Sun, so that the truth
is known.
"""

import matplotlib.pyplot as plt
import numpy as np

import enhance_np
from enhance_np import models
from enhance_np.baselines.bicubic import bicubic
from enhance_np.baselines.wiener import wiener
from enhance_np.evaluate.spectrum import power_spectrum
from enhance_np.optics.degrade import HMI_SCALE, degrade
from enhance_np.optics.psf import airy, hmi_psf
from enhance_np.sun.scene import scene

SCALE = 0.0662  # arcsec per pixel of the synthetic Sun
plt.rcParams["figure.dpi"] = 70


def pictures(images, titles, limits=None, cmap="gray", size=3.2):
    figure, axes = plt.subplots(
        1, len(images), figsize=(size * len(images), size), layout="constrained"
    )
    low, high = limits or (None, None)
    for image, title, axis in zip(images, titles, axes, strict=True):
        drawn = axis.imshow(image, cmap=cmap, vmin=low, vmax=high, origin="lower")
        axis.set_title(title, fontsize=10)
        axis.axis("off")
    figure.colorbar(drawn, ax=axes, shrink=0.8)


# %%
# ## 1. The blur
#
# The point spread function (PSF) is the image of a star. HMI's has a core of about one arcsec, and
# a faint tail of scattered light. A telescope of twice the diameter has a core half as wide.

r = (np.arange(hmi_psf(SCALE).shape[0]) - hmi_psf(SCALE).shape[0] // 2) * SCALE
figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
for name, psf in (("HMI", hmi_psf(SCALE)), ("28 cm telescope", airy(SCALE))):
    row = psf[len(psf) // 2]
    axis.semilogy(r, row / row.max(), label=name)
axis.set(xlim=(-4, 4), ylim=(1e-6, 2), xlabel="arcsec", ylabel="PSF, peak 1")
axis.legend()

# %%
# In the Fourier domain a convolution is a product: each pattern of stripes is multiplied by the
# transfer function. Beyond D / lambda nothing passes at all. HMI's pixels sample up to the Nyquist
# frequency, here the grey line.


def transfer(psf):
    """The transfer function along one axis, and its frequencies in cycles per arcsec."""
    line = psf.sum(axis=0)
    values = abs(np.fft.rfft(line, 4096))
    return np.fft.rfftfreq(4096, SCALE), values / values[0]


figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
for name, psf in (("HMI", hmi_psf(SCALE)), ("28 cm telescope", airy(SCALE))):
    axis.semilogy(*transfer(psf), label=name)
axis.axvline(0.5 / HMI_SCALE, color="gray", linewidth=1)
axis.set(xlim=(0, 2.4), ylim=(1e-5, 1.5), xlabel="cycles per arcsec", ylabel="transfer function")
axis.legend()

# %%
# ## 2. What HMI sees
#
# A synthetic spot, its image by HMI with noise, and by the larger telescope, on half as large
# pixels.

intensity, _ = scene(1_000_007, (1000, 1000), SCALE, "spot")
seen, truth = degrade(intensity, SCALE)
noise = 1e-3
seen = seen + noise * np.random.default_rng(1).standard_normal(seen.shape)
box = np.s_[30:94, 30:94]
fine = np.s_[60:188, 60:188]
limits = truth.min(), truth.max()
pictures([seen[box], truth[fine]], ["HMI", "the larger telescope: the truth"], limits)

# %%
# ## 3. Divide by the transfer function?
#
# Noise has the same power at all frequencies, and where the transfer function is 0.01 the division
# makes it a hundred times larger. Wiener's filter divides only where the signal is larger than the
# noise. Its one number, the ratio of noise to signal, decides between blur and noise.

ratios = 1e-7, 1e-4, 1e-2
restored = [wiener(seen, ratio) for ratio in ratios]
for ratio, image in zip(ratios, restored, strict=True):
    error = np.sqrt(np.mean((image[fine] - truth[fine]) ** 2))
    print(f"Wiener, noise to signal {ratio:g}: rms error {error:.4f}")
pictures([a[fine] for a in restored], [f"Wiener, {ratio:g}" for ratio in ratios], limits)

# %%
# ## 4. The network
#
# A linear filter treats every place alike. The network is nearly linear in a small neighbourhood,
# but its filter differs from place to place: it has learnt what granules, filaments and umbrae look
# like.

weights = enhance_np.load_weights(models.path("intensity", "default"))
sharp = enhance_np.predict(seen, "intensity", weights, norm=1.0, device="cpu")
for name, image in (("bicubic", bicubic(seen)), ("Wiener", restored[1]), ("network", sharp)):
    error = np.sqrt(np.mean((image[fine] - truth[fine]) ** 2))
    print(f"{name:<8} rms error {error:.4f}")
pictures(
    [bicubic(seen)[fine], restored[1][fine], sharp[fine], truth[fine]],
    ["bicubic", "Wiener", "network", "truth"], limits, size=2.8,
)  # fmt: skip

# %%
# The power spectra tell how much structure there is of each size. Bicubic interpolation adds none.
# The network follows the truth further than any filter of what HMI measured.

figure, axis = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for name, image in {
    "truth": truth, "network": sharp, "Wiener": restored[1], "bicubic": bicubic(seen)
}.items():  # fmt: skip
    spectrum = power_spectrum(image[fine], HMI_SCALE / 2)
    axis.loglog(spectrum.frequency, spectrum.power, label=name)
axis.axvline(0.5 / HMI_SCALE, color="gray", linewidth=1)
axis.set(xlabel="cycles per arcsec", ylabel="power")
axis.legend()

# %%
# ## 5. What it invents
#
# Right of the grey line lies what HMI's pixels cannot hold. Two different Suns can give the same
# HMI image: add stripes of 0.6 arcsec, which the larger telescope shows and HMI does not pass.

y, x = np.mgrid[: intensity.shape[0], : intensity.shape[1]] * SCALE
other = intensity + 0.1 * np.sin(2 * np.pi * x / 0.6)
seen_first, _ = degrade(intensity, SCALE)
seen_other, truth_other = degrade(other, SCALE)
print(f"the two Suns differ by {np.std(other - intensity):.3f} rms,")
print(f"for the larger telescope by {np.std((truth_other - truth)[fine]):.4f},")
print(f"for HMI by {np.std((seen_other - seen_first)[box]):.1e}; its noise is {noise:.1e}")
pictures(
    [seen_first[box], seen_other[box], truth[fine], truth_other[fine]],
    ["HMI, the first", "HMI, the other", "truth, the first", "truth, the other"], limits, size=2.8,
)  # fmt: skip

# %%
# No method can tell which of the two HMI looked at. What the network draws there comes from its
# training: the most likely Sun, given the blurred one. It is an educated guess, good on average.
# Where is it wrong?

error = sharp - truth[: sharp.shape[0], : sharp.shape[1]]
limit = np.percentile(abs(error[fine]), 99)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
drawn = axes[0].imshow(error[fine], cmap="RdBu_r", vmin=-limit, vmax=limit, origin="lower")
axes[0].set_title("network - truth")
axes[1].hist2d(sharp[fine].ravel(), abs(error[fine]).ravel(), bins=40, cmap="Greys")
axes[1].set(xlabel="intensity drawn by the network", ylabel="|error|")
figure.colorbar(drawn, ax=axes[0], shrink=0.8)

# %%
# The errors sit at the edges of granules and filaments, where a small shift makes a large
# difference. `docs/confidence.md` measures this by class of scene.
