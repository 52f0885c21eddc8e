"""Downloads one file, and resumes it after a broken connection or a killed process.

Not by a library: pooch starts an interrupted download from its first byte again, and kagglehub
resumes without checking that the server still has the same file (If-Range), and without back-off.
Neither checks the disk first.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests

from asl.errors import UserError
from asl.fetch.disk import byte_bar, check_room

TRIES = 6  # without a new byte
PAUSE = 1.0  # seconds before the second try; doubled for each further one
TIMEOUT = 60.0  # seconds without an answer or a byte after which a connection counts as broken

_BLOCK = 1 << 16  # bytes that are lost at most when a connection breaks
_FINAL = (400, 401, 404, 405, 410)  # status codes that a second try would only repeat


class _RemoteFile(NamedTuple):
    """The server's description of a file, kept beside the received bytes.

    Attributes:
        validator: ETag or date; empty where the download cannot be resumed.
        size: in bytes, if the server states it.
    """

    validator: str = ""
    size: int | None = None


def fetch(
    request: Callable[[], requests.PreparedRequest], target: Path, server: str, reserve: int
) -> None:
    """Downloads a file; the bytes received by an earlier call are not requested again.

    Until the file is complete, its bytes are in `target` with the suffix `.part`. They are kept
    only if the server still has the same file by its ETag or date (RFC 9110, If-Range).

    Args:
        request: makes the request, anew for each try, because signed addresses expire.
        target: path of the file; its folder exists.
        server: its name in messages.
        reserve: bytes that must stay free on the disk after the download.

    Raises:
        UserError: the disk is too small, or the server refuses or cannot be reached. The message
            never contains an address.
    """
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _receive(request(), part, server, reserve)
        except requests.RequestException as error:
            failures = 1 if _size(part) > before else failures + 1
            status = error.response is not None and error.response.status_code
            if status in _FINAL:
                raise UserError(f"{server} answered {status}: the file is not there") from None
            if failures == TRIES:
                raise UserError(
                    f"{server} can't be reached or breaks off ({status or type(error).__name__}); "
                    f"{_size(part) / 1e6:,.0f} MB are here; run the same command to go on"
                ) from None
            pause = PAUSE * 2 ** (failures - 1)
            print(f"{server} broke off; trying again in {pause:.0f} s", file=sys.stderr)
            time.sleep(pause)
        else:
            part.replace(target)
            _sidecar(part).unlink()
            return


def _receive(request: requests.PreparedRequest, part: Path, server: str, reserve: int) -> None:
    remote = _read_sidecar(part)
    received = _size(part) if remote.validator else 0
    if received and received == remote.size:
        return
    request.headers["Accept-Encoding"] = "identity"
    if received:
        request.headers.update({"Range": f"bytes={received}-", "If-Range": remote.validator})
    with requests.Session() as session:
        settings = session.merge_environment_settings(request.url or "", {}, True, None, None)
        response = session.send(request, timeout=TIMEOUT, **settings)
        response.raise_for_status()
        if response.status_code != 206:
            received, remote = 0, _describe(response)
            part.write_bytes(b"")  # first: old bytes must never stand beside a new validator
            _sidecar(part).write_text(json.dumps(remote))
        check_room(part.parent, (remote.size or received) - received + reserve)
        with (
            byte_bar(f"fetching from {server}", remote.size, received) as advance,
            part.open("ab") as file,
        ):
            for block in response.iter_content(_BLOCK):
                file.write(block)
                advance(len(block))
    if remote.size is not None and _size(part) != remote.size:
        raise requests.ConnectionError("fewer bytes than announced")


def _describe(response: requests.Response) -> _RemoteFile:
    tag, length = response.headers.get("ETag", ""), response.headers.get("Content-Length")
    strong = tag if not tag.startswith("W/") else ""  # a weak tag does not promise equal bytes
    resumable = response.headers.get("Accept-Ranges") == "bytes"
    validator = (strong or response.headers.get("Last-Modified", "")) if resumable else ""
    return _RemoteFile(validator, int(length) if length else None)


def _read_sidecar(part: Path) -> _RemoteFile:
    try:
        return _RemoteFile(*json.loads(_sidecar(part).read_text()))
    except (OSError, ValueError, TypeError):
        return _RemoteFile()


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
