"""asl spot measured: precision, recall and F1 on long recordings of known signs.

    python -m benchmarks.spotting

Recordings are real clips of words15 by signer 3, whom the recognizer was not trained on, ten of
them behind one another with 0.5 to 2 seconds between. A segment is right where its sign is that of
a clip and both share half of their joint time (intersection over union); each clip counts once.
Three kinds of recording differ in what is between the clips:

rest: nobody's hands are seen
held: the hands stay where the clip ended, which is when a recognizer names signs that are none
none: nothing; each clip begins where the one before ends
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.export.calibration import Labelled, accepted_share, fit_answers
from asl.export.parity.clips import stratified_sample
from asl.export.parity.compare import torch_describer
from asl.recognizer.recognizer import Recognizer
from asl.runtime.litert import Describer
from asl.runtime.spot import Segment, find_signs, steps_of
from asl.runtime.spotting import GAP, windows
from benchmarks.command import options
from benchmarks.table import Row, machine, report

RATE, CLIPS = 30, 10
PAUSE = (15, 60)  # frames
IOU = 0.5
KINDS = ("rest", "held", "none")
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CALIBRATED_ON = 256
"""Clips of training, and of validation, that the score `unknown` is fitted to, as by an export."""


class Recording(NamedTuple):
    """Clips behind one another.

    Attributes:
        frames: float32 [frames, N, 3].
        truth: where each clip is, its score is 1.
    """

    frames: np.ndarray
    truth: list[Segment]


def joined(store: ClipStore, rows: np.ndarray, kind: str, seed: int) -> Recording:
    """The clips of some rows behind one another, with pauses of this kind between."""
    random = np.random.default_rng(seed)
    parts: list[np.ndarray] = []
    truth: list[Segment] = []
    place = 0
    for row in rows:
        clip = store.read(int(row))
        pause = _pause(clip, store, kind, int(random.integers(*PAUSE)))
        parts += [clip, pause]
        truth.append(Segment(place, place + len(clip), int(store.sign[row]), 1.0))
        place += len(clip) + len(pause)
    return Recording(np.concatenate(parts), truth)


def _pause(clip: np.ndarray, store: ClipStore, kind: str, frames: int) -> np.ndarray:
    if kind == "none":
        return clip[:0]
    pause = np.repeat(clip[-1:], frames, axis=0)
    if kind == "rest":
        pause[:, list(store.layout.hands)] = np.nan
    return pause


def spotted(
    describe: Describer, recording: Recording, store: ClipStore, window: int, threshold: float
) -> list[Segment]:
    """What `asl spot` finds in a recording; window in frames."""
    (hop, cover), hands = steps_of(window), store.layout.hands
    seen: list[bool] = []
    found = windows(describe, recording.frames, hop * cover, hop, hands, len(store.signs), seen)
    answers = list(found)
    return find_signs(
        np.stack([answer.probabilities for answer in answers]),
        np.array([answer.known for answer in answers]),
        np.array(seen),
        hop,
        cover,
        threshold=threshold,
        shortest=hop * cover // 2,
        gap=round(GAP * RATE),
    )


def right(found: Sequence[Segment], truth: Sequence[Segment]) -> int:
    """How many segments found are right; each true one counts once."""
    rest = list(truth)
    count = 0
    for segment in found:
        match = next((t for t in rest if t.sign == segment.sign and iou(t, segment) >= IOU), None)
        if match:
            rest.remove(match)
            count += 1
    return count


def iou(one: Segment, other: Segment) -> float:
    """The time that both share, of the time of either."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return max(0, shared) / (one.end - one.start + other.end - other.start - max(0, shared))


def describers(recognizer: Recognizer, store: ClipStore, split: Split) -> dict[str, Describer]:
    """What its exported file answers, as a verified export guarantees, with its score and without.

    Args:
        recognizer: that was trained; its answers are fitted.
        store: the clips.
        split: of the training.
    """
    parts = [stratified_sample(store, rows, CALIBRATED_ON) for rows in (split.train, split.val)]
    training, validation = (
        Labelled([store.read(int(row)) for row in rows], store.sign[rows]) for rows in parts
    )
    recognizer.answers, _ = fit_answers(recognizer, training, validation, accepted_share(split))
    scored = torch_describer(recognizer)
    return {
        "with the score `unknown`": scored,
        "without it": lambda clip: {"outputs": scored(clip)["outputs"]},
    }


def measured(
    describe: Describer, store: ClipStore, rows: np.ndarray, kind: str, threshold: float
) -> dict[str, float]:
    """Precision, recall and F1 over recordings of all clips of these rows, in a random order."""
    order = np.random.default_rng(0).permutation(rows)
    window = int(np.median(store.frames))
    found_count = right_count = 0
    for number, some in enumerate(np.array_split(order, max(1, len(order) // CLIPS))):
        recording = joined(store, some, kind, seed=number)
        found = spotted(describe, recording, store, window, threshold)
        found_count += len(found)
        right_count += right(found, recording.truth)
    precision, recall = right_count / max(1, found_count), right_count / len(rows)
    return {
        "precision": precision,
        "recall": recall,
        "F1": 2 * precision * recall / max(precision + recall, 1e-9),
    }


def main() -> None:
    """Train on signers 1 and 2, choose nothing on signer 3, measure, print and write."""
    parser = options("spotting", __doc__)
    parser.add_argument("--sweep", action="store_true", help="all thresholds on validation clips")
    chosen = parser.parse_args()

    import asl
    from asl.runs.spot import THRESHOLD

    uri = f"tracking.uri=sqlite:///{chosen.folder / 'spotting.db'}"
    chosen.folder.mkdir(parents=True, exist_ok=True)
    epochs = f"trainer.max_epochs={1 if chosen.quick else 15}"
    plan = asl.plan("data=words15", "model=cnn", "split.test=[3]", epochs, uri)
    run = asl.train(plan)
    assert run.split is not None
    from asl.tracking.store import open_tracker

    recognizer = asl.load_recognizer(run.run_id, tracker=open_tracker(plan.tracking))
    store = asl.open_store(plan.data)
    files = describers(recognizer, store, run.split)
    if chosen.sweep:
        _sweep(files, store, run.split.val)
        return
    rows = [
        Row(f"{kind}, {name}: {measure}", figure, "")
        for kind in KINDS
        for name, describe in files.items()
        for measure, figure in measured(describe, store, run.split.test, kind, THRESHOLD).items()
    ]
    facts = {
        **machine(("numpy", "torch")),
        "recognizer": f"cnn, seed 0, {run.split.protocol}, accuracy on these clips alone "
        f"{run.metrics['test/accuracy']:.4f}",
        "recordings": f"{len(run.split.test)} clips, {CLIPS} a recording, pauses of 0.5 to 2 s",
        "threshold": str(THRESHOLD),
    }
    print(report(chosen.folder / "spotting", "asl spot, measured", facts, rows))


def _sweep(files: Mapping[str, Describer], store: ClipStore, rows: np.ndarray) -> None:
    for kind in KINDS:
        for name, describe in files.items():
            for threshold in THRESHOLDS:
                print(kind, name, threshold, measured(describe, store, rows, kind, threshold))


if __name__ == "__main__":
    main()
