"""Annotating long recordings: the signs in them, as files that ELAN, tables and programs read."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from asl.errors import UserError, check_choice
from asl.files import replacing
from asl.runtime.annotations import Spotted, as_csv, as_eaf, as_json
from asl.runtime.clips import RATE
from asl.runtime.printed import one_line
from asl.runtime.process import answers
from asl.runtime.spotting import MOST_SECONDS

Form = Literal["csv", "eaf", "json"]
FORMS: tuple[Form, ...] = get_args(Form)

THRESHOLD = 0.5
"""A sign's smoothed probability."""

MOST_FPS = 1000


def spot(
    model_path: str | Path,
    recordings: Sequence[str | Path],
    out: Path | None = None,
    forms: Sequence[Form] = FORMS,
    *,
    labels: str | Path | None = None,
    window: float | None = None,
    threshold: float = THRESHOLD,
    fps: float = RATE,
    mirror: bool = False,
    replace: bool = False,
    echo: Callable[[str], None] = print,
) -> list[str]:
    """Find the signs in long recordings, and write `NAME.csv`, `NAME.eaf` and `NAME.json` of each.

    Args:
        model_path: a .tflite, as for `asl.runtime.predict.predict`.
        recordings: videos, and clips that `asl.runtime.clips.read_clip` can read.
        out: the folder, made if need be; None to print the segments.
        forms: of the files.
        labels: a file with the signs; None for those in the model or beside it.
        window: seconds that are recognised at once; None for the length of the clips that the
            recognizer was trained on.
        threshold: a sign's smoothed probability reaches it, and is nowhere below half of it.
        fps: frames a second of what is no video; at most so many of a video are used.
        mirror: whether left and right of videos are exchanged.
        replace: whether files that are there are written again; else they stay, as somebody may
            have corrected them.
        echo: prints lines.

    Returns:
        A sentence for each recording that could not be read.

    Raises:
        UserError: the model cannot be used, a value is out of range, or two recordings would have
            the same files.
    """
    _check(window, threshold, fps, forms)
    wanted = [Path(path) for path in recordings]
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        _check_names(wanted, out)
        wanted = [each for each in wanted if replace or not _exists(each, out, forms, echo)]
    if not wanted:
        return []
    problems = []
    named = None if labels is None else str(labels)
    options = (named, window, threshold, fps, mirror)
    for path, answer in answers("asl.runtime.spotting", model_path, wanted, *options):
        if "progress" in answer:
            _show_progress(f"{one_line(path)}: {answer['progress']:.0f} s")
            continue
        _show_progress("")
        if "problem" in answer:
            problems.append(f"{path}: {answer['problem']}")
            continue
        segments = [Spotted(*segment) for segment in answer["segments"]]
        if out is not None:
            _write(segments, Path(path), out, forms)
        elif segments:
            _show(path, segments, echo)
            continue
        echo(f"{one_line(path)}: {_summary(answer)}")
    return problems


def _check(window: float | None, threshold: float, fps: float, forms: Sequence[str]) -> None:
    if window is not None and not 0 < window < MOST_SECONDS:
        raise UserError(
            f"--window={window:g}: choose a number of seconds above 0 and below {MOST_SECONDS}"
        )
    if not 0 < threshold <= 1:
        raise UserError(f"--threshold={threshold:g}: choose a probability above 0, at most 1")
    if not 0 < fps < MOST_FPS:
        raise UserError(f"--fps={fps:g}: choose a number above 0 and below {MOST_FPS}")
    for form in forms:
        check_choice("--format", form, FORMS)


def _check_names(recordings: Sequence[Path], out: Path) -> None:
    """Raises UserError where two recordings would have the same files."""
    counts = Counter(recording.stem for recording in recordings)
    for name, count in counts.items():
        if count > 1:
            raise UserError(f"out={out}: {name} would be the name of {count} recordings' files")


def _exists(recording: Path, out: Path, forms: Sequence[Form], echo: Callable[[str], None]) -> bool:
    """Whether a file that would be written exists; prints a line where one does."""
    there = [file for form in forms if (file := _file(recording, out, form)).exists()]
    if there:
        echo(f"{', '.join(map(one_line, map(str, there)))}: there already; --replace writes again")
    return bool(there)


def _file(recording: Path, out: Path, form: Form) -> Path:
    return out / f"{recording.stem}.{form}"


def _write(segments: Sequence[Spotted], recording: Path, out: Path, forms: Sequence[Form]) -> None:
    texts = {
        "csv": lambda: as_csv(segments),
        "eaf": lambda: as_eaf(segments, recording, out),
        "json": lambda: as_json(segments, recording),
    }
    for form in forms:
        with replacing(_file(recording, out, form)) as temporary:
            temporary.write_text(texts[form](), encoding="utf-8", newline="")


def _show(path: str, segments: Sequence[Spotted], echo: Callable[[str], None]) -> None:
    """A line for each segment: recording, time, and sign with its score, between tabs."""
    for start, end, sign, score in segments:
        echo(f"{one_line(path)}\t{start:.2f}-{end:.2f} s\t{one_line(sign)} {score:.3f}")


def _show_progress(text: str) -> None:
    """Replace the line of progress on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _summary(answer: Mapping[str, Any]) -> str:
    """How many signs a recording has, and for how long hands are seen in it."""
    count = len(answer["segments"])
    signs = f"{count or 'no'} sign{'' if count == 1 else 's'} in {answer['seconds']:.1f} s"
    if not answer["seen"]:
        return f"{signs}: no hand is seen in it"
    return f"{signs}; hands are seen in {answer['seen']:.1f} s"
