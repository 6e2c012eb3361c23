"""kernels/mse.cu by its launcher; see tests/kernels/test_proofs.py."""

import numpy as np
from cases.passes import several

from enhance_np import loss
from enhance_np.engine.cuda import training

REGISTERS = {"squared_errors": 64, "mean_squared_error": 64}
U = 2.0**-24


def case_of(shape):
    """The gradient is within 3 u; the loss is within its bound, and exact on integers."""

    def case(cupy, rng):
        found = []
        for integers in (True, False):
            draw = (lambda s: rng.integers(-9, 10, s)) if integers else rng.standard_normal
            y, target = (draw(shape).astype(np.float32) for _ in range(2))
            value, dy = training.mse(cupy.asarray(y), cupy.asarray(target))
            assert value.shape == ()
            want, slope = loss.mse(y.astype("f8"), target.astype("f8"))
            bound = 2.0**-52 if integers else 2 * U + y.size * 2.0**-53  # rounding of the division
            assert abs(float(value) - want) <= bound * want
            assert (abs(cupy.asnumpy(dy) - slope) <= 3 * U * abs(slope)).all()
            found += [value, dy]
        return tuple(found)

    return case


CASES = {
    "two blocks, a tail": case_of((1, 33, 35, 1)),
    "several passes": several(case_of((1, 65, 63, 1))),
    "more blocks than threads": case_of((1, 520, 519, 1)),
    "three elements": case_of((1, 1, 3, 1)),
    "a multiple of four": case_of((2, 8, 10, 1)),
    "several blocks": case_of((5, 47, 31, 1)),
}
