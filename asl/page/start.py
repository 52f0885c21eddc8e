"""Starting the page: one that recognises, or one that records."""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from asl.files import locked
from asl.page.build import Recognizer, recognising, write_page
from asl.page.recordings import Recordings
from asl.page.serve import address, open_server

_PRINT = partial(print, flush=True)  # the link is read before the command ends


def recognise(
    recognizer: Recognizer,
    *,
    threshold: float,
    port: int | None,
    echo: Callable[[str], None] = _PRINT,
) -> None:
    """Serve a page that recognises, until the process is ended.

    Args:
        recognizer: the exported file.
        threshold: probability below which the page is not sure.
        port: of 127.0.0.1; None for the first free one.
        echo: is given the link.

    Raises:
        UserError: the port cannot be used, or a package of the page cannot be had.
    """
    _serve(recognising(recognizer, threshold), recognizer.path, None, port, echo)


def record(
    signs: Sequence[str],
    signer: str,
    out: Path,
    *,
    clips: int,
    seconds: float,
    port: int | None,
    echo: Callable[[str], None] = _PRINT,
) -> None:
    """Serve a page that records clips, until the process is ended.

    Args:
        signs: that it asks for.
        signer: whose clips they are.
        out: a folder in the competition's layout; made with the first clip.
        clips: of each sign.
        seconds: of a clip.
        port: of 127.0.0.1; None for the first free one.
        echo: is given the link.

    Raises:
        UserError: a name or the folder is unsound, another process records into the folder, or as
            `recognise`.
    """
    with locked(out.with_name(f".{out.name}.lock"), f"out={out}: another asl record saves there"):
        recordings = Recordings(out, signer, signs)
        asked = {"signs": recordings.signs, "signer": signer, "folder": str(out)}
        settings = {"mode": "record", "clips": clips, "seconds": seconds, **asked}
        _serve(settings, None, recordings, port, echo)


def _serve(
    settings: dict[str, Any],
    model: Path | None,
    recordings: Recordings | None,
    port: int | None,
    echo: Callable[[str], None],
) -> None:
    with tempfile.TemporaryDirectory(prefix="asl-page-") as folder:
        write_page(Path(folder), settings, model)
        with open_server(Path(folder), port, recordings) as server:
            echo(f"page: {address(server)}  (Ctrl-C stops it)")
            server.serve_forever()
