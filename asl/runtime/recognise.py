"""The process of `asl.runtime.predict`: opens a .tflite, reads clips, answers in JSON lines."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError
from asl.runtime.clips import WINDOW, read_clips
from asl.runtime.labels import read_labels, read_threshold
from asl.runtime.litert import load_all
from asl.runtime.predict import Prediction
from asl.runtime.process import reason, serve


def recognise(
    model_path: str,
    clip_paths: Sequence[str | Path],
    top: int,
    labels: str | None = None,
    window: float = WINDOW,
    mirror: bool = False,
    all_outputs: bool = False,
) -> Iterator[dict[str, Any]]:
    """What `asl.runtime.predict` makes of a model and clips: `usable`, then one answer a clip.

    An answer is `problem`, or `signs` and `sure`, or where all outputs are wanted `outputs`.
    """
    describe = load_all(model_path)
    yield {"usable": True}
    signs = None if all_outputs else read_labels(model_path, labels)
    threshold = read_threshold(model_path)
    for path in clip_paths:
        try:
            answers = {when: describe(clip) for when, clip in read_clips(path, window, mirror)}
        except Exception as error:  # of a stranger's file any type is possible
            yield {"problem": reason(error)}
            continue
        if not all(
            np.isfinite(each).all() for outputs in answers.values() for each in outputs.values()
        ):
            yield {"problem": "the model's answer to it is not finite"}
        elif signs is None:
            yield {"outputs": {when: _as_lists(outputs) for when, outputs in answers.items()}}
        else:
            try:
                named = {
                    when: name(outputs, signs, top, threshold) for when, outputs in answers.items()
                }
            except IndexError as error:
                raise UserError(f"{model_path}: {error}") from error
            sure = {when: [each.unknown, each.sure] for when, each in named.items()}
            yield {"signs": named, "sure": sure}


def _as_lists(outputs: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {output: values.tolist() for output, values in outputs.items()}


def name(
    outputs: Mapping[str, np.ndarray], signs: Sequence[str], top: int, threshold: float | None
) -> Prediction:
    """The most probable signs of a clip, and whether the file is sure of them.

    Args:
        outputs: the file's, by their names.
        signs: in the order of the outputs.
        top: how many signs.
        threshold: of the answer `unknown`, from which on the file is not sure; None: always sure.

    Raises:
        IndexError: there are not as many probabilities as signs.
    """
    named = best(as_probabilities(outputs["outputs"]), signs, top)
    if threshold is None or "unknown" not in outputs:
        return Prediction(named)
    unknown = float(outputs["unknown"][0])
    return Prediction(named, unknown, unknown <= threshold)


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
