"""Chromium without a window, driven by its DevTools protocol: for tests and pictures of pages.

The protocol goes through a pipe, file descriptors 3 and 4 of the browser, so it needs no package.
"""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

# A GPU in software: MediaPipe's graph wants WebGL.
_FLAGS = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking",
    "--disable-sync", "--disable-component-update", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--hide-scrollbars",
    "--remote-debugging-pipe", "--lang=en",
)  # fmt: skip
_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def installed() -> str | None:
    """The browser's path; None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Chromium:
    """A browser with one page, ended when the block ends.

    Args:
        camera: a .mjpeg or .y4m that the camera shows; None for a browser without a camera.
        size: of the window, in pixels.
        flags: further ones of Chromium.

    Attributes:
        requests: addresses that the page asked for.
        errors: what the page reported to the console as errors, and exceptions.
    """

    def __init__(
        self,
        camera: Path | None = None,
        size: tuple[int, int] = (1100, 800),
        flags: tuple[str, ...] = (),
    ) -> None:
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        video = (*_CAMERA, f"--use-file-for-fake-video-capture={camera}") if camera else ()
        window = f"--window-size={size[0]},{size[1]}"
        command = [str(installed()), *_FLAGS, *video, window, *flags]
        self._start([*command, f"--user-data-dir={self._profile.name}", "about:blank"])
        self._unread, self._last = b"", 0
        targets = self("Target.getTargets", session=False)["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self(
            "Target.attachToTarget", session=False, targetId=page["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "DOM", "Log"):
            self(f"{domain}.enable")

    def _start(self, command: list[str]) -> None:
        theirs_in, self._write = os.pipe()
        self._read, theirs_out = os.pipe()
        # Above 4, so that neither is overwritten before it is in its place.
        high = [fcntl.fcntl(each, fcntl.F_DUPFD, 10) for each in (theirs_in, theirs_out)]

        def take_places() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=take_places,
        )
        for each in (theirs_in, theirs_out, *high):
            os.close(each)

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self("Browser.close", session=False, seconds=10)
            self._process.wait(20)
        except (TimeoutError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for each in (self._read, self._write):
            os.close(each)
        self._profile.cleanup()

    def __call__(
        self, method: str, *, session: bool = True, seconds: float = 120, **parameters: Any
    ) -> dict[str, Any]:
        """The result of a method of the protocol."""
        self._last += 1
        number = self._last
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self._next(end)
            if answer is not None and answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])
        raise TimeoutError(method)

    def open(self, address: str) -> None:
        """Go to a page."""
        self("Page.navigate", url=address)

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript gives in the page."""
        result = self(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:1000])
        return result["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> Any:
        """The expression's value once it is true; raises TimeoutError with the page's text."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(RuntimeError):  # of a page that is being loaded
                if found := self.value(expression):
                    return found
            time.sleep(0.05)
        text = self.value("document.body.innerText")
        raise TimeoutError(f"{expression}\n{text}\n{self.errors}")

    def choose_file(self, selector: str, file: Path) -> None:
        """Choose a file in an input element, as a person does."""
        root = self("DOM.getDocument")["root"]["nodeId"]
        node = self("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def press(self, key: str) -> None:
        """Press and release a key that writes a letter."""
        code = ord(key.upper())
        common: dict[str, Any] = {"key": key, "text": key, "windowsVirtualKeyCode": code}
        self("Input.dispatchKeyEvent", type="keyDown", **common)
        self("Input.dispatchKeyEvent", type="keyUp", **common)

    def photograph(self, file: Path) -> None:
        """Write a .png of the window."""
        file.write_bytes(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))

    def _next(self, end: float) -> dict[str, Any] | None:
        """The next message, an event of which is remembered; None where none comes in time."""
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            if not ready:
                return None
            content = os.read(self._read, 1 << 20)
            if not content:
                raise OSError("the browser has ended")
            self._unread += content
        message, _, self._unread = self._unread.partition(b"\0")
        event = dict(json.loads(message))
        self._remember(event.get("method", ""), event.get("params", {}))
        return event

    def _remember(self, method: str, event: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(event["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(event["url"])
        elif method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(event["entry"]["text"])
