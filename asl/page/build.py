"""The page as a folder of files, which any web server can host."""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asl.errors import UserError
from asl.files import TEMPORARY, locked
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.page import assets
from asl.page.assets import Package
from asl.paths import WEB
from asl.runtime.labels import read_facts, read_labels, read_threshold
from asl.runtime.litert import interpreter
from asl.runtime.predict import check_model
from asl.terminal import encodable

SETTINGS = "page.json"
MODEL = "model.tflite"
EXPORT = "asl export run=RUN export.frames=64"

_NOT_DRAWN = range(468)  # the face's own lines hide the face
_OURS = (SETTINGS, "index.html", "main.js")
_BEFORE = "before"  # the page that is replaced, until the new one is in its place


class Recognizer(NamedTuple):
    """An exported file that a browser can run.

    Attributes:
        path: of the .tflite.
        signs: in the order of its outputs.
        frames: that it reads.
        unknown: score from which on it names no sign; None where it has none.
        name: as the page calls it.
    """

    path: Path
    signs: list[str]
    frames: int
    unknown: float | None
    name: str


def open_recognizer(path: Path) -> Recognizer:
    """What the page needs to know of a .tflite.

    Raises:
        UserError: it cannot be used, its number of frames is free, which LiteRT.js refuses, or it
            reads other landmarks than those that the page finds.
    """
    check_model(path)
    run = interpreter(path).get_signature_runner("serving_default")
    frames, landmarks, channels = map(int, run.get_input_details()["inputs"]["shape_signature"])
    if (landmarks, channels) != (MEDIAPIPE_HOLISTIC.size, 3):
        raise UserError(
            f"{path}: reads {landmarks} landmarks of {channels} numbers a frame, "
            f"and the page finds MediaPipe's {MEDIAPIPE_HOLISTIC.size} of 3"
        )
    if frames < 1:
        raise UserError(f"{path}: browsers need a fixed number of frames; `{EXPORT}` writes that")
    signs = read_labels(path)
    outputs = int(np.prod(run.get_output_details()["outputs"]["shape"]))
    if len(signs) != outputs:
        raise UserError(f"{path}: gives {outputs} probabilities for {len(signs)} labels")
    return Recognizer(path, signs, frames, read_threshold(path), _run_name(path))


def _run_name(path: Path) -> str:
    """The name of the run that the file comes from, else the file's name."""
    run = read_facts(path).get("run")
    name = run.get("name") if isinstance(run, dict) else None
    return encodable(name if isinstance(name, str) and name.strip() else path.stem)


def recognising(recognizer: Recognizer, threshold: float) -> dict[str, Any]:
    """The settings of a page that recognises.

    Args:
        recognizer: the file.
        threshold: probability below which the page is not sure.
    """
    known = {key: getattr(recognizer, key) for key in ("signs", "frames", "unknown", "name")}
    return {"mode": "recognise", "model": MODEL, "threshold": threshold, **known}


def write_page(folder: Path, settings: dict[str, Any], model: Path | None = None) -> None:
    """Write the page's files into a folder that is empty or not there yet.

    Args:
        folder: made if need be.
        settings: of `recognising`, or those of a page that records.
        model: the .tflite, for a page that recognises.

    Raises:
        UserError: a package cannot be had.
    """
    packages = _packages(model is not None)
    shutil.copytree(WEB, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__*", ".*"))
    assets.vendor(packages, folder / "vendor")
    (folder / "licenses" / "NOTICE.txt").write_text(assets.notice(packages), encoding="utf-8")
    if model:
        shutil.copyfile(model, folder / MODEL)
    drawn = [bone for bone in MEDIAPIPE_HOLISTIC.bones if not set(bone) & set(_NOT_DRAWN)]
    text = json.dumps(settings | {"bones": drawn}, ensure_ascii=False)
    (folder / SETTINGS).write_text(text, encoding="utf-8")


def build(folder: Path, recognizer: Recognizer, threshold: float) -> None:
    """Make or replace a folder that anybody can host.

    Raises:
        UserError: the folder holds something else, another process builds it, or a package cannot
            be had.
    """
    if not folder.name:
        raise UserError(f"build={folder}: name a folder of the page's own: --build site")
    if folder.exists() and not _is_page(folder):
        raise UserError(f"build={folder}: holds something else than a page; name another folder")
    with _scratch_beside(folder) as scratch:
        write_page(scratch / "page", recognising(recognizer, threshold), recognizer.path)
        if folder.exists():
            folder.rename(scratch / _BEFORE)
        (scratch / "page").rename(folder)


@contextlib.contextmanager
def _scratch_beside(folder: Path) -> Iterator[Path]:
    """A folder for the page until it is whole; that of a killed build is cleared first."""
    scratch = folder.parent / f"{TEMPORARY}asl-page-{folder.name}"
    lock = folder.parent / f"{scratch.name}.lock"
    with locked(lock, f"build={folder}: another asl page builds there"):
        try:
            _clear(scratch, folder)
            scratch.mkdir()
            yield scratch
        finally:
            _clear(scratch, folder)
            lock.unlink(missing_ok=True)


def _clear(scratch: Path, folder: Path) -> None:
    """Remove a scratch folder; the page of before goes back where no other took its place."""
    if (scratch / _BEFORE).exists() and not folder.exists():
        (scratch / _BEFORE).rename(folder)
    if scratch.exists():
        shutil.rmtree(scratch)


def policy() -> str:
    """The content security policy that the page has in itself."""
    text = (WEB / "index.html").read_text(encoding="utf-8")
    (found,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    return str(found)


def _packages(recognises: bool) -> Sequence[Package]:
    recognition = (assets.LITERT, assets.LITERT_LOADER) if recognises else ()
    return (*recognition, assets.HOLISTIC)


def _is_page(folder: Path) -> bool:
    """Whether a folder is empty, or one that was built here."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    return not names or names.issuperset(_OURS)
