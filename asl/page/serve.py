"""The page's server: on this computer, for this computer."""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.page.build import policy
from asl.page.recordings import MOST_FRAMES, Recordings

HOST = "127.0.0.1"
FIRST_PORT = 8000
PORTS_TRIED = 100
CLIPS = "/api/clips"

_HTTP = 80  # the port that addresses leave out
_HEADER = 1024  # bytes of a .npy file before its numbers, at most
_MOST_BYTES = MOST_FRAMES * MEDIAPIPE_HOLISTIC.size * 3 * 4 + _HEADER
_DIGITS = 9  # of the number of bytes; Python refuses to read thousands of them
_CLIP_TYPE = "application/octet-stream"  # which no form of another page can send
_TYPES = {
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".tflite": "application/octet-stream",
    ".data": "application/octet-stream",
    ".binarypb": "application/octet-stream",
}


def open_server(
    folder: Path, port: int | None = None, recordings: Recordings | None = None
) -> ThreadingHTTPServer:
    """A server of a page on 127.0.0.1, which `serve_forever` runs.

    Args:
        folder: of `asl.page.build.write_page`.
        port: None for the first free one from 8000 on, 0 for any.
        recordings: where the page saves clips; None where it saves none.

    Raises:
        UserError: the port cannot be used.
    """
    handler = partial(_Handler, directory=str(folder), recordings=recordings)
    if port is not None:
        try:
            return _Server((HOST, port), handler)
        except (OSError, OverflowError) as error:
            raise UserError(f"port={port}: cannot be used ({error}); name another one") from error
    for each in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        with contextlib.suppress(OSError):
            return _Server((HOST, each), handler)
    raise UserError(f"port: none from {FIRST_PORT} on is free; name one")


def address(server: ThreadingHTTPServer) -> str:
    """The page's link."""
    return f"http://{HOST}:{server.server_port}/"


class _Server(ThreadingHTTPServer):
    """A server that prints nothing where a browser leaves in the middle of an answer."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Faults of the program are printed, as ever."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, and the clips of `recordings`; nothing for pages of other origins."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | _TYPES
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a connection may be silent

    def __init__(self, *args: Any, recordings: Recordings | None, **more: Any) -> None:
        self.recordings = recordings
        super().__init__(*args, **more)

    # A page of elsewhere whose name was made to lead to 127.0.0.1 still sends its own name.
    def parse_request(self) -> bool:
        """Whether the request is understood, and for this host."""
        if not super().parse_request():
            return False
        if self.headers.get("Host") not in self._hosts():
            self.send_error(HTTPStatus.FORBIDDEN, "another host was asked for")
            return False
        return True

    def do_GET(self) -> None:
        """A file, or the list of clips."""
        if self.recordings is not None and urlsplit(self.path).path == CLIPS:
            self._answer(HTTPStatus.OK, self.recordings.clips())
        else:
            super().do_GET()

    def do_POST(self) -> None:
        """Save a clip."""
        self._change(self._save)

    def do_DELETE(self) -> None:
        """Delete a clip."""
        self._change(self._delete)

    def _change(self, change: Callable[[Recordings], None]) -> None:
        if self.headers.get("Origin") not in {f"http://{host}" for host in self._hosts()}:
            self._refuse(HTTPStatus.FORBIDDEN, "another page asked")
        elif self.recordings is None or not urlsplit(self.path).path.startswith(CLIPS):
            self._refuse(HTTPStatus.NOT_FOUND, "nothing is recorded here")
        else:
            change(self.recordings)

    def _save(self, recordings: Recordings) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or self.headers.get("Content-Type") != _CLIP_TYPE:
            return self._refuse(HTTPStatus.BAD_REQUEST, "a clip is sent as a .npy file")
        if len(length) > _DIGITS or int(length) > _MOST_BYTES:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the clip is too long")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return self._refuse(HTTPStatus.BAD_REQUEST, "the clip broke off")
        sign = parse_qs(urlsplit(self.path).query).get("sign", [""])[0]
        try:
            saved = recordings.add(sign, _clip(body))
        except ValueError as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            return self._refuse_for_disk(error)
        return self._answer(HTTPStatus.CREATED, saved)

    def _delete(self, recordings: Recordings) -> None:
        number = urlsplit(self.path).path.removeprefix(f"{CLIPS}/")
        try:
            recordings.remove(int(number))
        except (KeyError, ValueError):
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no clip {number}")
        except OSError as error:
            self._refuse_for_disk(error)
        else:
            self._answer(HTTPStatus.OK, {})

    def _answer(self, status: HTTPStatus, value: object) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _refuse_for_disk(self, error: OSError) -> None:
        self._refuse(HTTPStatus.INSUFFICIENT_STORAGE, error.strerror or "disk failure")

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # what was sent may not have been read
        self._send(status, "text/plain; charset=utf-8", reason.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Say with every answer what the page may do."""
        self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
        self.send_header("Permissions-Policy", "camera=(self), microphone=(), geolocation=()")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        """A folder is not listed."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *values: Any) -> None:
        """Requests are not printed."""

    def _hosts(self) -> set[str]:
        port = self.server.server_port  # type: ignore[attr-defined]
        suffix = "" if port == _HTTP else f":{port}"
        return {name + suffix for name in (HOST, "localhost")}


def _clip(body: bytes) -> np.ndarray:
    """The array in a .npy file; raises ValueError where it is none."""
    try:
        clip = np.load(io.BytesIO(body), allow_pickle=False)
    except Exception as error:  # numpy evaluates headers as Python, so any type is possible
        raise ValueError("is no .npy file") from error
    if not isinstance(clip, np.ndarray):  # of a .npz, say
        raise ValueError("is no .npy file")
    return clip
