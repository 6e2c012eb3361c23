"""The page of `inspect`: what it holds, and in a browser what it shows."""

import base64
import inspect
import json
import re
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from browser import launched
from browser import page as opened
from networks import trained

from enhance_np import cli, network, weights
from enhance_np.config import NetworkConfig
from enhance_np.engine import select
from enhance_np.inspection.page import MAPS, build
from enhance_np.inspection.subject import SIDE, subject

SIZE = (26, 31)
EVIL = "<script>window.evil=1</script><img src=x onerror=window.evil=1>"
CONFIGS = NetworkConfig(2, 5), NetworkConfig(0, 4, "elu"), NetworkConfig(1, 6, refine_filters=3)


def image(folder, size=SIZE, name="in.fits", **cards):
    rng = np.random.default_rng(1)
    path = folder / name
    data = (60_000 * (1 + 0.05 * rng.standard_normal(size))).astype(np.float32)
    header = fits.Header({"BUNIT": "DN/s", "CONTENT": "CONTINUUM INTENSITY"} | cards)
    fits.writeto(path, data, header)
    return path


@pytest.fixture(
    scope="module",
    params=zip(CONFIGS, ("training", "prediction", "training"), strict=True),
    ids=str,
)
def made(request, tmp_path_factory):
    """.path of a page, its .trace, .about and .arrays."""
    config, mode = request.param
    folder = tmp_path_factory.mktemp("page")
    file = folder / "w.h5"
    weights.save(file, trained(config))
    seen = subject(image(folder, INSTRUME=EVIL[:60]), weights=file, at=(3, 4))
    seen.about["file"] = EVIL  # the name of a file, which cannot hold a slash
    text, found = build(seen, select("cpu"), mode)
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return SimpleNamespace(path=path, trace=found, subject=seen, **held(text))


def held(text):
    about = json.loads(re.search(r'type="application/json">(.*?)</script>', text, re.S)[1])
    blob = re.search(r'id="blob" type="text/plain">(.*?)</script>', text, re.S)[1]
    content = zlib.decompress(base64.b64decode(blob))
    arrays = {
        name: np.frombuffer(content, f"<{kind}", np.prod(shape, dtype=int), offset).reshape(shape)
        for name, (kind, offset, shape) in about["arrays"].items()
    }
    return {"text": text, "about": about, "arrays": arrays}


def test_holds_the_numbers_of_the_trace(made):
    np.testing.assert_array_equal(made.arrays["x"], made.trace.x[0, :, :, 0])
    np.testing.assert_array_equal(made.arrays["target"], made.trace.target[0, :, :, 0])
    for name, parameter in made.trace.parameters.items():
        np.testing.assert_array_equal(made.arrays[name], parameter.value)
        np.testing.assert_array_equal(made.arrays[f"d {name}"], parameter.gradient)
    assert made.about["loss"] == made.trace.loss


def test_maps_are_the_tensors_within_half_a_step(made):
    for prefix, group in (("", "h"), ("d ", "dh")):
        for name, step in made.trace.steps.items():
            exact = getattr(step, group)[0]
            found = made.arrays[f"map {prefix}{name}"]
            assert found.shape == exact.transpose(2, 0, 1).shape  # small enough not to be reduced
            low, high, *true = np.array(made.about["maps"][prefix + name], np.float64).T
            np.testing.assert_allclose(true, (low, high))
            shown = low + found.transpose(1, 2, 0) / 255 * (high - low)
            allowed = 0.501 * (high - low) / 255 + 1e-5 * abs(exact).max(axis=(0, 1))
            assert (abs(shown - exact) <= allowed).all(), name


def test_code_is_that_of_the_page(made):
    lines = inspect.getsource(network).splitlines()
    for phase, key in (("forward", "line"), ("backward", "back")):
        source = made.about["sources"][phase]
        for number, text in enumerate(source["lines"], source["first"]):
            assert lines[number - 1] == text
        for step in made.about["steps"]:
            first, last = source["helpers"][step["operation"]]
            assert lines[first - 1].lstrip().startswith(f"def {step['operation']}(")
            assert "return" in lines[last - 1]
            assert source["first"] <= step[key] < source["first"] + len(source["lines"])


