"""kernels/moving.cu by its launcher, against float64; see tests/kernels/test_proofs.py."""

from types import SimpleNamespace

import numpy as np

from enhance_np import params
from enhance_np.config import NetworkConfig
from enhance_np.engine.cuda import training
from enhance_np.engine.cuda.flat import flattened, layout_of

REGISTERS = {"update_moving": 32}
U = 2.0**-24


def case_of(depth, filters, momentum=params.MOMENTUM):
    """The statistics of every layer are within the bound of the kernel's head."""

    def case(cupy, rng):
        _, shapes = params.shapes(NetworkConfig(depth, filters))
        old, found = (
            {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
            for _ in range(2)
        )
        moving = {name: cupy.asarray(a) for name, a in old.items()}
        layout = layout_of(moving)
        tape = training.Tape()
        tape.statistics = flattened({k: cupy.asarray(a) for k, a in found.items()}, layout)
        layers = {name.rsplit("/", 1)[0] for name in shapes}
        for layer in layers:
            mean, var = (tape.statistics[f"{layer}/{role}"] for role in ("mean", "var"))
            tape[layer] = SimpleNamespace(mean=mean, var=var)
        new = training.update_moving(moving, tape, momentum)
        for name, a in old.items():
            terms = momentum * a.astype("f8"), (1 - momentum) * found[name].astype("f8")
            off = abs(cupy.asnumpy(new[name]) - sum(terms))
            assert (off <= 3 * U * sum(map(abs, terms))).all()
            np.testing.assert_array_equal(cupy.asnumpy(moving[name]), a)  # not changed in place
        return (new.buffer,)

    return case


CASES = {
    "several blocks": case_of(4, 64),
    "odd": case_of(1, 7),
    "another momentum": case_of(1, 3, 0.25),
}
