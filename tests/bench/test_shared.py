"""Tables, records, inputs, the float64 reference and measurements in a process of their own."""

import numpy as np
import pytest

from bench.shared import own_process, reference64, table, timing, workload
from enhance_np import layers, params
from enhance_np.config import SMALL, NetworkConfig
from enhance_np.engine import REFERENCE
from enhance_np.weights import Weights

PAGE = "Å\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nb <!-- bench:b --><!-- /bench:b -->\n"


def test_replaces_only_what_is_between_the_markers(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(PAGE, encoding="utf-8")
    table.replace(path, "a", r"new \1")
    once = path.read_text(encoding="utf-8")
    assert once == PAGE.replace("\nold\n", "\n\nnew \\1\n\n")
    table.replace(path, "a", r"new \1")
    assert path.read_text(encoding="utf-8") == once


@pytest.mark.parametrize(
    "text", ["", "<!-- bench:a -->", "<!-- /bench:a --><!-- bench:a -->", 2 * PAGE]
)
def test_markers_must_be_there_once_in_order(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md must hold <!-- bench:a -->"):
        table.replace(path, "a", "new")
    assert path.read_text(encoding="utf-8") == text


def test_markdown():
    assert table.markdown(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    with pytest.raises(ValueError, match="every row needs 2 cells"):
        table.markdown(["a", "b"], [["1"]])


def test_summary_and_fastest_peer():
    found = timing.summary({"ours": [1.0, 2.0, 4.0], "a": [3.0, 3.0, 3.0], "b": [2.0, 4.0, 9.0]})
    assert found["a"] == {"seconds": 3.0, "ratio": 1.5}
    assert timing.fastest(found, ["a", "b"]) == ("a", 1.5)
    assert timing.fastest(found, ["c"]) is None
    assert timing.cells(found, ["b", "c"]) == ["4 s (2.00)", "–"]


def test_publish(monkeypatch, tmp_path, capsys):
    options = timing.arguments("", 3).parse_args(["--results", str(tmp_path / "new")])
    record = {"environment": timing.environment(2, ["numpy"]), "repeats": options.repeats}
    assert f"numpy {np.__version__}, " in timing.caption(record)
    monkeypatch.setattr(timing, "get_host_cpu_name", lambda: "znver9")
    timing.publish("a", record, lambda record: "| table |", options, "no page")
    assert capsys.readouterr().out == "| table |\n"
    assert '"repeats": 3' in (tmp_path / "new" / "a-znver9.json").read_text()


def test_one_table_per_processor(monkeypatch, tmp_path):
    """A record replaces that of its own processor alone."""
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    monkeypatch.setattr(timing, "ROOT", tmp_path)
    arguments = ["--write", "--results", str(tmp_path)]
    options = timing.arguments("", 3).parse_args(arguments)
    for cpu, figure in (("new", 1), ("old", 2), ("new", 3)):
        monkeypatch.setattr(timing, "get_host_cpu_name", lambda cpu=cpu: cpu)
        record = {"environment": {"cpu": cpu, "commit": "c" + cpu}, "figure": figure}
        timing.publish("a", record, lambda record: str(record["figure"]), options, page.name)
    both = "**new, commit cnew**\n\n3\n\n**old, commit cold**\n\n2"
    assert page.read_text(encoding="utf-8") == PAGE.replace("\nold\n", f"\n\n{both}\n\n")


def test_a_third_of_the_kernels_is_subnormal():
    """Where the random weights have other numbers, and nowhere else."""
    random, weights = workload.random(SMALL).params, workload.subnormal(SMALL).params
    for name, a in weights.items():
        tiny = (a != 0) & (abs(a) < np.finfo(np.float32).tiny)
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a[~tiny], random[name][~tiny])
        if name.endswith("/w") and a.size > 1000:
            assert tiny.mean() == pytest.approx(1 / 3, abs=0.05)
        elif not name.endswith("/w"):
            assert not tiny.any()


def test_pieces_of_the_exact_page(monkeypatch, rng):
    monkeypatch.setattr(reference64, "WHOLE", 30)
    monkeypatch.setattr(reference64, "PIECE", 8)
    config = NetworkConfig(depth=1, filters=3)
    weights = Weights(config, *params.initial(config, 0))
    x = rng.standard_normal((40, 37)).astype(np.float32)
    y = REFERENCE.predictor(weights)(x)
    page = reference64.Page(x, weights)
    assert len(page.pieces) == 5
    assert 0 < page.errors(y).rms < 1e-6
    y[40, 36] += np.ptp(y)  # in the middle one
    assert page.errors(y).largest > 0.5


def test_exact_convolutions_in_strips(monkeypatch, rng):
    monkeypatch.setattr(reference64, "COLUMNS", 700)  # two lines at a time
    x, w, b, dy = (
        rng.standard_normal(size).astype(np.float32)
        for size in [(2, 5, 6, 3), (3, 3, 3, 2), (2,), (2, 5, 6, 2)]
    )
    y, cache = layers.pad_conv(*(a.astype("f8") for a in (x, w, b)))
    np.testing.assert_allclose(reference64.pad_conv(x, w, b), y, rtol=1e-12)
    found = reference64.pad_conv_backward(dy, x, w)
    for a, expected in zip(found, layers.pad_conv_backward(dy.astype("f8"), cache), strict=True):
        np.testing.assert_allclose(a, expected, rtol=1e-12, atol=1e-12)


def test_measurement_alone_says_why_it_failed():
    with pytest.raises(
        RuntimeError, match="own_process: predict .* must succeed, got: .*TypeError"
    ):
        own_process.measure("predict", size=8)
