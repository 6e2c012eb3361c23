"""Firefox without a window, for the tests of pages, driven by WebDriver BiDi over its WebSocket.

    with opened(tmp_path) as firefox:
        firefox.goto(path)
        firefox.run("document.title")

It skips the test, with the reason, where Firefox or the package websocket-client is missing.
Protocol: https://www.w3.org/TR/webdriver-bidi
"""

import itertools
import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 120  # s; a busy machine is slow, not wrong
PREFERENCES = """user_pref("browser.download.folderList", 2);
user_pref("browser.download.dir", {folder});
"""


class Firefox:
    """One tab. `errors` : what was said on its console, and exceptions that nobody caught."""

    def __init__(self, socket):
        self.socket = socket
        self.errors = []
        self._numbers = itertools.count()
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])
        self.tab = self.call("browsingContext.getTree")["contexts"][0]["context"]

    def call(self, method, **params):
        number = next(self._numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer["type"] == "event":
                if answer["params"].get("level") == "error":
                    self.errors.append(answer["params"]["text"])
            elif answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def goto(self, path: Path):
        self.call("browsingContext.navigate", context=self.tab, url=path.as_uri(), wait="complete")

    def run(self, script: str):
        """The value of a JavaScript expression, or of its promise, by way of JSON."""
        expression = f"(async () => JSON.stringify(await ({script})))()"
        answer = self.call(
            "script.evaluate",
            expression=expression,
            target={"context": self.tab},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"].get("value", "null"))

    def wait(self, condition: str):
        """Until the JavaScript condition holds."""
        self.run(f"""new Promise((done) => {{
          const look = () => (({condition}) ? done() : setTimeout(look, 50));
          look();
        }})""")

    def choose_file(self, selector: str, path: Path):
        locator = {"type": "css", "value": selector}
        found = self.call("browsingContext.locateNodes", context=self.tab, locator=locator)
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.call("input.setFiles", context=self.tab, element=element, files=[str(path)])


@contextmanager
def opened(folder: Path):
    """A Firefox with a fresh profile; it saves files to `folder`. Errors on its console fail."""
    websocket = pytest.importorskip("websocket", reason="needs the package websocket-client")
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("needs Firefox: the package firefox-esr of the system")
    profile = folder / "profile"
    profile.mkdir()
    (profile / "user.js").write_text(PREFERENCES.format(folder=json.dumps(str(folder))))
    process = subprocess.Popen(
        [program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"HOME": str(folder)},
    )
    try:
        address = next(filter(None, (re.search(r"ws://\S+", line) for line in process.stderr)))
        socket = websocket.create_connection(
            f"{address[0]}/session", timeout=PATIENCE, suppress_origin=True
        )
        firefox = Firefox(socket)
        yield firefox
        assert not firefox.errors, "\n".join(firefox.errors)
        socket.close()
    finally:
        process.terminate()
        process.wait()
        process.stderr.close()
