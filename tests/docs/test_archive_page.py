"""The scripts on the page of archives do what it says."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from enhance_np.prediction.manifest import Manifest
from enhance_np.weights import digest

PAGE = Path(__file__).parents[2] / "docs/archive.md"
SCRIPTS = re.findall(r"    python - <<'END'\n(.*?)    END\n", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def manifest(tmp_path):
    """One file failed at first, one for good; of three outputs one was cut short, one deleted."""
    path = tmp_path / "manifest.jsonl"
    with Manifest(path) as made:
        made.add("failed", source="a", target=str(tmp_path / "a"), error="a: at first")
        made.add("failed", source="d", target=str(tmp_path / "d"), error="d: damaged")
        for name in "abc":
            target = tmp_path / name
            target.write_bytes(b"whole " * 1000)
            made.add("written", source=name, target=str(target), target_sha256=digest(target))
    (tmp_path / "b").write_bytes(b"whole " * 480)
    (tmp_path / "c").unlink()
    return path


@pytest.mark.parametrize(
    ("script", "wanted"), list(zip(SCRIPTS, (["d: damaged"], ["b"]), strict=True))
)
def test_script(script, wanted, manifest):
    script = textwrap.dedent(script).replace("/data/enhanced/manifest.jsonl", str(manifest))
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert [line.rpartition("/")[2] for line in ran.stdout.splitlines()] == wanted
