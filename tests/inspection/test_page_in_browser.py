"""What the page of `inspect` shows in a browser: the numbers of the run, explained."""

import numpy as np
import pytest
from browser import launched
from browser import page as opened
from inspected import EVIL, RUNS, made_page

from enhance_np import network, weights


@pytest.fixture(scope="module", params=RUNS, ids=str)
def made(request, tmp_path_factory):
    return made_page(*request.param, tmp_path_factory.mktemp("page"))


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


def test_a_pinned_pixel_s_filter_is_drawn(page):
    page.evaluate("go(sequence.findIndex((s) => s.phase === 'loss'))")
    for i, j in ((9, 14), (10, 15)):
        page.evaluate("([i, j]) => choose({ i, j, pinned: true })", [i, j])
        page.wait_for_selector(f"#filterfacts >> text=predicted value of output pixel [{i}, {j}]")
        shown = page.inner_text("#filterfacts tr:nth-child(5) td:nth-child(2)")
        halo = page.evaluate("PAGE.halo")
        low, high = (f"\u2212{halo} to +{halo - 1}", f"\u2212{halo - 1} to +{halo}")
        assert shown == f"{high if i % 2 else low}, {high if j % 2 else low}"


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
    field = [page.evaluate(f"reachOf({n}).map((d) => d + {n // 2})") for n in (21, 40)]
    for lines, (first, last), size in zip(
        dx[0, ..., 0].nonzero(), field, t.x.shape[1:3], strict=True
    ):
        ends = max(first, 0), min(last, size - 1)
        assert ends[0] <= lines.min()
        assert lines.max() <= ends[1]
        if w.config.activation == "elu":  # whose slope is nowhere zero
            assert (lines.min(), lines.max()) == ends
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


def test_answers_hold_every_bias(page, made):
    for summary in page.query_selector_all("#answers summary"):
        summary.click()
    text = page.inner_text("#answers")
    for name in made.about["biases"]:
        assert name in text


def numbers(page, selector):
    texts = page.eval_on_selector_all(selector, "all => all.map(e => e.textContent)")
    return [float(text.replace("\u2212", "-") or "nan") for text in texts]


def test_adam_is_right_for_any_weight(page, made):
    """Chosen by the keyboard: kernels, biases, gamma and beta."""
    adam = made.about["adam"]
    beta1, beta2 = adam["beta1"], adam["beta2"]
    names = ["tail/conv/w", "tail/bn/gamma", "tail/bn/beta", "refine/conv/b", "head/w"]
    for name in names:
        page.select_option("#tensor", name)
        parameter = made.trace[name]
        at = {"c": 0, "o": 0}
        for key in page.eval_on_selector_all("#chosen input", "all => all.map(e => e.dataset.key)"):
            at[key] = 1
            page.locator(f"#chosen input[data-key={key}]").fill("1")
        place = (at["o"],) if parameter.value.ndim == 1 else (0, 0, at["c"], at["o"])
        if name == "tail/conv/w":
            place = 1, 2, 1, 1
            # row 0 is at the bottom: row 1, column 2 is the sixth from the top
            page.locator("#adam td[role]").nth(5).press("Enter")
            focused = page.evaluate("document.activeElement.dataset.value")
            assert float(focused) == parameter.value[place]
        assert f"{name}[{', '.join(map(str, place))}]" in page.inner_text("#adam h3 >> nth=0")
        m = v = 0.0
        weight, g = float(parameter.value[place]), float(parameter.gradient[place])
        for t in (1, 2, 3):
            m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
            first, second = 1 - beta1**t, 1 - beta2**t
            change = -adam["lr"] * second**0.5 / first * m / (v**0.5 + adam["eps"])
            weight += change
            np.testing.assert_allclose(
                numbers(page, f"#adam .numbers tr:nth-child({t + 2}) td"),
                [t, m, v, first, second, change, weight],
                rtol=2e-5,
            )


def test_a_choice_keeps_the_focus(page):
    """Whoever uses the keyboard goes on from where he was."""
    page.evaluate("setWindow(5, 5)")
    page.wait_for_function("state.view.kept")
    step = "sequence.findIndex(s => s.phase === 'backward' && s.name === 'tail/conv')"
    page.evaluate(f"go({step})")
    for selector, key in (
        ("#channels button", "channel"),
        ("#arithmetic .terms [aria-pressed], #arithmetic .term", "other"),
        ("#arithmetic .grid td[role]", "tap"),
    ):
        before = page.evaluate("(key) => state[key]", key)
        target = page.locator(selector)
        for n in range(1, 4):
            target.nth(n).press("Enter")
            if page.evaluate("(key) => state[key]", key) != before:
                break
        else:
            raise AssertionError(f"{key} is still {before}")
        held = "(selector) => document.activeElement.matches(selector)"
        assert page.evaluate(held, selector.split(", ")[-1]), selector
    page.locator("#network .box").nth(2).press("Enter")
    assert page.evaluate("document.activeElement.dataset.name") == "stem/act"


def test_names_of_files_are_text(page):
    assert page.evaluate("window.evil") is None
    assert EVIL in page.inner_text("#caption")


@pytest.mark.parametrize("made", [RUNS[0]], indirect=True, ids=str)
def test_a_phone_needs_no_sideways_scrolling(chromium, made):
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
    with opened(chromium, **phone, color_scheme="dark") as page:
        show(page, made)
        for index in (0, 3, 10, 14):
            page.evaluate("(index) => go(index)", index)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.tap("#windowcanvas")
