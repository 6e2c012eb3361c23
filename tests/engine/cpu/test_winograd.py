"""Winograd's convolutions against their definitions: exact on integers, else accurate."""

import definitions
import numpy as np
import pytest
from definitions import assert_accurate, assert_rounds_to, frame, integers

from enhance_np.engine.cpu import microkernel, winograd
from enhance_np.engine.cpu.vector import LANES
from enhance_np.engine.cpu.winograd import GATHERED, PLAIN, UPSAMPLED, planes, turned, window
from enhance_np.engine.fold import phases

EDGES = [(0, "zero"), (1, "zero"), (2, "zero"), (1, "reflect"), (1, "repeat")]
# for dX; a frame of zeros is not supported, because nothing needs it
BACKWARD_EDGES = [(0, "zero"), (1, "reflect"), (1, "repeat")]
# in vectors: every micro-tile, in place or not, and more than one block of a tile
CHANNELS = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 4), (4, 3), (4, 4), (8, 4), (4, 8), (16, 16)]
# one tile, several images, more tiles than the rows of a micro-tile
SIZES = [(1, 2, 2), (2, 5, 7), (1, 4, 41)]
LARGE = (2, 67, 125)  # several tasks, each with whole blocks of tiles and a smaller last one


def channels(cin, cout):
    return cin * LANES, cout * LANES


