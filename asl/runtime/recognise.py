"""The process of `asl.runtime.predict`: opens a .tflite, reads clips, answers in JSON lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError
from asl.runtime.clips import WINDOW, read_clips
from asl.runtime.labels import read_labels
from asl.runtime.litert import load
from asl.runtime.process import reason, serve


def recognise(
    model_path: str,
    clip_paths: Sequence[str | Path],
    top: int,
    labels: str | None = None,
    window: float = WINDOW,
    mirror: bool = False,
) -> Iterator[dict[str, Any]]:
    """What `asl.runtime.predict` makes of a model and clips: `usable`, then one answer a clip."""
    predictor = load(model_path)
    yield {"usable": True}
    signs = read_labels(model_path, labels)
    for path in clip_paths:
        try:
            clips = read_clips(path, window, mirror)
            answers = {when: as_probabilities(predictor(clip)) for when, clip in clips}
        except Exception as error:  # of a stranger's file any type is possible
            yield {"problem": reason(error)}
            continue
        if not all(np.isfinite(answer).all() for answer in answers.values()):
            yield {"problem": "the model's answer to it is not finite"}
            continue
        try:
            yield {"signs": {when: best(answers[when], signs, top) for when in answers}}
        except IndexError as error:
            raise UserError(f"{model_path}: {error}") from error


def best(probabilities: np.ndarray, signs: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The most probable signs, the most probable first.

    Raises:
        IndexError: there are not as many probabilities as signs.
    """
    if len(probabilities) != len(signs):
        raise IndexError(f"gives {len(probabilities)} probabilities for {len(signs)} labels")
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(signs[i], float(probabilities[i])) for i in order]


def as_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Outputs [signs] that sum to 1: of a model that answers with logits, their softmax.

    Outputs without a negative number are divided by their sum, which is 1 for probabilities and
    the number of networks where a model adds the answers of several.
    """
    if (outputs < 0).any():
        outputs = np.exp(outputs - outputs.max())
    total = outputs.sum()
    return outputs / total if total > 0 else outputs


if __name__ == "__main__":
    serve(recognise)
