"""Winograd's convolution: a 3x3 kernel on 4x4 outputs with 36 products instead of 144.

One output tile of m x m pixels depends on (m + 2)^2 inputs d. With three small matrices,

    y = A^T [ (G g G^T) * (B^T d B) ] A,

where * is the elementwise product for each pair of channels. Summed over input channels, this is
one matrix product for each of the (m + 2)^2 places, done by microkernel. The
transforms are unrolled into vector instructions from the fractions below (vector.combine).
The gradients need no other matrices: dX is a convolution too, and by transposition

    dg = G^T [ (A dy A^T) * (B^T d B) ] G,     summed over the tiles.

The matrices come from Toom and Cook's product of polynomials (evaluate at points, multiply,
interpolate). They are derived below in exact fractions.

Source: Winograd 1980, Arithmetic Complexity of Computations; Lavin & Gray 2016, arXiv:1509.09308.
The usual points 0, 1, -1, 2, -2 have larger rounding errors than these: 1.7e-6 instead of 0.8e-6
(rms, 64 channels; bench/speed/winograd_points.py). Rounding in the forward pass moves inputs of
ReLUs across 0, which changes the gradients. On the choice of points: Barabasz et al. 2020,
arXiv:1803.10986.
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

    points : n - 1 different numbers; the n-th point is infinity, where the value of a polynomial is
    its leading coefficient. With p_j the points and M_j(x) = product of (x - p_l) over l != j:

      A^T[i][j] = p_j^i,        G[j][k] = p_j^k / M_j(p_j),        B^T[j] = coefficients of M_j.

    They compute the correlation y_i = sum over k of g_k d_{i+k}, which is the transpose, in the
    data, of the product of two polynomials (Toom-Cook).
    Raises ValueError for another number of different points.
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
