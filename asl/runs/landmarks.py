"""Clips of landmarks from videos, in the competition's format."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from asl.clips.sources.gislr import write_clip
from asl.errors import UserError
from asl.files import replacing
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.runtime.printed import one_line
from asl.video.decode import BadVideo
from asl.video.extract import extract

_PARTS = MEDIAPIPE_HOLISTIC.parts


def landmarks(
    videos: Sequence[Path],
    out: Path,
    *,
    mirror: bool = False,
    fps: float | None = None,
    echo: Callable[[str], None] = print,
) -> list[str]:
    """Write a clip for each video, `NAME.parquet` in a folder; clips that are there stay.

    Args:
        videos: the files.
        out: the folder; made if need be.
        mirror: whether left and right are exchanged first.
        fps: frames a second at most; None for all.
        echo: prints a line for each video.

    Returns:
        A sentence for each video that has no clip.

    Raises:
        UserError: two videos have one name, `fps` is not positive, or a model is missing.
    """
    if fps is not None and not fps > 0:
        raise UserError(f"--fps={fps:g}: choose a number above 0, or 0 for all frames")
    name, count = Counter(video.stem for video in videos).most_common(1)[0]
    if count > 1:
        raise UserError(f"out={out}: {name}.parquet would be the clip of {count} videos")
    out.mkdir(parents=True, exist_ok=True)
    problems = []
    for number, video in enumerate(videos, start=1):
        clip = out / f"{video.stem}.parquet"
        try:
            if clip.exists():
                echo(one_line(f"{clip}: there already"))
                continue
            with _progress(f"{one_line(video.name)} ({number} of {len(videos)})") as advance:
                found = extract(video, mirror=mirror, fps=fps, advance=advance)
        except BadVideo as problem:
            problems.append(str(problem))
            continue
        except OSError as error:
            problems.append(f"{video}: cannot be read ({error.strerror})")
            continue
        with replacing(clip) as file:
            write_clip(file, found.clip)
        note = f"; the video {found.note}" if found.note else ""
        echo(one_line(f"{clip}: {_seen(found.clip)}{note}"))
    return problems


def _seen(clip: np.ndarray) -> str:
    counts = {
        part.replace("_", " "): int((~np.isnan(clip[:, rows.start, 0])).sum())
        for part, rows in _PARTS.items()
    }
    parts = ", ".join(f"{part} in {count}" for part, count in counts.items())
    return f"{len(clip)} frames; {parts}"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere; yields a function to call at each frame."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda promised: bar.update(task, advance=1, total=promised or None)
