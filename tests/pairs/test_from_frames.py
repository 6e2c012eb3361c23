"""Training pairs from frames: the geometry is measured on the pairs in the file."""

import json

import h5py
import numpy as np
import pytest

from enhance_np.observation.normalise import quiet_sun_level
from enhance_np.optics.degrade import HMI_SCALE, Optics, degrade
from enhance_np.optics.psf_image import PsfImage
from enhance_np.pairs import from_frames
from enhance_np.pairs.frames import open_frames
from enhance_np.pairs.sources import GUARD
from enhance_np.pairs.split import split

SCALE = 0.08
SHAPE = (430, 300)  # 34.4 by 24 arcsec
NEAR = Optics(support=3)
PIXEL = 1e-3  # required accuracy


def coordinates(shape=SHAPE):
    """Coordinates of the frame's pixel centres, in arcsec from the corner."""
    return np.meshgrid(*((np.arange(n) + 0.5) * SCALE for n in shape), indexing="ij")


def made(tmp_path, scene, patch, count, **change):
    """Frames in G give patches in kG; returns [(image, y, x)] of low and high, rotated back."""
    np.save(tmp_path / "scene.npy", 1000 * scene)
    arguments = {"patch": patch, "optics": NEAR, "pixel_scale": SCALE} | change
    path, _ = from_frames.build(
        tmp_path / "out.h5", "blos", [tmp_path / "scene.npy"], count, 1, **arguments
    )
    found = ([], [])
    with h5py.File(path) as f:
        assert set(f["turn"][:]) == set(range(8))
        for k, (turn, centre) in enumerate(zip(map(int, f["turn"]), f["centre"], strict=True)):
            for images, name, factor in zip(found, ("imHMI", "imSST"), (1, 2), strict=True):
                image = f[name][k, :, :, 0]
                image = np.rot90(image[:, ::-1] if turn >= 4 else image, -(turn % 4))
                u = ((np.arange(factor * patch) + 0.5) / factor - patch / 2) * HMI_SCALE
                y, x = np.meshgrid(centre[0] + u, centre[1] + u, indexing="ij")
                images.append((image, y, x))
    return found


def test_a_spot_keeps_its_place_and_its_light(tmp_path):
    at, sigma = (11.234, 12.567), 0.6
    y, x = coordinates()
    scene = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * sigma**2))
    for factor, images in enumerate(made(tmp_path, scene, 28, 400), 1):
        pixel = HMI_SCALE / factor
        whole = 0
        for image, py, px in images:
            reach = min(at[0] - py[0, 0], py[-1, 0] - at[0], at[1] - px[0, 0], px[0, -1] - at[1])
            if reach < 3 + 4 * sigma:  # within the light of the blob
                continue
            whole += 1
            found = [(image * c).sum() / image.sum() for c in (py, px)]
            np.testing.assert_allclose(found, at, rtol=0, atol=PIXEL * pixel)
            assert image.sum() * pixel**2 == pytest.approx(scene.sum() * SCALE**2, rel=1e-4)
        assert whole >= 5


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_sine_near_the_cut_off_keeps_its_phase(factor, axis, tmp_path):
    """A cosine with whole half periods across the training box is its own mirror image."""
    pixel = HMI_SCALE / factor
    np.save(tmp_path / "shape.npy", np.zeros(SHAPE))
    box = split(open_frames(tmp_path / "shape.npy", SCALE), 12 * HMI_SCALE)["train"]
    length = box[2 * axis + 1] * SHAPE[axis] * SCALE
    halves = round(0.9 * length / pixel)  # 0.9 of the cut-off of the grid, 1 / (2 pixel)
    wave = np.pi * halves / length
    scene = np.cos(wave * coordinates()[axis])
    kernel = NEAR.kernels(SCALE)[factor - 1]
    u = (np.arange(len(kernel)) - len(kernel) // 2) * SCALE
    transfer = kernel.sum(axis=1 - axis) @ np.cos(wave * u)
    assert abs(transfer) > 0.02
    for image, *at in made(tmp_path, scene, 12, 400)[factor - 1]:
        phase = wave * at[axis].ravel()
        basis = np.stack([np.cos(phase), np.sin(phase)], axis=1)
        (a, b), *_ = np.linalg.lstsq(basis, image.ravel().astype(float), rcond=None)
        assert abs(b / a / wave) < PIXEL * pixel
        assert a == pytest.approx(transfer, abs=1e-6)


def test_a_ramp_keeps_its_value_at_every_centre(tmp_path):
    y, x = coordinates()
    scene = 0.03 * y + 0.02 * x
    end = 34.4 * 0.75 - GUARD
    for factor, images in enumerate(made(tmp_path, scene, 12, 300), 1):
        inner = 0
        for image, py, px in images:
            if py.min() < 3.2 or px.min() < 3.2 or py.max() > end - 3.2 or px.max() > 20.8:
                continue  # here the mirror image bends the ramp
            inner += 1
            want = 0.03 * py + 0.02 * px
            np.testing.assert_allclose(image, want, rtol=0, atol=0.02 * PIXEL * HMI_SCALE / factor)
        assert inner >= 20


def test_a_psf_without_symmetry_stays_upright_when_the_sun_is_turned(tmp_path):
    y, x = np.mgrid[-30:31, -30:31] * 0.1
    psf = np.exp(-(y**2) / 0.08) * np.exp(-np.where(x < 0, x**2 / 0.08, x**2 / 0.8))
    at = (11.234, 12.567)
    y, x = coordinates()
    scene = np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 0.3**2))
    optics = Optics(PsfImage(psf, 0.1, "comet"), support=3)
    made(tmp_path, scene, 24, 400, optics=optics)
    u = np.arange(24)
    turns = set()
    with h5py.File(tmp_path / "out.h5") as f:
        for image, turn in zip(f["imHMI"][..., 0], f["turn"][:], strict=True):
            row, column = image.sum(axis=0), image.sum(axis=1)
            if min(row[[0, -1]].max(), column[[0, -1]].max()) > 1e-3 or row.sum() < 0.5:
                continue
            if max(row[:3].max(), row[-6:].max(), column[:3].max(), column[-3:].max()) > 1e-3:
                continue
            turns.add(int(turn))
            along, across = ((u - u @ p / p.sum()) ** 3 @ p for p in (row, column))
            assert along > 10 * abs(across)
    assert turns == set(range(8))


