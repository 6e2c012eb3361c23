"""A browser without a window, for the tests of pages: Chromium of the system, driven by playwright.

    with launched() as chromium, page(chromium) as shown:
        shown.goto(path.as_uri())

Both skip the test, with the reason, where the package playwright (extra "browser") or Chromium is
missing. ENHANCE_NP_CHROMIUM names the program if it is not on the path.
"""

import os
import shutil
from contextlib import contextmanager

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def program() -> str | None:
    """The path of Chromium, None if there is none."""
    if named := os.environ.get("ENHANCE_NP_CHROMIUM"):
        return named
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def launched(*arguments: str):
    """A playwright Browser.  arguments : of the program."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason='needs playwright: pip install "enhance_np[browser]"'
    )
    if (path := program()) is None:
        pytest.skip("needs Chromium: the package chromium of the system")
    with sync_api.sync_playwright() as playwright:
        # in a container the program's own sandbox has no rights; the pages are the project's own
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", *arguments]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def page(browser, **options):
    """A playwright Page in a new context; at the end the test fails if it has said an error.

    An error is an uncaught exception, an error on the console, or a request that leaves the file.
    options : of `Browser.new_context`, such as viewport and color_scheme.
    """
    said = []
    context = browser.new_context(**options)
    shown = context.new_page()
    shown.on("pageerror", lambda error: said.append(f"exception: {error}"))
    shown.on("console", lambda line: line.type == "error" and said.append(f"console: {line.text}"))
    shown.on("request", lambda request: said.extend(_beyond(request.url)))
    try:
        yield shown
        assert not said, "\n".join(said)
    finally:
        context.close()


def _beyond(url: str) -> list[str]:
    return [] if url.startswith(("file:", "blob:", "data:")) else [f"request: {url}"]
