"""The process of `asl spot`: opens a .tflite, reads long recordings, answers in JSON lines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asl.landmarks import LAYOUTS, MEDIAPIPE_HOLISTIC
from asl.runtime.clips import RATE, read_frames, sliding
from asl.runtime.labels import read_facts, read_labels
from asl.runtime.litert import Describer, load_all
from asl.runtime.process import reason, serve
from asl.runtime.recognise import as_probabilities
from asl.runtime.spot import find_signs, steps_of

WINDOW = 1.0
"""Seconds of a window where the file does not say how long the clips of its training were."""

GAP = 0.2
"""Seconds without a hand, or of doubt, that do not part a sign."""

MOST_SECONDS = 60
"""Of a window: longer ones would fill the memory."""

EVERY = 50
"""Windows from one word of progress to the next."""


class Answer(NamedTuple):
    """A recognizer's answer to a window.

    Attributes:
        probabilities: float32 [signs].
        known: how probable it is that the window shows one of them; 1 where the file cannot tell.
    """

    probabilities: np.ndarray
    known: float


def spot(
    model_path: str,
    paths: Sequence[str | Path],
    labels: str | None,
    window: float | None,
    threshold: float,
    rate: float,
    mirror: bool,
) -> Iterator[dict[str, Any]]:
    """Find the signs of each recording: yields `usable` once the model is open, then the answers.

    Args:
        model_path: a .tflite.
        paths: of the recordings, as in `asl.runtime.clips.read_frames`.
        labels: as in `asl.runtime.labels.read_labels`.
        window: seconds; None for the length of the clips that the recognizer was trained on.
        threshold: as in `asl.runtime.spot.find_signs`.
        rate: frames a second, as in `read_frames`.
        mirror: whether left and right of videos are exchanged.

    Yields:
        `problem`; or `segments` ([start, end, sign, score], in seconds), `seconds` of the
        recording, and in how many of them a hand is `seen`; before, `progress`, seconds that are
        done.
    """
    describe = load_all(model_path)
    yield {"usable": True}
    signs, facts = read_labels(model_path, labels), read_facts(model_path)
    seconds = window or trained_window(facts)
    for path in paths:
        seen: list[bool] = []
        answers: list[Answer] = []
        try:
            real, frames = read_frames(path, rate, mirror)
            hop, cover = steps_of(seconds * real)
            size, hands = hop * cover, hands_of(facts)
            for answer in windows(describe, frames, size, hop, hands, len(signs), seen):
                answers.append(answer)
                if len(answers) % EVERY == 0:
                    yield {"progress": len(seen) / real}
            if not answers:
                raise ValueError("has no frame")
        except Exception as error:  # of a stranger's file any type is possible
            yield {"problem": reason(error)}
            continue
        found = find_signs(
            np.stack([answer.probabilities for answer in answers]),
            np.array([answer.known for answer in answers], np.float32),
            np.array(seen),
            hop,
            cover,
            threshold=threshold,
            shortest=size // 2,
            gap=round(GAP * real),
        )
        yield {
            "segments": [[a / real, b / real, signs[sign], p] for a, b, sign, p in found],
            "seconds": len(seen) / real,
            "seen": sum(seen) / real,
        }


def windows(
    describe: Describer,
    frames: Iterable[np.ndarray],
    size: int,
    hop: int,
    hands: Sequence[int],
    signs: int,
    seen: list[bool],
) -> Iterator[Answer]:
    """Recognise every window of a recording that shows a hand, one after the other.

    Args:
        describe: the outputs of a file for a clip, as `asl.runtime.litert.load_all` gives them.
        frames: [N, C] each.
        size: frames of a window.
        hop: frames from one window to the next.
        hands: raw rows of the hands.
        signs: how many the recognizer knows.
        seen: gets for each frame whether it shows a hand.

    Yields:
        The answer to each window; probabilities of 0 for one without a hand.

    Raises:
        ValueError: the frames are not what the recognizer reads, or it gives other than finite
            numbers for these signs.
    """
    watched = _record_hands(frames, hands, seen)
    for start, clip in sliding(watched, size, hop):
        if not any(seen[start : start + len(clip)]):
            yield Answer(np.zeros(signs, np.float32), 1.0)
            continue
        outputs = describe(clip)
        answer = as_probabilities(outputs["outputs"]).astype(np.float32)
        unknown = outputs.get("unknown", np.zeros(1))[0]
        if len(answer) != signs:
            raise ValueError(f"the model gives {len(answer)} probabilities for {signs} labels")
        if not np.isfinite([*answer, unknown]).all():
            raise ValueError("the model's answer to it is not finite")
        yield Answer(answer, 1 - float(np.clip(unknown, 0, 1)))


def trained_window(facts: Mapping[str, Any]) -> float:
    """Seconds of the clips that a recognizer was trained on, by its file's labels.json."""
    training = facts.get("training")
    frames = training.get("median_frames") if isinstance(training, dict) else None
    if isinstance(frames, int | float) and 0 < frames < MOST_SECONDS * RATE:
        return frames / RATE
    return WINDOW


def hands_of(facts: Mapping[str, Any]) -> Sequence[int]:
    """The raw rows of the hands in the layout that a file's labels.json names."""
    return LAYOUTS.get(str(facts.get("layout")), MEDIAPIPE_HOLISTIC).hands


def _record_hands(
    frames: Iterable[np.ndarray], hands: Sequence[int], seen: list[bool]
) -> Iterator[np.ndarray]:
    """Yields the frames `[N, C]`, and appends to `seen` whether each shows a hand."""
    for frame in frames:
        if max(hands) >= len(frame):
            raise ValueError(f"has {len(frame)} landmarks a frame, not those that the model reads")
        seen.append(not np.isnan(frame[list(hands)]).all())
        yield frame


if __name__ == "__main__":
    serve(spot)
