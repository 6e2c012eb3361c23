"""The intensity of granules, lanes and magnetic elements, from the toy model of convection.

`convection` gives the upflow and the eddies in the lanes; this module converts them to intensity.
Two maps of the values and one of the spatial frequencies give it the histogram and the power
spectrum of a MURaM simulation of the quiet Sun. The maps are the same for every scene. They were
measured once (`python -m bench.quality.synthetic_sun --fields DIR --calibrate`) on seeds that no
scene has, so a scene keeps its own fluctuations about them.
"""

import numpy as np

from .convection import STRONGEST, Convection
from .plane import FLOAT, Plane, ramp

# Cumulative histograms. Columns: probability; value of MURaM's I / <I> (the rows of HelioML's
# snapshot that training uses, BSD-3); of `pattern`; after the first two steps of `granulation`
HISTOGRAM = np.array(
    [
        [0.000, 0.528, -2.679, 0.526],
        [0.001, 0.641, -1.217, 0.627],
        [0.010, 0.702, -0.859, 0.694],
        [0.050, 0.762, -0.633, 0.759],
        [0.100, 0.798, -0.493, 0.796],
        [0.200, 0.846, -0.281, 0.844],
        [0.300, 0.888, -0.093, 0.889],
        [0.400, 0.934, 0.023, 0.929],
        [0.500, 0.985, 0.849, 0.990],
        [0.600, 1.039, 1.237, 1.048],
        [0.700, 1.096, 1.332, 1.100],
        [0.800, 1.156, 1.399, 1.160],
        [0.900, 1.229, 1.466, 1.232],
        [0.950, 1.280, 1.509, 1.282],
        [0.990, 1.363, 1.574, 1.363],
        [0.999, 1.445, 1.635, 1.443],
        [1.000, 1.573, 1.737, 1.561],
    ]
)
# Cycles per arcsec, and the factor on the amplitude at that frequency
TRANSFER = np.array(
    [
        [0.138, 1.369],
        [0.282, 1.073],
        [0.481, 0.863],
        [0.603, 1.024],
        [0.724, 1.029],
        [0.871, 1.000],
        [1.046, 0.968],
        [1.257, 0.996],
        [1.511, 0.974],
        [1.815, 0.978],
        [2.181, 1.115],
        [2.621, 1.250],
        [3.150, 1.526],
        [3.785, 1.886],
        [4.549, 2.225],
        [5.466, 2.117],
        [6.568, 1.448],
    ]
)

# |B| in gauss and the intensity there: dark sheets in the lanes, bright where the field has
# evacuated the gas. Together with the rest of `with_field` they give about the mean intensity at
# |B| of MURaM's plage of 100 G (`bench/quality/synthetic_sun.py` shows both)
ELEMENT_FIELD = np.array([300.0, 500, 700, 900, 1100, 1300, 1500])
ELEMENT_LIGHT = np.array([0.87, 0.86, 0.87, 0.92, 0.99, 1.09, 1.24])
DIMMING = 0.2  # loss of a granule's intensity per share of kG field in the area around it
PORE = 0.32  # intensity inside a pore


def granulation(plane: Plane, state: Convection) -> np.ndarray:
    """Intensity over the quiet Sun's mean, (H, W) float32, without any field."""
    _, muram, drawn, sharpened = HISTOGRAM.T
    mapped = np.interp(pattern(plane, state), drawn, muram).astype(FLOAT)
    return np.interp(filtered(plane, mapped, *TRANSFER.T), sharpened, muram).astype(FLOAT)


def pattern(plane: Plane, state: Convection) -> np.ndarray:
    """(H, W): rising fluid is bright, with edges frayed by eddies; fast downflow is darkest."""
    upflow = plane.smooth(state.upflow, 0.055)
    frayed = upflow + FLOAT(0.35) * state.grain
    granule = ramp((frayed - FLOAT(0.3)) * 10)
    bright = 1 + FLOAT(0.5) * upflow + FLOAT(0.05) * state.grain
    return granule * bright + (1 - granule) * (FLOAT(0.6) * np.minimum(upflow, 0))


def filtered(plane: Plane, image: np.ndarray, frequency, gain) -> np.ndarray:
    """The image (H, W) with its amplitudes multiplied by the gain at each frequency.

    frequency, gain : (n,), in cycles per arcsec and factors; interpolated between them.
    """
    at = np.log(np.maximum(np.sqrt(plane.k2) / (2 * np.pi), 1e-3))
    factor = np.exp(np.interp(at, np.log(frequency), np.log(gain)))
    factor[0, 0] = 1  # the mean
    return plane.field(plane.modes(image) * factor.astype(FLOAT))


def with_field(
    rng, plane: Plane, state: Convection, intensity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(intensity, field in gauss), (H, W): the intensity of `granulation` changed by the field.

    Thin elements are bright, because their hot walls are seen through evacuated gas (Spruit 1976,
    Sol. Phys. 50, 269). Wide ones are pores: they have more field, and are dark because no fluid
    rises in them.
    """
    strength = np.abs(state.field)
    grain = np.clip(state.grain, -1, 1)
    light = np.interp(strength, ELEMENT_FIELD, ELEMENT_LIGHT).astype(FLOAT)
    light += FLOAT(0.25) * (FLOAT(0.35) - plane.smooth(strength, 0.2) * FLOAT(1 / STRONGEST))
    light *= 1 + FLOAT(0.1) * grain + FLOAT(0.09) * plane.noise(rng, 0.13)
    pore = ramp((plane.smooth(strength, 0.6) - FLOAT(0.82 * STRONGEST)) * FLOAT(1 / 120))
    light += pore * (FLOAT(PORE) + FLOAT(0.08) * grain - light)
    weight = ramp((strength - 500) * FLOAT(1 / 100))
    # granules near strong field are dimmer, which keeps the mean at that of MURaM
    intensity = intensity - FLOAT(DIMMING) * plane.smooth(weight, 1.0)
    return intensity + weight * (light - intensity), state.field * (1 + FLOAT(0.4) * pore)
