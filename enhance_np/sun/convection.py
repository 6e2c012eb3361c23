"""A toy model of convection at the solar surface: granules, lanes and the field in them.

The model solves no fluid equations and has no third dimension. Five fields on a plane follow
rules, each of which represents a process in the photosphere (Stein & Nordlund 1998, ApJ 499, 914;
Nordlund, Stein & Asplund 2009, Living Rev. Sol. Phys. 6, 2). Time is in minutes, length in arcsec,
and D/Dt is the derivative along the flow u:

    upflow  DW/Dt = 3 band(T) - W / 4 - |W| W / 2 - cold            hot fluid rises
    flow    u = grad(lap^-1 W) + curl(lap^-1 Z)                     rising fluid diverges
    heat    DT/Dt = 2 (hot(W) - T)                                  it radiates, cools and sinks
    spin    DZ/Dt = -W Z - Z / 3 - |Z| Z / 10 + noise               sinking fluid spins up
    grain   DC/Dt = -C / 1.5 + noise, most of it in the lanes       threads wound up by eddies
    field   DB/Dt = -W B + noise                                    flux moves with the flow

`band` removes scales wider than a granule: over a wide cell, pressure holds the rising fluid
back, the cell cools from its middle and breaks up. Cold fluid that falls at random places (`cold`)
also breaks cells. Cells of many sizes therefore coexist, and none lasts. The flow sweeps flux out
of the cells into the lanes, where it forms ribbons of kG (flux expulsion: Weiss 1966, Proc. R. Soc.
A 293, 310). There it stops the convection and grows no further. The step along the flow is
semi-Lagrangian (Stam 1999, SIGGRAPH), so the time step is free; flux is not conserved exactly.
"""

from typing import NamedTuple

import numpy as np

from .plane import FLOAT, Plane, ramp

SPACING = 0.0662  # arcsec per pixel of the finished plane; the cells grow on pixels twice as large
GROWTH = (30, 0.5)  # number of steps, and minutes per step, while the cells grow
DETAIL = (12, 0.25)  # the same afterwards, on the finished plane

STRONG = 750.0  # gauss; field of this strength stops the convection
STRONGEST = 1250.0  # gauss; stronger field spreads instead of growing
LIMIT = 1750.0  # gauss; limit of field that still accumulates
TURBULENT = 33.0  # gauss per square root of a minute, new field from turbulence in the lanes


class Convection(NamedTuple):
    """Fields (H, W) float32 on one plane."""

    heat: np.ndarray  # about 0 in lanes, 1 in granules
    upflow: np.ndarray  # 1 / minute, the divergence of the horizontal flow
    spin: np.ndarray  # 1 / minute, its vorticity
    grain: np.ndarray  # std about 0.5, thin threads in the lanes
    field: np.ndarray  # gauss, vertical


def convection(
    rng, plane: Plane, field: np.ndarray | None = None, still: np.ndarray | None = None
) -> tuple[Plane, Convection]:
    """(the plane with half its spacing, the convection on it).

    field : (H, W) gauss on the given plane, the flux that the flow sweeps together.
    still : (H, W) from 0 to 1; where it is 1 no fluid rises, for example in a sunspot.
    """
    nothing = np.zeros(plane.shape, FLOAT)
    field = nothing if field is None else field.astype(FLOAT)
    still = nothing if still is None else still.astype(FLOAT)
    heat = FLOAT(0.4) + FLOAT(0.3) * plane.noise(rng, 0.2)
    state = Convection(heat, nothing, nothing, nothing, field)
    count, minutes = GROWTH
    for _ in range(count):
        state = _step(rng, plane, state, still, minutes, detail=False)
    plane, (*fields, still) = plane.refined([*state, still])
    state = Convection(*fields)
    count, minutes = DETAIL
    for _ in range(count):
        state = _step(rng, plane, state, still, minutes, detail=True)
    excess = np.maximum(np.abs(state.field) - STRONGEST, 0) / (LIMIT - STRONGEST)
    field = np.clip(state.field, -STRONGEST, STRONGEST)
    field += np.sign(state.field) * (LIMIT - STRONGEST) * np.tanh(excess)
    return plane, state._replace(field=field)


