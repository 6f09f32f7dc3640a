"""Chromium without a window, driven through its DevTools protocol over two named pipes."""

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_PATIENCE = 60.0  # seconds for any answer, on a machine that may be busy
_FLAGS = (
    "--headless",
    "--remote-debugging-pipe",  # messages come in through descriptor 3 and go out through 4, a zero after each
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-background-networking",
    "--no-first-run",
    "--mute-audio",
)


class Browser:
    """One tab of a Chromium of its own. A context manager.

    Args:
        program: Its path.
        folder: An empty one, for its profile.
    """

    def __init__(self, program: str, folder: Path) -> None:
        for name in ("to", "back"):
            os.mkfifo(folder / name)
        flags = [*_FLAGS, f"--user-data-dir={folder / 'profile'}", *["--no-sandbox"] * (os.geteuid() == 0)]
        self._process = subprocess.Popen(
            ["sh", "-c", 'exec "$0" "$@" 3<to 4>back', program, *flags],
            cwd=folder,
            stdin=subprocess.DEVNULL,
        )
        self._to = os.open(folder / "to", os.O_WRONLY)
        self._back = os.open(folder / "back", os.O_RDONLY)
        self._received = b""
        self._count = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE)
        os.close(self._to)
        os.close(self._back)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """The result of a method of the protocol; events that come before it are added to `events`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer)
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._back], [], [], _PATIENCE)
            assert ready, f"no answer from Chromium in {_PATIENCE} s"
            part = os.read(self._back, 1 << 20)
            assert part, f"Chromium ended, with exit code {self._process.wait()}"
            self._received += part
        first, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message

    def open(self, path: Path) -> None:
        """Loads a page, and waits until it can play."""
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        self.wait_for("document.querySelector('#play')?.disabled === false")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        """A key goes down and up, as if by hand, which allows the page to play."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def click(self, x: float, y: float) -> None:
        """A click of the left button at a place of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def show(self, width: int, scheme: str) -> None:
        """A window of that width, in the colours of "light" or "dark"."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path: Path, **options: object) -> None:
        """A PNG of the page."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def told(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events of these methods since the page was opened."""
        self.evaluate("0")  # what came until now
        return [event["params"] for event in self.events if event.get("method") in methods]