def test_every_micro_tile_is_among_the_channels():
    assert {microkernel.shape(cout * LANES) for _, cout in CHANNELS} == {*microkernel.SHAPES}
    blocks = {cout * LANES // (microkernel.shape(cout * LANES)[1] * LANES) for _, cout in CHANNELS}
    assert {1, 2} < blocks


@pytest.mark.parametrize("height", range(2, 10))
@pytest.mark.parametrize(("before", "edge"), EDGES)
def test_conv_of_every_small_size(before, edge, height, rng):
    w, b = integers(rng, 3, 3, LANES, LANES), integers(rng, LANES)
    for width in range(2, 10):
        if min(height, width) + 2 * before < 3:
            continue
        x = integers(rng, 2, height, width, LANES)
        y = winograd.conv(x, w, b, before, edge)
        assert_rounds_to(y, definitions.conv(x, w, b, before, edge), f"width {width}")


@pytest.mark.parametrize("height", range(2, 10))
@pytest.mark.parametrize(("before", "edge"), BACKWARD_EDGES)
def test_conv_backward_of_every_small_size(before, edge, height, rng):
    w = integers(rng, 3, 3, LANES, LANES)
    grow = 2 * before - 2
    for width in range(2, 10):
        if min(height, width) + grow < 1:
            continue
        x = integers(rng, 2, height, width, LANES)
        dy = integers(rng, 2, height + grow, width + grow, LANES)
        found = winograd.conv_backward(dy, x, w, before, edge)
        want = definitions.conv_backward(dy, x, w, before, edge)
        for name, got, exact in zip(("dx", "dw", "db"), found, want, strict=True):
            assert_rounds_to(got, exact, f"{name}, width {width}")


@pytest.mark.parametrize("height", range(1, 10))
def test_upsample_conv_of_every_small_size(height, rng):
    w, b = integers(rng, 3, 3, LANES, LANES), integers(rng, LANES)
    for width in range(1, 10):
        x = integers(rng, 2, height, width, LANES)
        dy = integers(rng, 2, 2 * height, 2 * width, LANES)
        y = winograd.upsample_conv(x, w, b)
        assert_rounds_to(y, definitions.upsample_conv(x, w, b), f"width {width}")
        found = winograd.upsample_conv_backward(dy, x, w)
        want = definitions.upsample_conv_backward(dy, x, w)
        for name, got, exact in zip(("dx", "dw", "db"), found, want, strict=True):
            assert_rounds_to(got, exact, f"{name}, width {width}")


NUMBERS = {
    "integers": (integers, assert_rounds_to),
    "random": (lambda rng, *s: rng.standard_normal(s, np.float32), assert_accurate),
}


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize(("cin", "cout"), CHANNELS)
def test_every_combination_of_channels(cin, cout, numbers, rng):
    (cin, cout), (draw, check) = channels(cin, cout), NUMBERS[numbers]
    w, b = draw(rng, 3, 3, cin, cout), draw(rng, cout)
    for n, h, wd in SIZES:
        x, dy = draw(rng, n, h, wd, cin), draw(rng, n, h, wd, cout)
        large = draw(rng, n, 2 * h, 2 * wd, cout)

        def everything(module, x=x, dy=dy, large=large):
            return (
                module.conv(x, w, b, 1, "reflect"),
                *module.conv_backward(dy, x, w, 1, "reflect"),
                module.upsample_conv(x, w, b),
                *module.upsample_conv_backward(large, x, w),
            )

        names = (
            f"{part} of {op}, {n, h, wd}"
            for op in ("conv", "upsample_conv")
            for part in ("y", "dx", "dw", "db")
        )
        for name, got, want in zip(
            names, everything(winograd), everything(definitions), strict=True
        ):
            check(got, want, name)


@pytest.mark.parametrize(("cin", "cout"), [(1, 1), (4, 4), (4, 1)])
def test_more_tiles_than_a_task(cin, cout, rng):
    cin, cout = channels(cin, cout)
    n, h, wd = LARGE
    assert winograd.tiles((n, h, wd, 1)) > 8 * min(winograd.TILES)
    w, b, x = integers(rng, 3, 3, cin, cout), integers(rng, cout), integers(rng, *LARGE, cin)
    y = winograd.conv(x, w, b, 1, "reflect")
    assert_rounds_to(y, definitions.conv(x, w, b, 1, "reflect"))
    dy = integers(rng, *LARGE, cout, most=1)
    found = winograd.conv_backward(dy, x, w, 1, "reflect")
    want = definitions.conv_backward(dy, x, w, 1, "reflect")
    for name, got, exact in zip(("dx", "dw", "db"), found, want, strict=True):
        assert_rounds_to(got, exact, name)


def test_many_tiny_images_are_several_tasks_of_images(rng):
    """Each task sums its dU over some images; dW is summed over the tasks."""
    n = 2 * winograd.GRADIENT_TILES + 7
    w, b = integers(rng, 3, 3, LANES, LANES), integers(rng, LANES)
    x, dy = integers(rng, n, 3, 2, LANES, most=1), integers(rng, n, 3, 2, LANES, most=1)
    y = winograd.conv(x, w, b, 1, "reflect")
    assert_rounds_to(y, definitions.conv(x, w, b, 1, "reflect"))
    found = winograd.conv_backward(dy, x, w, 1, "reflect")
    want = definitions.conv_backward(dy, x, w, 1, "reflect")
    for name, got, exact in zip(("dx", "dw", "db"), found, want, strict=True):
        assert_rounds_to(got, exact, name)


@pytest.mark.parametrize("n", [1, 4, 7, 12, 32])
def test_gradient_of_a_small_batch_is_work_for_all_threads(n, rng, monkeypatch):
    """A batch of four 50 x 50 patches once was a single task, for which all other threads
    waited."""
    tasks = []

    def counted(task, pieces):
        tasks.append(len(pieces))
        return [task(piece) for piece in pieces]

    monkeypatch.setattr(winograd, "parallel", counted)
    x, w = integers(rng, n, 50, 50, LANES), integers(rng, 3, 3, LANES, LANES)
    winograd.conv_backward(x, x, w, 1, "reflect")
    assert tasks[-1] >= min(n, 8)


def test_an_image_has_the_same_bits_in_any_batch(rng):
    """The position of an image's tiles in a block does not matter."""
    data = (rng.standard_normal(shape) for shape in ((7, 9, 6, LANES), (3, 3, LANES, LANES)))
    x, w = (a.astype(np.float32) for a in data)
    b = np.zeros(LANES, np.float32)
    y, large = winograd.conv(x, w, b, 1, "reflect"), winograd.upsample_conv(x, w, b)
    dx, _, _ = winograd.conv_backward(y, x, w, 1, "reflect")
    for i in range(len(x)):
        one = x[i : i + 1]
        np.testing.assert_array_equal(winograd.conv(one, w, b, 1, "reflect")[0], y[i])
        np.testing.assert_array_equal(winograd.upsample_conv(one, w, b)[0], large[i])
        alone, _, _ = winograd.conv_backward(y[i : i + 1], one, w, 1, "reflect")
        np.testing.assert_array_equal(alone[0], dx[i])


def test_backward_is_the_adjoint(rng):
    """<conv(x), dy> = <x, dx> = <w, dw> to float32 accuracy; needs no reference."""
    x, w = (rng.standard_normal(s) for s in ((2, 7, 6, LANES), (3, 3, LANES, 2 * LANES)))
    x, w, zero = x.astype("f4"), w.astype("f4"), np.zeros(2 * LANES, np.float32)
    for forward, backward, size in (
        (
            lambda: winograd.conv(x, w, zero, 1, "reflect"),
            lambda dy: winograd.conv_backward(dy, x, w, 1, "reflect"),
            (2, 7, 6),
        ),
        (
            lambda: winograd.upsample_conv(x, w, zero),
            lambda dy: winograd.upsample_conv_backward(dy, x, w),
            (2, 14, 12),
        ),
    ):
        dy = rng.standard_normal((*size, 2 * LANES)).astype(np.float32)
        dx, dw, db = (a.astype("f8") for a in backward(dy))
        y = forward().astype("f8")
        bound = 1e-6 * np.linalg.norm(y) * np.linalg.norm(dy)
        assert abs(np.vdot(y, dy) - np.vdot(x, dx)) <= bound
        assert abs(np.vdot(y, dy) - np.vdot(w, dw)) <= bound
        # a sum may be smaller than its terms. 16 of them are added in float32, so each is rounded
        # at most 15 times (Higham 2002, section 4.2), and db is rounded once more
        rounding = 16 * 2.0**-24 * abs(dy).sum(axis=(0, 1, 2), dtype="f8")
        assert (abs(db - dy.sum(axis=(0, 1, 2), dtype="f8")) <= rounding).all()


@pytest.mark.parametrize(
    ("size", "before", "edge"),
    [
        (size, before, edge)
        for before, edge in EDGES
        for size in range(2 if edge == "reflect" else 1, 15)
        if size + 2 * before >= 3
    ],
)
def test_window_is_the_frame_by_index(size, before, edge):
    index = np.arange(size, dtype=float).reshape(1, size, 1, 1)
    if edge == "zero":
        want = np.pad(index[0, :, 0, 0], before, constant_values=-1)
    else:
        want = frame(np.repeat(index, 3, axis=2), before, edge)[0, :, before, 0]
    outputs = len(want) - 2
    for ring in (None, 1, 4, 12):
        found = window(size, before, edge, ring)
        # whole tiles of 4 outputs, whose window of 6 may extend beyond the frame, but only to
        # existing lines
        assert len(found) == -(-outputs // 4) * 4 + 2
        stands = np.where(want < 0, -1, want % ring if ring else want)
        np.testing.assert_array_equal(found[: len(want)], stands)
        assert found.min() >= -1
        assert found.max() < min(size, ring or size)


def test_planes_alive_are_those_that_are_not_zero(rng):
    """The other planes are zero, so they need no product, neither forward nor in the adjoint."""
    c = 2 * LANES
    w = rng.standard_normal((3, 3, c, c)).astype(np.float32)
    for kernels, alive in (
        ((w,), PLAIN),
        (phases(w), UPSAMPLED),
        (tuple(map(turned, phases(w))), GATHERED),
    ):
        u = planes(*kernels, alive=alive).u.reshape(len(kernels), 36, c * c)
        np.testing.assert_array_equal(alive.reshape(len(kernels), 36), u.any(axis=2))
    assert UPSAMPLED.shape == (1, 4, 36)  # one image in, four phases out
    assert GATHERED.shape == (4, 1, 36)
    assert np.count_nonzero(UPSAMPLED) == 4 * 25


def test_whole_vectors_of_channels_and_3x3_go_by_winograd():
    assert winograd.is_winograd((3, 3, LANES, 2 * LANES))
    for shape in ((1, 1, 64, 64), (3, 1, 64, 64), (5, 5, 64, 64), (3, 3, 1, 64), (3, 3, 64, 1)):
        assert not winograd.is_winograd(shape)


def test_offsets_beyond_32_bits(tmp_path, rng):
    """Computes the last tiles of an image of more than 2^31 numbers, stored in sparse files."""
    wd = 2**16
    h = 2**31 // (wd * LANES) + 12
    assert h % 4 == wd % 4 == 0
    try:
        x, y = (
            np.memmap(tmp_path / name, np.float32, "w+", shape=(1, h, wd, LANES)) for name in "xy"
        )
    except OSError as error:
        pytest.skip(f"no room for a file with holes: {error}")
    last = integers(rng, 10, 10, LANES)
    x[0, -10:, -10:] = last
    w, b = integers(rng, 3, 3, LANES, LANES), integers(rng, LANES)
    windows = window(h, 1, "reflect"), window(wd, 1, "reflect")
    end, across = winograd.tiles(y.shape), wd // 4
    for first in (end - across - 2, end - 2):  # one inside the image, and those at its edge
        span = first, first + 2
        winograd.conv_tiles(x, planes(w), b, y, *windows, winograd.BIAS, [span])
    want = definitions.conv(last[None], w, b, 1, "reflect")
    assert_rounds_to(np.array(y[:, -8:, -8:]), want[:, -8:, -8:])
    assert not y[:, -12:-8, -12:].any()