def _step(rng, plane, state, still, minutes, detail):
    """The convection `minutes` later.  detail : the finest scales are stirred as well."""
    dt = FLOAT(minutes)
    free = (1 - still) / (1 + np.square(np.square(state.field * FLOAT(1 / STRONG))))
    upflow = _risen(rng, plane, state, free, dt, detail)
    parting = plane.modes(upflow) * plane.gaussian(0.07)
    parting[0, 0] = 0
    divergence = plane.field(parting)
    spin = _spun(rng, plane, state.spin, upflow, divergence, free, dt, detail)
    dy, dx = _displacement(plane, parting, spin, dt)

    state = Convection(*plane.carry([state.heat, upflow, spin, state.grain, state.field], dy, dx))
    hot = ramp((state.upflow - FLOAT(0.1)) * 10)
    hot *= FLOAT(0.7) + FLOAT(0.3) * np.maximum(state.upflow, 0)
    heat = state.heat + (hot - state.heat) * (2 * dt / (1 + 2 * dt))
    grain = state.grain * np.exp(-dt / FLOAT(1.5))
    if detail:
        lanes = FLOAT(0.1) + FLOAT(0.9) * ramp((FLOAT(0.3) - state.upflow) / FLOAT(0.3))
        grain += np.sqrt(dt / FLOAT(0.75)) * lanes * plane.noise(rng, 0.1)
    field = state.field * (1 - dt * divergence)
    # less while the cells grow, because the new field would otherwise accumulate to kG
    fresh = FLOAT(TURBULENT if detail else 0.3 * TURBULENT) * np.sqrt(dt)
    field += fresh * (1 - still) * plane.noise(rng, 0.12)
    kept = np.clip(field, -STRONGEST, STRONGEST)
    excess = field - kept
    field = kept + plane.smooth(excess, 0.12) if excess.any() else kept
    return Convection(heat, state.upflow, state.spin, grain, field)


def _risen(rng, plane, state, free, dt, detail):
    """The upflow after a step.  free : from 0, where the field stops it, to 1."""
    wide = FLOAT(0.81) * plane.k2  # 1 where a wave is 2 pi 0.9 arcsec long
    band = wide / (1 + wide) * plane.gaussian(0.1)
    lift = 3 * dt * plane.field(plane.modes(state.heat) * band)
    # cold fluid falls in plumes, and on the finished plane in curtains that split the cells
    plumes = plane.noise(rng, 0.18)
    cold = FLOAT(1.5 if detail else 4.5) * np.maximum(plumes - FLOAT(1.15), 0)
    if detail:
        curtains = np.maximum(FLOAT(0.25) - np.abs(plane.noise(rng, 0.3)), 0)
        cold += 14 * curtains * np.maximum(plane.noise(rng, 0.4), 0)
    cold -= FLOAT(0.2 if detail else 0.25) * plumes
    drag = FLOAT(0.25) + FLOAT(0.5) * np.abs(state.upflow) + 2 * (1 - free)
    return (state.upflow + free * (lift - np.sqrt(dt) * cold)) / (1 + dt * drag)


def _spun(rng, plane, spin, upflow, divergence, free, dt, detail):
    """The spin after a step."""
    stir = FLOAT(0.7) * plane.noise(rng, 0.12 if detail else 0.2)
    if detail:
        stir *= 1 + ramp(FLOAT(0.2) - upflow)
    spin = (spin + np.sqrt(dt) * stir) / (1 + dt * FLOAT(0.1) * np.abs(spin))
    return spin * np.exp(-dt * (divergence + FLOAT(1 / 3))) * (1 - dt * (1 - free))


def _displacement(plane, parting, spin, dt):
    """Pixels (dy, dx) that the fluid moves in a step.

    parting : modes of the divergence.
    """
    wide = FLOAT(0.09) * plane.k2  # eddies wider than a granule would tear the cells apart
    turning = plane.modes(spin) * (plane.gaussian(0.06) * (wide / (1 + wide)))
    inverse = np.complex64(1j) / np.where(plane.k2 == 0, FLOAT(np.inf), plane.k2)
    turning, parting = turning * inverse, parting * inverse
    pixels = dt / FLOAT(plane.spacing)
    return (
        pixels * plane.field(plane.kx * turning - plane.ky * parting),
        pixels * plane.field(-plane.ky * turning - plane.kx * parting),
    )
