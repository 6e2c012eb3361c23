"""The model that divides images into blocks, against counting by hand."""

import pytest

from enhance_np.engine.cuda import shapes

PLAIN, WIDE = shapes.TILES


def test_tiles_cover_the_image():
    assert PLAIN.blocks(32, 50, 50) == 32 * 13 * 2
    assert WIDE.blocks(32, 50, 50) == 32 * 25
    assert WIDE.blocks(1, 1, 53) == 2


@pytest.mark.parametrize(
    ("size", "processors", "chosen"),
    [
        ((32, 50, 50), 132, WIDE),  # of 64 columns a quarter would be waste
        ((4, 50, 50), 132, WIDE),
        ((32, 52, 52), 132, WIDE),
        ((1, 1024, 1024), 132, PLAIN),  # whose loop has fewer loads
        ((1, 4096, 4096), 108, PLAIN),
        ((32, 64, 64), 132, PLAIN),
    ],
)
def test_the_tile_follows_the_image(size, processors, chosen):
    assert shapes.tile(*size, 1, processors) is chosen
    times = {one: shapes.tile_time(one, *size, 1, processors) for one in shapes.TILES}
    assert times[chosen] == min(times.values())


def test_the_time_is_that_of_the_multiprocessor_with_most_blocks():
    """832 blocks on 132 multiprocessors: one of them has 7."""
    assert shapes.tile_time(PLAIN, 32, 50, 50, 1, 132) == 7 * 128 / PLAIN.multiply_adds
    assert shapes.tile_time(PLAIN, 32, 50, 50, 2, 132) == 13 * 128 / PLAIN.multiply_adds
    assert shapes.tile_time(WIDE, 1, 2, 52, 1, 132) == 104 / WIDE.multiply_adds


@pytest.mark.parametrize(("w", "width"), [(50, 26), (52, 26), (32, 32), (64, 32), (1024, 32)])
def test_strips_waste_least(w, width):
    assert shapes.strip(w) == width


@pytest.mark.parametrize("count", [1, 7, 100, 400, 3200, 3328, 32768, 10**6])
@pytest.mark.parametrize("tiles", [1, 4, 8, 64, 4096])
def test_runs_cover_all_strips_within_the_limits(count, tiles):
    number, per = shapes.runs(count, tiles, 16)
    assert (number - 1) * per < count <= number * per
    assert number <= max(1, shapes.BLOCKS // tiles)
    assert per >= 12
    # no other length within the range would be faster for these cards
    least = shapes.runs_time(count, tiles, per)
    first = max(12, -(-count // max(1, shapes.BLOCKS // tiles)))
    others = [shapes.runs_time(count, tiles, k) for k in range(first, 2 * max(first, 16) + 1)]
    assert least == min(others)


def test_the_last_wave_of_a_gradient_is_fuller_than_with_equal_runs_of_the_least():
    """Patches of 50 x 50: 800 blocks of 16 strips would take the time of 7 on 132."""
    number, per = shapes.runs(32 * 50 * 2, 4, 16)
    assert (number, per) == (160, 20)
    assert -(-number * 4 // 132) * per == 5 * 20 < 7 * 16
    assert shapes.runs_time(3200, 4, 20) < shapes.runs_time(3200, 4, 16)
