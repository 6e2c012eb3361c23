"""Winograd's convolution: a 3x3 kernel on 4x4 outputs with 36 products instead of 144.

One output tile of m x m pixels sees (m + 2)^2 inputs d. With three small matrices,

    y = A^T [ (G g G^T) * (B^T d B) ] A,

where * is elementwise per channel pair: summed over input channels it is one matrix product
for each of the (m + 2)^2 places, and those are done by the register tiles of register_tile; the
transforms are unrolled into vector instructions from these very fractions (vector.combine).
The gradients need no other matrices: dX is a convolution again, and by transposition

    dg = G^T [ (A dy A^T) * (B^T d B) ] G,     summed over the tiles.

The matrices come from Toom and Cook's product of polynomials: evaluate at points, multiply,
interpolate; they are derived below in exact fractions.

Source: Winograd 1980, Arithmetic Complexity of Computations; Lavin & Gray 2016,
arXiv:1509.09308. The usual points 0, 1, -1, 2, -2 lose more to rounding than these: 1.7e-6
against 0.8e-6 (rms, 64 channels; bench/winograd_points.py), and rounding in the forward pass
moves inputs of ReLUs across 0, which shows in the gradients. That points matter so much:
Barabasz et al. 2020, arXiv:1803.10986.
"""

from fractions import Fraction
from functools import cache

M, R = 4, 3  # outputs and kernel taps per dimension
N = M + R - 1
PLANES = N * N
POINTS = (0, Fraction(2, 3), Fraction(-2, 3), Fraction(3, 2), Fraction(-3, 2))  # and infinity


@cache
def matrices(m: int = M, r: int = R, points: tuple = POINTS):
    """A^T (m, n), G (n, r), B^T (n, n) as tuples of rows of Fractions; n = m + r - 1.

    points : n - 1 different numbers; the n-th is infinity, where a polynomial's value is its
    leading coefficient. With p_j the points, M_j(x) = product of (x - p_l) over l != j:

      A^T[i][j] = p_j^i,        G[j][k] = p_j^k / M_j(p_j),        B^T[j] = coefficients of M_j.

    They compute the correlation y_i = sum over k of g_k d_{i+k}: the transpose, in the data, of
    the product of two polynomials (Toom-Cook).
    """
    n = m + r - 1
    points = [Fraction(p) for p in points]
    if len(set(points)) != n - 1:
        raise ValueError(f"matrices: needs {n - 1} different points, got {len(set(points))}")

    def coefficients(roots):
        found = [Fraction(1)]
        for root in roots:
            found = [a - root * b for a, b in zip([0, *found], [*found, 0], strict=True)]
        return [*found, *[Fraction(0)] * (n - len(found))]

    a_t = [[p**i for p in points] + [Fraction(int(i == m - 1))] for i in range(m)]
    g, b_t = [], []
    for j, p in enumerate(points):
        others = points[:j] + points[j + 1 :]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        g.append([p**k / scale for k in range(r)])
        b_t.append(coefficients(others))
    g.append([Fraction(int(k == r - 1)) for k in range(r)])
    b_t.append(coefficients(points))
    return tuple(tuple(map(tuple, matrix)) for matrix in (a_t, g, b_t))


A_T, G, B_T = matrices()
