"""A real browser: headless Chromium, driven by its DevTools protocol over a pipe. No network, no display."""

import base64
import io
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from tests.waiting import PATIENCE_S, wait_until

_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((name for name in _NAMES if shutil.which(name)), None)


class Page:
    """One page of a browser. It keeps what was asked of the network and said on the console."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.send("Network.emulateNetworkConditions", **offline)

    def send(self, method: str, **values: Any) -> Any:
        """One command; returns what it gives back."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _next(self, deadline: float) -> Any:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._read, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Any) -> None:
        values = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(values["exceptionDetails"])[:2000])
        if event.get("method") == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(values["args"])[:2000])
        if event.get("method") == "Log.entryAdded":
            said = values["entry"]["text"]
            # Chromium says of the processor, in the place of a graphics card, that it is slow.
            if values["entry"]["level"] in ("error", "warning") and "GPU stall" not in said:
                self.complaints.append(said[:2000])

    def open(
        self, path: Path, *, width: int = 1280, height: int = 900, dark: bool = False, scripts: bool = True
    ) -> None:
        """Load a file, and wait until its scripts have run and what they draw is drawn."""
        self.requests.clear()
        self.complaints.clear()
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)
        self.prefer(dark=dark)
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Page.navigate", url=path.absolute().as_uri())
        self.wait("document.readyState === 'complete'")
        viewer = "document.querySelector('.viewer')"
        if scripts:
            self.wait(f"!{viewer} || {viewer}.dataset.drawn > 0")

    def prefer(self, *, dark: bool = False, paper: bool = False) -> None:
        """Change what the user prefers, or show the page as on paper."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", media="print" if paper else "", features=features)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        # Commands of DevTools are not bound by the page's policy.
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until an expression is true."""
        wait_until(lambda: self.run(condition), condition, pause_s=0.05)

    def press(self, key: str, *, shift: bool = False, text: str | None = None) -> None:
        """A key, pressed and let go."""
        common = {"key": key, "modifiers": 8 if shift else 0}
        codes = {
            "Enter": 13,
            "Tab": 9,
            "Escape": 27,
            "ArrowLeft": 37,
            "ArrowUp": 38,
            "ArrowRight": 39,
            "ArrowDown": 40,
        }
        if key in codes:
            common["windowsVirtualKeyCode"] = codes[key]
        typed = text or (key if len(key) == 1 else "\r" if key == "Enter" else None)
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": typed} if typed else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, words: str) -> None:
        """Text, as if typed."""
        self.send("Input.insertText", text=words)

    def picture(self, selector: str | None = None, *, whole: bool = False) -> bytes:
        """A PNG of what is seen, of one element, or of the whole page."""
        values: dict[str, Any] = {}
        if selector:
            box = self.run(
                "(() => {"
                f"const element = document.querySelector({json.dumps(selector)});"
                "element.scrollIntoView({behavior: 'instant', block: 'center'});"
                "const box = element.getBoundingClientRect();"
                "const place = {x: box.x + scrollX, y: box.y + scrollY};"
                "return {...place, width: box.width, height: box.height, scale: 1};"
                "})()"
            )
            values = {"clip": box, "captureBeyondViewport": True}
        elif whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            values = {"clip": {**size, "scale": 1}, "captureBeyondViewport": True}
        return base64.b64decode(self.send("Page.captureScreenshot", format="png", **values)["data"])

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])


@contextmanager
def browser() -> Iterator[Page]:
    """A browser with one page."""
    assert CHROMIUM
    here_read, there_write = os.pipe()
    there_read, here_write = os.pipe()
    with tempfile.TemporaryDirectory(prefix="slipway-browser-", ignore_cleanup_errors=True) as home:
        # Without a display and a graphics card; the sandbox needs privileges that a container has not.
        options = (
            "--headless=new --no-sandbox --disable-gpu-sandbox --use-gl=angle --use-angle=swiftshader "
            "--enable-unsafe-swiftshader --hide-scrollbars --no-first-run --disable-background-networking "
            "--disable-component-update --disable-dev-shm-usage --remote-debugging-pipe"
        )
        script = f'exec {CHROMIUM} {options} --user-data-dir="$1" 3<&{there_read} 4>&{there_write}'
        program = subprocess.Popen(
            ["bash", "-c", script, "bash", home],
            pass_fds=(there_read, there_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": home},
        )
        os.close(there_read)
        os.close(there_write)
        try:
            yield Page(here_read, here_write)
        finally:
            os.close(here_write)
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
            os.close(here_read)


def colours(png: bytes) -> Counter[tuple[int, int, int]]:
    """How many pixels of a picture have each colour."""
    with Image.open(io.BytesIO(png)) as picture:
        found = picture.convert("RGB").getcolors(picture.width * picture.height)
    return Counter({colour: count for count, colour in found})