@pytest.fixture
def films(tmp_path):
    """A cube of 3 frames and a file with one; the values encode file, frame and position."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:200, :130]
    frames = [10 + k + 0.01 * y + 0.001 * x + 0.2 * rng.random((200, 130)) for k in range(4)]
    np.save(tmp_path / "cube.npy", np.array(frames[:3], "f4"))
    np.save(tmp_path / "one.npy", np.array(frames[3]))
    return [tmp_path / "cube.npy", tmp_path / "one.npy"], np.array(frames)


def built(films, out, *, n=(50, 9), type="intensity", **change):
    arguments = {"patch": 8, "optics": NEAR, "pixel_scale": SCALE} | change
    return from_frames.build(out, type, films[0], *n, **arguments)


def test_layout_and_provenance(films, tmp_path):
    paths = built(films, tmp_path / "t.h5", seed=4)
    assert paths == (tmp_path / "t.h5", tmp_path / "t_val.h5")
    for path, n, side in zip(paths, (50, 9), ("train", "validation"), strict=True):
        with h5py.File(path) as f:
            assert f["imHMI"].shape == (n, 8, 8, 1)
            assert f["imSST"].shape == (n, 16, 16, 1)
            assert f["imHMI"].dtype == f["imSST"].dtype == np.float32
            assert (f["imHMI"][:].min(axis=(1, 2, 3)) > 0.5).all()  # every patch is written
            share = np.bincount(3 * f["file"][:] + f["frame"][:])
            assert max(share) - min(share) <= 1  # frames have equal shares
            assert f["files"].asstr()[:].tolist() == [str(p) for p in films[0]]
            (source,) = json.loads(f.attrs["sources"])
            assert source["name"] == "4 frames of 200 x 130 pixels of 0.08 arcsec"
            y0, y1, x0, x1 = (
                edge * n * SCALE for edge, n in zip(source[side], (200, 200, 130, 130), strict=True)
            )
            y, x = f["centre"][:].T
            half = 4 * HMI_SCALE - 1e-9
            assert y0 + half <= y.min() <= y.max() <= y1 - half
            assert x0 + half <= x.min() <= x.max() <= x1 - half
            wanted = {
                "type": "intensity",
                "unit": "intensity over quiet Sun",
                "psf": "modified",
                "support_arcsec": 3.0,
                "hmi_diameter_m": 0.14,
                "target_diameter_m": 0.28,
                "wavelength_m": 6173e-10,
                "hmi_scale_arcsec": HMI_SCALE,
                "seed": 4,
                "norm": "mean",
                "guard_arcsec": GUARD,
                "side": side,
            }
            assert {k: f.attrs[k] for k in wanted} == wanted
            assert f.attrs["norm_level"] == pytest.approx(films[1].mean(), rel=1e-6)
            assert f.attrs["version"]
    assert sorted(p.name for p in tmp_path.glob("*.h5")) == ["t.h5", "t_val.h5"]


def test_patches_show_the_frame_they_name(films, tmp_path):
    path, _ = built(films, tmp_path / "t.h5", norm="1")
    with h5py.File(path) as f:
        level = np.array([[10, 11, 12], [13, np.nan, np.nan]])[f["file"][:], f["frame"][:]]
        y, x = f["centre"][:].T / SCALE
        want = level + 0.1 + 0.01 * y + 0.001 * x
        # tolerance for the granules in a patch; values grow by 1 per frame and 0.4 per patch height
        np.testing.assert_allclose(f["imHMI"][:].mean(axis=(1, 2, 3)), want, rtol=0, atol=0.05)


def test_the_same_seed_gives_the_same_values(films, tmp_path):
    values = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        path, other = built(films, tmp_path / f"{name}.h5", seed=seed)
        with h5py.File(path) as f, h5py.File(other) as g:
            values.append(f["imSST"][:].tobytes() + g["imSST"][:].tobytes())
    assert values[0] == values[1] != values[2]


def test_norms(films, tmp_path):
    frames = films[1]
    opened = [open_frames(p, SCALE) for p in films[0]]
    assert from_frames.level(opened, "mean") == pytest.approx(frames.mean(), rel=1e-6)
    assert from_frames.level(opened, 4.5) == 4.5
    want = np.mean([quiet_sun_level(degrade(f, SCALE, NEAR)[0]) for f in frames])
    assert from_frames.level(opened, "quiet-sun", NEAR) == pytest.approx(want, rel=1e-6)
    for norm in ("1", "2"):
        built(films, tmp_path / f"{norm}.h5", norm=norm)
    with h5py.File(tmp_path / "1.h5") as f, h5py.File(tmp_path / "2.h5") as g:
        np.testing.assert_allclose(f["imHMI"][:], 2 * g["imHMI"][:], rtol=1e-6)
        assert (f.attrs["norm"], f.attrs["norm_level"]) == ("1", 1.0)


def test_magnetograms_become_kilogauss(films, tmp_path):
    path, _ = built(films, tmp_path / "b.h5", type="blos")
    other, _ = built(films, tmp_path / "i.h5", norm=1000)
    with h5py.File(path) as f, h5py.File(other) as g:
        np.testing.assert_array_equal(f["imHMI"][:], g["imHMI"][:])
        assert (f.attrs["unit"], f.attrs["norm_level"]) == ("kG", 1000.0)


def test_frames_may_differ_in_shape(films, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((100, 260)))
    path, _ = built(([*films[0], tmp_path / "wide.npy"], None), tmp_path / "t.h5")
    with h5py.File(path) as f:
        assert len(json.loads(f.attrs["sources"])) == 2
        np.testing.assert_array_equal(f["source"][:], f["file"][:] == 2)


def test_a_frame_of_just_one_patch_on_either_side_is_enough(tmp_path):
    side = 63  # pixels, ten low-resolution pixels of 0.504 arcsec
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((2 * side + 38, side)))
    optics = Optics(support=3, hmi_scale=0.504)
    path, _ = built(([tmp_path / "a.npy"], None), tmp_path / "t.h5", patch=10, optics=optics)
    with h5py.File(path) as f:
        np.testing.assert_allclose(f["centre"][:], side * SCALE / 2, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "velocity"}, "type must be one of"),
        ({"n": (0, 1)}, "n_train must be 1 or more"),
        ({"n": (1, -2)}, "n_val must be 1 or more"),
        ({"patch": 0}, "patch must be 1 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"norm": "median"}, "norm must be mean, quiet-sun or a level"),
        ({"norm": "-3"}, "level must be positive"),
        ({"norm": "nan"}, "level must be positive"),
        ({"type": "blos", "norm": "mean"}, "norm is only for intensity"),
        ({"pixel_scale": 0.3}, r"at most half as large as HMI's, 0\.25.*cube\.npy"),
        ({"patch": 25}, r"frames must have room for a patch.*cube\.npy"),
        ({"optics": Optics(support=0.01)}, "support must be one pixel"),
    ],
)
def test_refuses(change, message, films, tmp_path):
    with pytest.raises(ValueError, match=message):
        built(films, tmp_path / "t.h5", **change)
    assert not list(tmp_path.glob("*.h5*"))


def test_more_shapes_than_a_byte_counts_are_refused(tmp_path):
    for k in range(257):
        np.save(tmp_path / f"{k}.npy", np.ones((1, k + 1)))
    with pytest.raises(ValueError, match="256 shapes at most, got 257"):
        built((sorted(tmp_path.iterdir()), None), tmp_path / "t.h5")


def test_no_files_and_its_own_input_are_refused(films, tmp_path):
    with pytest.raises(ValueError, match="one file or more"):
        built(([], None), tmp_path / "t.h5")
    before = films[0][0].read_bytes()
    with pytest.raises(OSError, match="output must not be one of the frames"):
        built(films, films[0][0], overwrite=True)
    assert films[0][0].read_bytes() == before


def test_a_black_frame_has_no_quiet_sun(films, tmp_path):
    np.save(films[0][1], np.zeros((200, 130)))
    with pytest.raises(ValueError, match=r"positive somewhere.*frame 0 of .*one\.npy"):
        built(films, tmp_path / "t.h5", norm="quiet-sun")


@pytest.mark.parametrize("norm", ["mean", "1"])
@pytest.mark.parametrize(("value", "message"), [(np.nan, "finite"), (-1, "must be 0 or more")])
def test_bad_values_name_the_frame_and_leave_nothing(norm, value, message, films, tmp_path):
    frames = np.load(films[0][0])
    frames[1, 5, 6] = value
    np.save(films[0][0], frames)
    with pytest.raises(ValueError, match=rf"{message}.*frame 1 of .*cube\.npy"):
        built(films, tmp_path / "t.h5", norm=norm)
    assert not list(tmp_path.glob("*.h5*"))
