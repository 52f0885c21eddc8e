"""The most probable signs of clips, by an exported .tflite.

The clips are read and recognised in a process of its own, `python -m asl.runtime.recognise`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from asl.errors import UserError
from asl.runtime.clips import WINDOW
from asl.runtime.process import answers

_RECOGNISE = "asl.runtime.recognise"


class Prediction(list[tuple[str, float]]):
    """The signs of a clip with their probabilities, the most probable first.

    Attributes:
        unknown: the file's score that the clip shows none of its signs, from 0 to 1; None where the
            file has none.
        sure: whether that score is so low that the first sign should be named.
    """

    def __init__(
        self,
        signs: Iterable[tuple[str, float]] = (),
        unknown: float | None = None,
        sure: bool = True,
    ) -> None:
        super().__init__((sign, probability) for sign, probability in signs)
        self.unknown = unknown
        self.sure = sure


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
        path to its `top` (sign, probability), the most probable first, with `unknown` and `sure`
        where the file can tell that a clip is no sign; path to the reason, of clips that could
        not be read. Logits are made probabilities by softmax. Of a long video each
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
    named = None if labels is None else str(labels)
    for path, answer in answers(_RECOGNISE, model_path, clip_paths, top, named, window, mirror):
        if "problem" in answer:
            problems[path] = answer["problem"]
            continue
        for when, signs in answer["signs"].items():
            predictions[path + when] = Prediction(signs, *answer["sure"][when])
    return predictions, problems


def describe(
    model_path: str | Path, clip_paths: Sequence[str | Path], *, mirror: bool = False
) -> tuple[dict[str, dict[str, np.ndarray]], dict[str, str]]:
    """All outputs of a file for each clip, by their names.

    Args:
        model_path: as for `predict`.
        clip_paths: likewise; each shows one sign, so a long video is a problem.
        mirror: likewise.

    Returns:
        path to what `asl.runtime.litert.load_all` gives; path to the reason, of clips that could
        not be read.

    Raises:
        UserError: the model cannot be used, or LiteRT crashes on it.
    """
    outputs: dict[str, dict[str, np.ndarray]] = {}
    problems: dict[str, str] = {}
    options = 1, None, WINDOW, mirror, True
    for path, answer in answers(_RECOGNISE, model_path, clip_paths, *options):
        if "problem" in answer:
            problems[path] = answer["problem"]
        elif len(answer["outputs"]) > 1:
            problems[path] = f"is longer than {2 * WINDOW:.0f} s, so it may show several signs"
        else:
            (one,) = answer["outputs"].values()
            outputs[path] = {name: np.array(values, np.float32) for name, values in one.items()}
    return outputs, problems


def check_model(model_path: str | Path) -> None:
    """Raises UserError where a .tflite cannot be used, or LiteRT crashes on it."""
    list(answers(_RECOGNISE, model_path, [], 1))
