"""Makes docs/inspect/page.png: the page of `inspect` for a synthetic active region.

Run from the root of the checkout: python docs/inspect/picture.py. It needs playwright and Chromium
(make browser).
"""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from enhance_np.engine import select
from enhance_np.inspection.page import build
from enhance_np.inspection.subject import subject
from enhance_np.prediction import demo

PICTURE = Path(__file__).parent / "page.png"
PIXEL, STEP = (60, 70), "block0/conv1"  # (x, y) of the first window; the layer shown


def main():
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        demo.make(folder, "cpu")
        page, _ = build(subject(Path(folder, "scene.fits"), model="small", at=PIXEL), select("cpu"))
        file = Path(folder, "page.html")
        file.write_text(page, encoding="utf-8")
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1200, "height": 1350})
        shown.goto(file.as_uri())
        shown.wait_for_selector("body[data-ready]")
        shown.evaluate(f"go(sequence.findIndex((at) => at.name === '{STEP}'))")
        shown.wait_for_timeout(1000)  # the drawing scrolls to the layer
        shown.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
