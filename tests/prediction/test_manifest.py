"""The lines of a manifest, also after a run that was killed."""

import json
import math

import pytest

from enhance_np.prediction.manifest import Manifest, entries


def test_lines_are_appended(tmp_path):
    path = tmp_path / "m.jsonl"
    for number in range(2):
        with Manifest(path) as manifest:
            manifest.add("written", target=f"{number}.fits", seconds=0.5)
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [entry["target"] for entry in found] == ["0.fits", "1.fits"]
    assert found == list(entries(path))
    assert {"status", "time", "target", "seconds"} == set(found[0])


def test_each_line_is_there_at_once(tmp_path):
    """A process that is killed after `add` has lost nothing."""
    with Manifest(tmp_path / "m.jsonl") as manifest:
        manifest.add("written", target="a")
        assert len(list(entries(manifest.path))) == 1


@pytest.mark.parametrize("keep", [1, 5, 30, 61])
def test_a_part_of_a_line_is_removed(tmp_path, keep):
    path = tmp_path / "m.jsonl"
    with Manifest(path) as manifest:
        manifest.add("written", target="a.fits")
    whole = path.read_bytes()
    assert keep < len(whole)
    for before in (b"", whole):
        path.write_bytes(before + whole[:keep])
        with Manifest(path) as manifest:
            manifest.add("written", target="b.fits")
        targets = [entry["target"] for entry in entries(path)]
        assert targets == ["a.fits"] * bool(before) + ["b.fits"]


def test_targets_without_an_error(tmp_path):
    with Manifest(tmp_path / "m.jsonl") as manifest:
        manifest.add("written", target="a")
        manifest.add("failed", target="b", error="no FITS file")
        manifest.add("existed", target="c")
        assert manifest.targets() == {"a", "c"}


def test_a_file_that_is_no_manifest_is_not_touched(tmp_path):
    """Opening a manifest may cut the file."""
    path = tmp_path / "in.fits"
    for content in (b"SIMPLE  =" + b" " * 2880, b'{"other": 1}\n{"half'):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="must be a manifest"), Manifest(path):
            pass
        assert path.read_bytes() == content


def test_faults_name_the_file(tmp_path):
    with pytest.raises(OSError, match="no/m.jsonl"), Manifest(tmp_path / "no" / "m.jsonl"):
        pass
    path = tmp_path / "m.jsonl"
    path.write_text('{"status": "written"}\n')
    with pytest.raises(ValueError, match="line 1 of .*m.jsonl"):
        list(entries(path))


def test_names_of_any_letters_and_no_nan(tmp_path):
    with Manifest(tmp_path / "m.jsonl") as manifest:
        manifest.add("written", target="sol\u00e9il\n\udcff")
        with pytest.raises(ValueError, match="JSON"):
            manifest.add("written", target="a", norm=math.nan)
    assert (tmp_path / "m.jsonl").read_bytes().isascii()
    (entry,) = entries(tmp_path / "m.jsonl")
    assert entry["target"] == "sol\u00e9il\n\udcff"
