"""Both pages in Firefox: docs/try, and that of `inspect`. tests/support/firefox.py drives it."""

import time

import numpy as np
from firefox import PATIENCE, opened
from inspected import RUNS, made_page
from try_page import PAGE, field, same_file, write

from enhance_np.prediction.file import enhance_file


def test_the_saved_file_is_that_of_predict(tmp_path, rng):
    source = write(tmp_path / "in.fits", field(rng, (120, 83)), BUNIT="G")
    with opened(tmp_path) as firefox:
        firefox.goto(PAGE)
        firefox.choose_file("#file", source)
        shown = "!document.getElementById('{}').hidden"
        firefox.wait(f"{shown.format('result')} || {shown.format('error')}")
        assert "WebAssembly SIMD" in firefox.run("document.getElementById('facts').textContent")
        firefox.run("document.getElementById('save').click()")
        saved = tmp_path / "in_enhanced.fits"
        until = time.monotonic() + PATIENCE
        while not (saved.exists() and saved.stat().st_size) and time.monotonic() < until:
            time.sleep(0.1)
    enhance_file(source, tmp_path / "out.fits", model="small", device="cpu")
    same_file(saved, tmp_path / "out.fits")


def test_every_step_of_an_inspected_run_is_shown(tmp_path):
    made = made_page(*RUNS[0], tmp_path)
    with opened(tmp_path) as firefox:
        firefox.goto(made.path)
        firefox.wait("document.body.dataset.ready === 'true'")
        titles = firefox.run("sequence.map((_, n) => { go(n); return byId('title').textContent; })")
        assert len(set(titles)) == len(made.trace.steps) + 2
        row, column, value = firefox.run(
            "[state.view.row, state.view.column, "
            "valueAt(state.view, 'd', 'stem/conv', state.view.row, state.view.column, 1)]"
        )
        exact = made.trace["stem/conv"].dh[0, ..., 1]
        np.testing.assert_allclose(value, exact[row, column], atol=2e-5 * abs(exact).max())
