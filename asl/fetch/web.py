"""One file from the web: resumed where the connection, the process or the machine stopped."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests

from asl.errors import UserError
from asl.fetch.disk import byte_bar, check_room

TRIES = 6  # without a single new byte
PAUSE = 1.0  # seconds before the second try; doubled for each further one
SILENCE = 60.0  # seconds without an answer or a byte that break a connection

_BLOCK = 1 << 16  # a connection that breaks inside a block takes it along
_FINAL = (400, 401, 404, 405, 410)  # an answer that a second try would only repeat


class _Known(NamedTuple):
    """What the server said of the file when its first byte was asked for."""

    validator: str = ""  # an ETag or a date; empty where the file can't be resumed
    size: int | None = None


def fetch(
    request: Callable[[], requests.PreparedRequest], target: Path, who: str, room: int
) -> None:
    """Download a file; bytes that an earlier call has received are not asked for again.

    What has come lies beside the target under `.part` until it is whole. It is gone on with only
    if the server still has the same file, by its ETag or its date (RFC 9110, If-Range).

    Args:
        request: makes the request, anew for each try, since signed addresses expire.
        target: where the file goes; its folder exists.
        who: the server, as messages call it.
        room: bytes that must stay free when the file is there.

    Raises:
        UserError: the disk is too small, the server refuses, or it can't be reached any more.
            Its message never holds an address, which may be signed.
    """
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _receive(request(), part, who, room)
        except requests.RequestException as error:
            failures = 1 if _size(part) > before else failures + 1
            answered = error.response is not None and error.response.status_code
            if answered in _FINAL:
                raise UserError(f"{who} answered {answered}: the file is not there") from None
            if failures == TRIES:
                raise UserError(
                    f"{who} can't be reached or breaks off ({answered or type(error).__name__}); "
                    f"{_size(part) / 1e6:,.0f} MB are here; run the same command to go on"
                ) from None
            pause = PAUSE * 2 ** (failures - 1)
            print(f"{who} broke off; trying again in {pause:.0f} s", file=sys.stderr)
            time.sleep(pause)
        else:
            part.replace(target)
            _sidecar(part).unlink()
            return


def _receive(request: requests.PreparedRequest, part: Path, who: str, room: int) -> None:
    known = _known(part)
    there = _size(part) if known.validator else 0
    if there and there == known.size:
        return
    request.headers["Accept-Encoding"] = "identity"
    if there:
        request.headers.update({"Range": f"bytes={there}-", "If-Range": known.validator})
    with requests.Session() as session:
        settings = session.merge_environment_settings(request.url or "", {}, True, None, None)
        response = session.send(request, timeout=SILENCE, **settings)
        response.raise_for_status()
        if response.status_code != 206:
            there = 0
            known = _describe(response)
            part.write_bytes(b"")  # first: old bytes must never stand beside a new validator
            _sidecar(part).write_text(json.dumps(known))
        check_room(part.parent, (known.size or there) - there + room)
        with (
            byte_bar(f"fetching from {who}", known.size, there) as advance,
            part.open("ab") as file,
        ):
            for block in response.iter_content(_BLOCK):
                file.write(block)
                advance(len(block))
    if known.size is not None and _size(part) != known.size:
        raise requests.ConnectionError("the file came short")


def _describe(response: requests.Response) -> _Known:
    tag, length = response.headers.get("ETag", ""), response.headers.get("Content-Length")
    strong = tag if not tag.startswith("W/") else ""  # a weak one does not promise the same bytes
    resumable = response.headers.get("Accept-Ranges") == "bytes"
    validator = (strong or response.headers.get("Last-Modified", "")) if resumable else ""
    return _Known(validator, int(length) if length else None)


def _known(part: Path) -> _Known:
    try:
        return _Known(*json.loads(_sidecar(part).read_text()))
    except (OSError, ValueError, TypeError):
        return _Known()


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
