"""What cards from compute capability 8.0 on can do besides: copies, and products of matrices."""

import numpy as np
import pytest
from cudaproof import emulator, instructions

if (reason := emulator.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)

COPIES = """
extern "C" __global__ void turned(const float* x, float* y)
{
    __shared__ __align__(16) float part[2][64];
    const int t = threadIdx.x;
    for (int k = 0; k < 2; k++) {  // "of the text, (and a parenthesis"
        asm volatile("cp.async.ca.shared.global [%0], [%1], 4;"
                     :: "r"((unsigned)__cvta_generic_to_shared(&part[k][t])), "l"(x + 64 * k + t)
                     : "memory");
        asm volatile("cp.async.commit_group;" ::: "memory");
    }
    asm volatile("cp.async.wait_group %0;" :: "n"(1) : "memory");
    __syncthreads();
    y[t] = part[0][63 - t];
    asm volatile("cp.async.wait_all;" ::: "memory");
    __syncthreads();
    y[64 + t] = part[1][63 - t];
}
"""
MMA = """
extern "C" __global__ void product(const float* a, const float* b, const float* c, float* d)
{
    const int g = threadIdx.x / 4, t = threadIdx.x % 4;
    unsigned in[6];
    for (int i = 0; i < 6; i++) {
        const float* at = i < 4 ? a + (g + i % 2 * 8) * 8 + t + i / 2 * 4
                                : b + (t + (i - 4) * 4) * 8 + g;
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(in[i]) : "f"(*at));
    }
    float of[4];
    for (int i = 0; i < 4; i++) of[i] = c[(g + i / 2 * 8) * 8 + 2 * t + i % 2];
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
                 : "=f"(of[0]), "=f"(of[1]), "=f"(of[2]), "=f"(of[3])
                 : "r"(in[0]), "r"(in[1]), "r"(in[2]), "r"(in[3]), "r"(in[4]), "r"(in[5]),
                   "f"(of[0]), "f"(of[1]), "f"(of[2]), "f"(of[3]));
    for (int i = 0; i < 4; i++) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = of[i];
}
"""
WAIT_ALL = 'asm volatile("cp.async.wait_all;" ::: "memory");'


def turned(text, mode):
    x, y = np.arange(128, dtype="f4"), np.zeros(128, "f4")
    emulator.load(text, mode)["turned"](1, 64, x, y, schedule="shuffled")
    return (y == x.reshape(2, 64)[:, ::-1].reshape(-1)).all()


@pytest.mark.parametrize("mode", ["fast", "trace"])
def test_copies_are_there_after_the_wait(mode):
    assert turned(COPIES, mode)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (WAIT_ALL, "", "async"),
        ('"n"(1)', '"n"(2)', "async"),
        (WAIT_ALL + "\n    __syncthreads();", WAIT_ALL, "race"),
    ],
)
def test_a_missing_wait_or_barrier_is_seen(before, after, kind):
    text = COPIES.replace(before, after)
    assert text != COPIES
    assert not turned(text, "fast")
    with pytest.raises(emulator.Fault, match=kind):
        turned(text, "trace")


@pytest.mark.parametrize("mode", ["fast", "trace"])
def test_a_copy_fills_up_with_zeros(mode):
    """Beyond the bytes that it reads, also where none is read and the address is not valid."""
    text = COPIES.replace('%0], [%1], 4;"', '%0], [%1], 4, %2;"').replace(
        '"l"(x + 64 * k + t)', '"l"(k ? x : x + t), "r"(k ? 0 : 4)'
    )
    x, y = np.arange(64, dtype="f4"), np.full(128, np.nan, "f4")
    emulator.load(text, mode)["turned"](1, 64, x, y, schedule="shuffled")
    np.testing.assert_array_equal(y, [*x[::-1], *np.zeros(64)])
    beyond = text.replace("k ? x :", "k ? x + (1 << 20) :")
    emulator.load(beyond, mode)["turned"](1, 64, x, y, schedule="shuffled")
    with pytest.raises(emulator.Fault, match="a copy of 4 bytes that reads 8"):
        emulator.load(text.replace("k ? 0 : 4", "8"), mode)["turned"](1, 64, x, y)


def product(a, b, c, text=MMA, threads=32):
    a, b, c = (np.ascontiguousarray(m, np.float32) for m in (a, b, c))
    d = np.full((16, 8), np.nan, np.float32)
    emulator.load(text, "fast")["product"](1, threads, a, b, c, d)
    return d


def test_a_product_of_matrices(rng):
    a, b, c = (rng.integers(-9, 10, size) for size in ((16, 8), (8, 8), (16, 8)))
    assert (product(a, b, c) == a @ b + c).all()


def test_sums_are_cut_off_and_factors_rounded():
    ones, zero = np.ones((8, 8)), np.zeros((16, 8))
    one = np.eye(16, 8)  # row i takes row i of the other matrix
    # 1 + 2^-11 is half way between two TF32, and goes away from zero
    assert (product(one, ones * (1 + 2.0**-11), zero)[:8] == 1 + 2.0**-10).all()
    assert (product(one, ones * (1 + 2.0**-12), zero)[:8] == 1).all()
    # each of 4 products is below 2^-23 of the largest term, and lost, though their sum is not
    row = np.zeros((16, 8))
    row[:, :4] = 2.0**-24
    assert (product(row, ones, zero + 1) == 1).all()
    assert (product(row, ones, zero) == 2.0**-22).all()
    assert (product(-row, ones, zero + 1) == 1).all()


def test_a_product_needs_tf32_and_a_whole_warp(rng):
    a, b, c = (rng.standard_normal(size) for size in ((16, 8), (8, 8), (16, 8)))
    bare = MMA.replace(
        'asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(in[i]) : "f"(*at));', "in[i] = *(unsigned*)at;"
    )
    assert bare != MMA
    with pytest.raises(emulator.Fault, match="operand a0 of mma is not TF32"):
        product(a, b, c, bare)
    with pytest.raises(emulator.Fault, match="a warp without lane"):
        product(a, b, c, threads=16)


@pytest.mark.parametrize(
    "statement",
    [
        'asm("brev.b32 %0, %1;" : "=r"(x) : "r"(y));',
        'asm("cp.async.cg.shared.global [%0], [%1], 8;" :: "r"(x), "l"(y));',
        'asm("cp.async.commit_group; cp.async.wait_all;" ::);',
    ],
)
def test_other_assembly_is_refused(statement):
    with pytest.raises(instructions.Unsupported):
        instructions.inlined(f"void f() {{ {statement} }}")
