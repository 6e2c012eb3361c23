"""kernels/adam.cu by its launcher, against float64; see tests/kernels/test_proofs.py."""

import numpy as np
from cases.passes import several

from enhance_np import loss, optim
from enhance_np.engine.cuda import training

REGISTERS = dict.fromkeys("squares clip_factor adam".split(), 64)
U = 2.0**-24
LR, STEP = 1e-3, 7


def case_of(shapes, clip=None, l2=1e-2, small=1.0):
    """One step from moments that are not zero is within the bounds of the kernel's head.

    small : of the gradient's size; eps is 1e-7.
    """

    def case(cupy, rng):
        p, g, m = (
            {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
            for _ in range(3)
        )
        g, m = ({k: np.float32(small) * a for k, a in d.items()} for d in (g, m))
        v = {
            name: (a**2 + small**2 * rng.random(a.shape)).astype(np.float32)
            for name, a in m.items()
        }
        p_, g_, m_, v_ = ({k: cupy.asarray(a) for k, a in d.items()} for d in (p, g, m, v))
        value = cupy.zeros((), np.float64)
        state = optim.AdamState(STEP, m_, v_)
        new, after = training.update(p_, g_, state, LR, l2, clip, value)
        assert float(value) == 0
        assert after.step == STEP + 1
        for before, kept in ((p, p_), (g, g_), (m, m_), (v, v_)):  # nothing is changed in place
            for name in before:
                np.testing.assert_array_equal(cupy.asnumpy(kept[name]), before[name])

        p, g, m, v = ({k: a.astype("f8") for k, a in d.items()} for d in (p, g, m, v))
        _, decay = loss.l2(p, l2)
        whole = {name: g[name] + decay.get(name, 0) for name in g}
        size = {name: abs(g[name]) + abs(decay.get(name, np.zeros(1))) for name in g}
        clipped = whole if clip is None else optim.clipped(whole, clip)
        want, right = optim.adam(p, clipped, optim.AdamState(STEP, m, v), LR)
        share = np.sqrt(sum((a**2).sum() for a in clipped.values()))
        share /= np.sqrt(sum((a**2).sum() for a in whole.values()))
        assert share == 1 or clip is not None
        lost = np.sqrt(sum(((4 * U * a) ** 2).sum() for a in size.values()))
        lost /= np.sqrt(sum((a**2).sum() for a in whole.values()))  # relative error of the norm
        rate = LR * (1 - optim.BETA2 ** (STEP + 1)) ** 0.5 / (1 - optim.BETA1 ** (STEP + 1))
        for name in p:
            # u for the decay, 2 l2 and the sum each, then the errors of the factor and of the norm
            dg = share * (4 * U * size[name] + (2 * U + lost) * abs(whole[name]))
            b1, b2 = optim.BETA1, optim.BETA2
            dm = (1 - b1) * dg + 3 * U * (b1 * abs(m[name]) + (1 - b1) * abs(clipped[name]))
            dv = 2 * (1 - b2) * abs(clipped[name]) * dg
            dv += 5 * U * (b2 * v[name] + (1 - b2) * clipped[name] ** 2)
            root = np.sqrt(right.v[name]) + optim.EPS
            change = rate * abs(right.m[name]) / root
            dp = rate * dm / root + change * dv / (2 * right.v[name])
            dp = 1.01 * dp + 9 * U * change + U * abs(want[name])  # 1.01 for the second order
            assert (abs(cupy.asnumpy(after.m[name]) - right.m[name]) <= 1.01 * dm).all()
            assert (abs(cupy.asnumpy(after.v[name]) - right.v[name]) <= 1.01 * dv).all()
            assert (abs(cupy.asnumpy(new[name]) - want[name]) <= dp).all()

        # the next step uses the same buffers; a value that is not finite makes the loss NaN
        for spoilt in (np.nan, np.inf):
            g_[name][...] = spoilt
            value = cupy.zeros((), np.float64)
            training.update(new, g_, after, LR, l2, clip, value)
            assert np.isnan(float(value))
        return new.buffer, after.m.buffer, after.v.buffer

    return case


SHAPES = {"stem/w": (3, 3, 1, 5), "stem/b": (5,), "bn/gamma": (7,), "head/w": (1, 1, 5, 1)}
CASES = {
    "free": case_of(SHAPES | {"head/b": (1,)}),
    "clipped, several blocks": case_of({"big/w": (3, 3, 16, 16), **SHAPES, "head/b": (1,)}, 0.5),
    "several passes": several(case_of({"big/w": (3, 3, 16, 32), **SHAPES}, 0.5)),
    "below the bound": case_of(SHAPES, 1e3),
    "hardly a gradient": case_of(SHAPES, l2=0, small=1e-6),
    "one": case_of({"head/b": (1,)}, 0.1),
}