def test_nothing_of_a_file_is_html(made):
    assert "<script>window.evil" not in made.text
    assert "<img" not in made.text
    assert made.about["about"]["file"] == EVIL


def test_nothing_is_fetched(made):
    outside = set(re.findall(r"https?://[^\"'\s)]+", made.text))
    assert outside <= {"http://www.w3.org/2000/svg"}  # a name, not an address
    assert not re.search(r"<(link|iframe|script)[^>]+(src|href)=", made.text)


def test_large_maps_are_reduced(tmp_path):
    file = tmp_path / "w.h5"
    weights.save(file, trained(NetworkConfig(1, 32)))
    seen = subject(image(tmp_path, (70, 90)), weights=file)
    text, _ = build(seen, select("cpu"))
    found = held(text)
    maps = [a for name, a in found["arrays"].items() if name.startswith("map ")]
    assert sum(a.size for a in maps) <= MAPS
    exact = found["arrays"]["x"]
    shown = found["arrays"]["map x"][0]
    f = -(-exact.shape[0] // shown.shape[0])
    assert shown.shape == tuple(-(-n // f) for n in exact.shape)
    low, high, *true = found["about"]["maps"]["x"][0]
    np.testing.assert_allclose(true, (exact.min(), exact.max()), rtol=1e-5)
    last = exact[-((exact.shape[0] - 1) % f + 1) :, :f].mean()
    assert abs(low + shown[-1, 0] / 255 * (high - low) - last) <= 0.51 * (high - low) / 255


def test_a_large_image_is_cut_around_the_place(tmp_path):
    path = image(tmp_path, (SIDE + 40, SIDE + 10))
    seen = subject(path, model="small", at=(5, SIDE + 30))
    assert seen.x.shape == (SIDE, SIDE)
    assert seen.origin == (40, 0)
    assert seen.at == (SIDE - 10, 5)
    whole = fits.getdata(path)
    ratio = whole[40:, :SIDE] / seen.x
    assert np.ptp(ratio) < 1e-5 * ratio.mean()
    with pytest.raises(ValueError, match=f"within {SIDE + 10} x {SIDE + 40} pixels, got 266,0"):
        subject(path, model="small", at=(SIDE + 10, 0))


def test_equations_are_those_of_the_mode_and_the_activation(made):
    forward, backward = (made.about["formulas"][phase] for phase in ("forward", "backward"))
    trained_ = made.about["mode"] == "training"
    assert any("dbeta / M" in line for line in backward["bn_add"]) == trained_
    assert any("as stored" in line for line in forward["bn_add"]) != trained_
    relu = made.trace.config.activation == "relu"
    assert any("max(h, 0)" in line for line in forward["act"]) == relu
    assert any("exp(h)" in line for line in backward["act"]) != relu


def test_values_that_are_not_finite_are_refused(tmp_path):
    file = tmp_path / "w.h5"
    huge = trained(NetworkConfig(0, 3))
    huge.params["stem/conv/w"][...] = 3e38
    weights.save(file, huge)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match="must be finite, got infinity or NaN in stem/conv"),
    ):
        build(subject(image(tmp_path), weights=file), select("cpu"), "prediction")


def test_target_in_another_unit_is_refused(tmp_path):
    path = image(tmp_path)
    double = np.asarray(fits.getdata(path), np.float32).repeat(2, 0).repeat(2, 1) / 60_000
    fits.writeto(tmp_path / "t.fits", double, fits.getheader(path))
    with pytest.raises(ValueError, match="must be in the unit of the input, dn/s with values"):
        subject(path, target=tmp_path / "t.fits", model="small")


def test_names_that_steer_a_terminal_are_shown_as_text(tmp_path):
    seen = subject(image(tmp_path, name="a\x1b[31mb\n.fits"), model="small")
    assert seen.about["file"] == r"a\x1b[31mb\n.fits"


def test_target_of_another_size_is_refused(tmp_path):
    path = image(tmp_path)
    with pytest.raises(ValueError, match=r"the target must be \(52, 62\) .* got \(26, 31\)"):
        subject(path, target=path, model="small")


def test_target_is_divided_as_the_input(tmp_path):
    path = image(tmp_path)
    double = np.asarray(fits.getdata(path), np.float32).repeat(2, 0).repeat(2, 1)
    fits.writeto(tmp_path / "t.fits", double, fits.getheader(path))
    seen = subject(path, target=tmp_path / "t.fits", model="small")
    np.testing.assert_allclose(seen.target, seen.x.repeat(2, 0).repeat(2, 1), rtol=1e-6)
    assert seen.about["target"] == "t.fits"


def test_commands(tmp_path, capsys):
    path, page = image(tmp_path), tmp_path / "page.html"
    for arguments in (
        ["inspect", str(path), "--out", str(page), "--mode", "prediction"],
        ["trace", str(path), "--compare", "reference", "--at", "3,4"],
    ):
        with pytest.raises(SystemExit) as end:
            cli.main([*arguments, "--device", "cpu"])
        assert not end.value.code
    assert held(page.read_text())["about"]["mode"] == "prediction"
    printed = capsys.readouterr().out
    assert "block0/conv1" in printed
    assert "compared with the engine reference, float64" in printed
    for arguments, words in (
        (["inspect", str(path), "--out", str(page)], "page.html"),
        (["inspect", str(path), "--out", "page.fits"], "--out must end in .html"),
        (["trace", str(path), "--float64", "--device", "gpu"], "reference engine, got --device"),
    ):
        with pytest.raises(SystemExit, match=words):
            cli.main(arguments)
    page.rename(tmp_path / "w.html")
    again = ["--weights", str(tmp_path / "w.html"), "--out", str(tmp_path / "w.html")]
    with pytest.raises(SystemExit, match="must not be the input"):
        cli.main(["inspect", str(path), *again, "--overwrite"])
    with pytest.raises(SystemExit) as end:
        cli.main(["trace", str(path), "--at", "3;4"])
    assert end.value.code == 2


# in a browser


@pytest.fixture(scope="module")
def chromium():
    with launched() as found:
        yield found


def show(page, made):
    page.set_default_timeout(120_000)  # other programs may be running
    page.goto(made.path.as_uri())
    page.wait_for_selector("body[data-ready]")


@pytest.fixture
def page(chromium, made):
    with opened(chromium, viewport={"width": 1280, "height": 900}) as found:
        show(found, made)
        yield found


def shown(page, made, group, name):
    """(numbers of the window in the page, those of the trace) of a tensor."""
    scale = 2 if name in ("refine/conv", "head") else 1
    row, column, rows, columns, numbers = page.evaluate(
        """([group, name, scale]) => {
          const { row, column } = state.view, found = [];
          for (let i = 0; i < scale * SIDE.rows; i++)
            for (let j = 0; j < scale * SIDE.columns; j++)
              for (let c = 0; c < channelsOf(name); c++)
                found.push(valueAt(state.view, group, name, scale * row + i, scale * column + j,
                  c));
          return [row, column, SIDE.rows, SIDE.columns, found];
        }""",
        [group, name, scale],
    )
    if name == "x":
        exact = made.trace.dx if group == "d" else made.trace.x
    else:
        exact = getattr(made.trace[name], "dh" if group == "d" else "h")
    part = exact[0, scale * row : scale * (row + rows), scale * column : scale * (column + columns)]
    return np.array(numbers).reshape(part.shape), part, abs(exact).max()


def test_every_window_shows_the_numbers_that_were_computed(page, made):
    for place in ([4, 3], [13, 17], [25, 30]):
        page.evaluate("([row, column]) => setWindow(row, column)", place)
        for group in ("kept", "d"):
            for name in ["x", *made.trace.steps]:
                found, exact, size = shown(page, made, group, name)
                assert abs(found - exact).max() <= 2e-5 * size, (place, group, name)


# What the page lists for some pixels of a step
LISTED = """(index) => {
  go(index);
  const numbers = (within, selector, key) =>
    within ? [...within.querySelectorAll(selector)].map((e) => Number(e.dataset[key])) : [];
  const pixels = [];
  for (const [i, j] of [[1, 1], [0, 7], [9, 9]]) {
    choose({ i, j, pinned: true, channel: 1 });
    const panel = byId("arithmetic");
    pixels.push({
      shown: numbers(byId("under"), "[data-shown]", "shown")[0],
      result: numbers(panel, "[data-result]", "result")[0],
      terms: numbers(panel.querySelector(".terms"), "[data-term]", "term"),
      ways: numbers(panel.querySelector(".ways"), "[data-term]", "term"),
      block: numbers(panel.querySelector(":scope > .grid"), "td", "value"),
      products: numbers(panel, "[data-products]", "products")[0],
      tables: [...panel.querySelectorAll(".product table")].map((t) => numbers(t, "td", "value")),
    });
  }
  return { phase: byId("phase").textContent, title: byId("title").textContent, pixels };
}"""


def test_every_step_explains_its_number(page, made):
    """The products and terms that the page lists add up to the number that it shows."""
    steps = page.evaluate("sequence.length")
    assert steps == 2 * len(made.trace.steps) + 2
    page.evaluate("setWindow(0, 0)")
    page.wait_for_function("state.view.kept")
    sums = products = 0
    for index in range(steps - 1):
        listed = page.evaluate(LISTED, index)
        phase, title = listed["phase"], listed["title"]
        for pixel in listed["pixels"]:
            value, terms = pixel["shown"], pixel["terms"]
            if phase == "backward" and title.startswith("refine"):
                block = pixel["block"]
                assert abs(sum(block) - value) <= 1e-6 * sum(map(abs, block))
                first = block[2]  # the copy [2i, 2j]: the rows are listed from the top
                assert abs(sum(pixel["ways"]) - first) <= 1e-5 * sum(map(abs, pixel["ways"]))
            else:
                assert pixel["result"] == value, title
                if ways := pixel["ways"]:
                    assert abs(sum(ways) - value) <= 1e-5 * sum(map(abs, ways)), title
            size = sum(map(abs, terms))
            if terms and phase == "forward":
                name = title.split(":")[0]
                channel = min(1, made.trace[name].h.shape[-1] - 1)
                bias = float(made.trace[f"{name}/b"].value[channel])
                assert abs(sum(terms) + bias - value) <= 1e-5 * (size + abs(bias)), title
                sums += 1
            elif terms and phase == "backward" and "batch norm" in title:
                assert abs(sum(terms) - value) <= 1e-5 * size, title
                sums += 1
            if len(pixel["tables"]) == 3:
                patch, kernel, each = map(np.array, pixel["tables"])
                np.testing.assert_allclose(patch * kernel, each, rtol=1e-12, atol=1e-300)
                assert abs(each.sum() - pixel["products"]) <= 1e-12 * abs(each).sum()
                products += 1
    norms = 2 * made.trace.config.depth + 1
    convolutions = norms + 3
    # the stem has one input channel, whose term is the sum of its products
    assert sums == 3 * (convolutions - 1 + norms)
    assert products == 3 * 2 * convolutions


def test_border_pixels_list_what_is_folded_back(page, made):
    index = page.evaluate(
        "sequence.findIndex(s => s.phase === 'backward' && s.name === 'tail/conv')"
    )
    page.evaluate("setWindow(0, 0)")
    page.wait_for_function("state.view.kept")
    page.evaluate("(index) => go(index)", index)
    ways = {(1, 1): 4, (1, 5): 2, (0, 5): 1, (5, 5): 1}
    for (i, j), count in ways.items():
        page.evaluate("([i, j]) => choose({ i, j, pinned: true, channel: 0 })", [i, j])
        folded = page.locator("#arithmetic .term", has_text="folded back").count()
        assert folded == count - 1


def test_one_pixel_s_filter_is_the_gradient_of_prediction(page, made):
    found = page.evaluate("lookedAt(21, 40)")
    t = made.trace
    w = weights.load(made.path.parent / "w.h5")
    y, tape = network.forward(w.params, t.x, w.config, moving=w.moving)
    dy = np.zeros_like(y)
    dy[0, 21, 40, 0] = 1
    dx, _ = network.backward(dy, tape, w.config)
    data = np.array(found["data"])
    exact = np.zeros(t.x.shape[1:3])
    rows, columns = (
        slice(found[a], found[a] + found[b]) for a, b in (("row", "h"), ("column", "w"))
    )
    exact[rows, columns] = data.reshape(found["h"], found["w"])
    assert abs(exact - dx[0, :, :, 0]).max() <= 1e-5 * abs(dx).max()
    assert abs(found["y"] - y[0, 21, 40, 0]) <= 1e-5 * abs(y).max()


def test_keys_and_buttons(page, made):
    def place():
        return int(page.inner_text("#place").split()[0])

    assert place() == 1
    assert page.evaluate("[state.i, state.j]") == [4, 3]  # --at 3,4
    page.keyboard.press("ArrowRight")
    assert place() == 2
    assert page.inner_text("#title").startswith("stem/act")
    page.click("#back")
    assert place() == 1
    page.keyboard.press("End")
    assert page.inner_text("#phase") == "update"
    page.keyboard.press("Home")
    before = page.evaluate("[state.i, state.j]")
    page.keyboard.press("Shift+ArrowUp")
    assert page.evaluate("[state.i, state.j]") == [before[0] + 1, before[1]]
    page.evaluate("setWindow(0, 0)")
    page.wait_for_function("state.view.kept && state.i === 0")
    for _ in range(20):  # beyond the window's edge it moves
        page.keyboard.press("Shift+ArrowUp")
        page.wait_for_function("state.view.kept")
    assert page.evaluate("[state.i, state.view.row]")[0] == 20
    page.locator("#network .box").last.press("Enter")
    assert page.inner_text("#phase") == "loss"
    running = page.evaluate("sequence.findIndex(s => s.phase === 'backward')")
    page.evaluate("(index) => go(index)", running)
    line = int(page.get_attribute("#lines .running", "data-line"))
    assert line == made.trace["head"].line_backward
    page.click("#theme")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.click("#play")
    page.wait_for_function("(before) => state.index > before", arg=running)
    page.click("#play")


def test_answers_and_adam_are_right(page, made):
    for summary in page.query_selector_all("summary"):
        summary.click()
    text = page.inner_text("#answers")
    for name in made.about["biases"]:
        assert name in text
    page.select_option("#layer", "tail/conv")
    page.evaluate("() => { Object.assign(chosen, { c: 1, o: 2, tap: 5 }); showAdam(); }")
    cells = page.eval_on_selector_all(
        "#adam .numbers tr:nth-child(2) td", "all => all.map(e => e.textContent)"
    )
    w, g = (
        made.trace["tail/conv/w"].value[1, 2, 1, 2],
        made.trace["tail/conv/w"].gradient[1, 2, 1, 2],
    )
    cells = [float(cell.replace("\u2212", "-")) for cell in cells]
    rate = made.about["adam"]["lr"] * (1 - 0.999) ** 0.5 / (1 - 0.9)
    change = -rate * 0.1 * g / ((0.001 * g * g) ** 0.5 + 1e-7)
    np.testing.assert_allclose(
        cells, [1, g, 0.1 * g, 0.001 * g**2, rate, change, w + change], rtol=2e-5
    )


def test_names_of_files_are_text(page):
    assert page.evaluate("window.evil") is None
    assert EVIL in page.inner_text("#caption")


@pytest.mark.parametrize("made", [(CONFIGS[0], "training")], indirect=True, ids=str)
def test_a_phone_needs_no_sideways_scrolling(chromium, made):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    with opened(chromium, **phone, color_scheme="dark") as page:
        show(page, made)
        for index in (0, 3, 10, 14):
            page.evaluate("(index) => go(index)", index)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.tap("#windowcanvas")
