import h5py
from recipes import small_recipe

from enhance_np.pairs import default
from enhance_np.pairs.recipe import read


def test_made_once_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(default, "TRAINING", 6)
    monkeypatch.setattr(default, "VALIDATION", 4)
    small = read(small_recipe(tmp_path / "blos.toml", "blos"))
    monkeypatch.setattr(default, "read", lambda type: small)
    data, held_out = default.synthetic_pairs(tmp_path, "blos", seed=3)
    for path, n in ((data, 6), (held_out, 4)):
        with h5py.File(path) as f:
            assert len(f["imHMI"]) == n
            assert f.attrs["type"] == "blos"
    before = [path.stat().st_mtime_ns for path in (data, held_out)]
    assert default.synthetic_pairs(tmp_path, "blos", seed=3) == (data, held_out)
    assert [path.stat().st_mtime_ns for path in (data, held_out)] == before
    held_out.unlink()  # one file alone is not a data set
    default.synthetic_pairs(tmp_path, "blos", seed=3)
    assert held_out.exists()
