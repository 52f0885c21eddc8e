"""The most probable signs of clips, by an exported .tflite.

LiteRT and the readers of clips are native code, which a file from elsewhere may crash. So they run
in a process of their own, `python -m asl.runtime.recognise`, which answers with a JSON line for the
model and one for each clip. Where it dies at a clip, another process does the rest.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from asl.errors import UserError
from asl.paths import PACKAGE
from asl.runtime.clips import WINDOW

Prediction = list[tuple[str, float]]
_CRASH = "LiteRT crashes on this file"


def predict(
    model_path: str | Path,
    clip_paths: Sequence[str | Path],
    top: int = 5,
    labels: str | Path | None = None,
    *,
    window: float = WINDOW,
    mirror: bool = False,
) -> tuple[dict[str, Prediction], dict[str, str]]:
    """The most probable signs of each clip.

    Args:
        model_path: a .tflite of the GISLR competition's contract, as `asl export` writes it.
        clip_paths: clips that `asl.runtime.clips.read_clip` can read, and videos.
        top: number of signs per clip.
        labels: a file with the signs, as in `asl.runtime.labels.read_labels`; None for those in
            the model or beside it.
        window: seconds of a video that are one clip, where it is longer than two of them.
        mirror: whether left and right of videos are exchanged.

    Returns:
        path to its `top` (sign, probability), the most probable first; path to the reason, of clips
        that could not be read. Logits are made probabilities by softmax. Of a long video each
        window is a clip of its own, `VIDEO.mp4:1.5-4.5s`.

    Raises:
        UserError: the model cannot be used, LiteRT crashes on it, or `top` is not positive.

    Example:
        >>> from asl.runtime.predict import predict
        >>> predictions, problems = predict("model_float16.tflite", ["clip.parquet"], top=3)
        >>> for path, signs in predictions.items():
        ...     print(path, ", ".join(f"{sign} {p:.0%}" for sign, p in signs))
    """
    if top < 1:
        raise UserError(f"--top={top}: choose a number from 1 up")
    if not window > 0:
        raise UserError(f"--window={window}: choose a number of seconds above 0")
    predictions: dict[str, Prediction] = {}
    problems: dict[str, str] = {}
    rest = [str(path) for path in clip_paths]
    usable = False
    while rest or not usable:
        for answer in _answers(model_path, rest, top, labels, window, mirror):
            if "fault" in answer:
                raise UserError(answer["fault"])
            if "signs" in answer:
                path = rest.pop(0)
                for when, signs in answer["signs"].items():
                    predictions[path + when] = [(sign, p) for sign, p in signs]
            elif "problem" in answer:
                problems[rest.pop(0)] = answer["problem"]
            elif "usable" in answer:
                usable = True
            elif not usable:
                raise UserError(f"{model_path}: {_CRASH} ({answer['crash']})")
            elif rest:
                what = f"crashed the process that read and recognised it ({answer['crash']})"
                problems[rest.pop(0)] = what
    return predictions, problems


def check_model(model_path: str | Path) -> None:
    """Raises UserError where a .tflite cannot be used, or LiteRT crashes on it."""
    for answer in _answers(model_path, [], 1):
        if "usable" in answer:
            return
        what = answer.get("fault") or f"{model_path}: {_CRASH} ({answer['crash']})"
        raise UserError(what)


def _answers(
    model_path: str | Path,
    clip_paths: list[str],
    top: int,
    labels: str | Path | None = None,
    window: float = WINDOW,
    mirror: bool = False,
) -> Iterator[dict[str, Any]]:
    """The answers of one process: `usable`, then one a clip; `fault` or `crash` where it ends."""
    # Without -P the process would import modules from the working folder, a stranger's perhaps.
    command = [sys.executable, "-P", "-m", "asl.runtime.recognise"]
    places = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            named = None if labels is None else str(labels)
            request = [str(model_path), list(clip_paths), top, named, window, mirror]
            json.dump(request, process.stdin)
            process.stdin.close()
            yield from map(json.loads, process.stdout)
        finally:
            if sys.exc_info()[0] is not None:
                process.kill()
    if status := process.returncode:
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        yield {"crash": name}
