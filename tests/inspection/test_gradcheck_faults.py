"""Every fault of the catalogue is found, and gradcheck names what is broken."""

import numpy as np
import pytest

from enhance_np import cli, layers
from enhance_np.engine import REFERENCE, Engine
from enhance_np.engine.cpu import vocabulary as cpu
from enhance_np.inspection import gradcheck
from enhance_np.inspection.gradcheck import faults
from enhance_np.inspection.gradcheck.table import first_culprit

CPU = Engine("cpu", cpu, np.asarray, np.asarray)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", faults.CATALOGUE)
def test_the_culprit_is_named(name, seed):
    fault = faults.find(name)
    found = first_culprit(gradcheck.check_all(seed, 0, *faults.planted(REFERENCE, fault)))
    assert found.culprit == fault.culprit


@pytest.mark.parametrize("name", faults.CATALOGUE)
def test_the_culprit_is_named_in_float32(name):
    fault = faults.find(name)
    found = first_culprit(gradcheck.check_all(0, 0, *faults.planted(CPU, fault)))
    assert found.culprit == fault.culprit


@pytest.mark.parametrize("fault", faults.CATALOGUE.values(), ids=lambda fault: fault.name)
def test_a_fault_breaks_one_operation(fault):
    """A part breaks what is made of it; nothing else changes."""
    engine, _ = faults.planted(REFERENCE, fault)
    assert "\n" not in fault.explanation
    assert fault.explanation.endswith(".")
    if fault.operation == "backward":
        assert engine is REFERENCE
        assert fault.culprit.startswith("network.backward at ")
        return
    changed = {n for n in layers.__all__ if getattr(engine.ops, n) is not getattr(layers, n)}
    assert fault.operation in changed
    parts = *layers.PARTS, "relu_backward", "elu_backward"
    assert changed == {fault.operation} or fault.operation in parts


def test_the_catalogue_covers_every_kind_of_operation():
    broken = {fault.operation for fault in faults.CATALOGUE.values()}
    assert {f"{name}_backward" for name in ("reflection_pad", "conv2d", "batchnorm")} < broken
    assert {f"{name}_backward" for name in ("relu", "elu", "upsample")} < broken
    assert {"upsample_conv_backward", "batchnorm_add_backward", "backward"} < broken


def test_a_bias_before_batchnorm_tells_the_paths_apart():
    """It seems to have a gradient without the path of the mean, not without the variance's."""
    for name, verdict in (("mean", "FAILED"), ("variance", "ok")):
        fault = faults.find(f"batchnorm-{name}-path-missing")
        engine, _ = faults.planted(REFERENCE, fault)
        checks = gradcheck.check_operations(engine, np.random.default_rng(0))
        (bias,) = (check for check in checks if check.place == "bias before bn, batch")
        assert bias.verdict == verdict


def test_the_command_shows_a_fault(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["gradcheck", "--break", "upsample-averages-instead-of-sums"])
    assert done.value.code == 1
    *lines, culprit, planted = capsys.readouterr().out.splitlines()
    failed = [line.split()[0] for line in lines if line.endswith("FAILED")]
    assert failed == ["upsample", "upsample_conv", *4 * ["network"]]
    assert culprit.startswith("First culprit: upsample_backward gives ")
    assert planted.startswith("Planted: upsample-averages-instead-of-sums. A pixel is repeated")


def test_the_command_takes_an_engine_and_prints_all_lines(capsys):
    arguments = "--engine", "cpu", "--break", "relu-mask-of-the-gradient", "--verbose", "--quiet"
    with pytest.raises(SystemExit) as done:
        cli.main(["gradcheck", *arguments])
    assert done.value.code == 1
    head, *lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert head.startswith("operation")
    assert {line.split()[0] for line in lines} == {"relu", "relu_conv", "batchnorm_relu", "network"}
    assert all(line.endswith("FAILED") for line in lines)
    assert any("float64" in line for line in lines)


def test_the_command_lists_them(capsys):
    with pytest.raises(SystemExit) as done:
        cli.main(["gradcheck", "--break", "list"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    for fault in faults.CATALOGUE.values():
        assert f"{fault.name}\n    {fault.explanation}\n" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--break", "nothing"],
            "the fault must be one of the catalogue, got 'nothing' (see --break)",
        ),
        (["--seed", "-1"], "--seed must be >= 0, got -1"),
        (["--coordinates", "-3"], "--coordinates must be >= 0, got -3"),
    ],
)
def test_the_command_refuses(arguments, words):
    with pytest.raises(SystemExit) as done:
        cli.main(["gradcheck", *arguments])
    assert done.value.code == f"enhance-np gradcheck: {words}"
