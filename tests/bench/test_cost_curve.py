"""The curve of error against cost, of tiny networks."""

import re

import pytest
from trained import pairs

from bench.quality import cost_curve
from enhance_np._threads import threads
from enhance_np.config import NetworkConfig
from enhance_np.inspection.summary import table as summary


def test_the_curve(monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pairs(tmp_path / "intensity.h5", 1)
    pairs(tmp_path / "intensity_val.h5", 2, n=8)
    (tmp_path / "docs/models").mkdir(parents=True)
    (tmp_path / "bench").mkdir()
    page = tmp_path / "bench/TRIALS.md"
    page.write_text("<!-- bench:cost_intensity -->\n<!-- /bench:cost_intensity -->\n")
    monkeypatch.setattr(cost_curve, "ROOT", tmp_path)
    folders = ["--pairs", str(tmp_path), "--out", str(tmp_path / "runs"), "--write"]
    folders += ["--threads", str(threads())]  # not to be changed for other tests
    for depths in (["1"], ["0", "1"]):  # the second call adds a network
        sizes = ["--depths", *depths, "--filters", "16", "8"]
        monkeypatch.setattr("sys.argv", ["cost_curve", *folders, *sizes])
        cost_curve.main()
    found = cost_curve.points(tmp_path / "runs", "intensity")
    sizes = [(point["depth"], point["filters"]) for point in found]
    assert sizes == [(0, 8), (1, 8), (0, 16), (1, 16)]
    for point in found:
        told = summary(NetworkConfig(point["depth"], point["filters"]))
        work = int(re.search(r"multiply-adds per input pixel ([\d,]+)", told)[1].replace(",", ""))
        assert 0 < point["work"] <= work
        assert 0 < point["live"][0] <= point["live"][1]
    printed = capsys.readouterr().out
    once = [line for line in printed.splitlines() if line.startswith("1 block, 8 filters:")]
    assert len(once) == 2
    assert once[0] == once[1]  # not trained again
    least = min(point["loss"] for point in found)
    shown = page.read_text().splitlines()
    assert [
        line.split("|")[-2].strip() for line in shown if " filters | " in line and "block" in line
    ] == [f"{point['loss'] / least:.3f}" for point in found]
    assert (tmp_path / "docs/models/cost_intensity.png").read_bytes().startswith(b"\x89PNG")
