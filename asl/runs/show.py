"""One clip of a data set, drawn, with what a recognizer says of its growing beginning."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asl.clips.film import Film, Guess, check_suffix, write_film
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.paths import PROJECT, as_file_name
from asl.runs.data import check_layout, open_store
from asl.runs.plan import DataPlan
from asl.runtime.predict import predict

if TYPE_CHECKING:
    from asl.runs.load import LoadedRun

_TOP = 5  # signs of an answer that are shown at every moment
_ALL = 1_000_000  # signs
_MOST_ANSWERS = 200  # of a long clip fewer than one every few frames


def show(
    name: str,
    data: DataPlan | None,
    out: Path | None = None,
    *,
    run: "LoadedRun | None" = None,
    model: Path | None = None,
    every: int = 2,
) -> Path:
    """Draw a clip.

    Args:
        name: of the clip, see `asl.clips.store.ClipStore.find`.
        data: which data set; None for that of the run.
        out: a .html, .png, .gif or .pose; data/clips/NAME.html where None.
        run: whose top signs are shown.
        model: likewise, a .tflite.
        every: frames from one answer of the recognizer to the next.

    Returns:
        The file.

    Raises:
        UserError: there is no such clip, or the recognizer does not read such clips.
    """
    if run and model:
        raise UserError("show takes run=RUN_ID or model=FILE.tflite, and not both")
    if out:
        check_suffix(out)
    plan = data or (run.data if run else None)
    if plan is None:
        raise UserError("show needs the clip's data set: data=…")
    store = open_store(plan)
    row = store.find(name)
    clip, path = store.read(row), str(store.clips["path"].iloc[row])
    lengths = _lengths(len(clip), every)
    guesses: Sequence[Guess] = ()
    if run:
        guesses = _of_run(run, store, clip, lengths)
    if model:
        guesses = _of_file(model, clip, lengths)
    title = f"{store.clip_signs[row]} · signer {store.clip_signers[row]} · {path}"
    out = out or PROJECT / "data" / "clips" / f"{as_file_name(store.name)}-{row}.html"
    write_film(Film(clip, store.layout, title, guesses), out)
    return out


def _lengths(frames: int, every: int) -> list[int]:
    """How many frames of the clip the recognizer sees, at last all."""
    step = max(every, -(-frames // _MOST_ANSWERS))
    return sorted({*range(step, frames, step), frames})


def _of_run(
    run: "LoadedRun", store: ClipStore, clip: np.ndarray, lengths: Sequence[int]
) -> list[Guess]:
    import torch  # takes seconds, and a clip alone needs none

    recognizer = run.recognizer.eval()
    check_layout(f"run={run.run.name}", recognizer.landmarks.layout.name, store)
    store.rows(recognizer.landmarks.indices)  # refuses a store that lacks some
    with torch.inference_mode():
        answers = [
            recognizer.recognise(torch.from_numpy(clip[:length])).tolist() for length in lengths
        ]
    signs = recognizer.signs
    return _guesses(
        {n: dict(zip(signs, a, strict=True)) for n, a in zip(lengths, answers, strict=True)}
    )


def _of_file(model: Path, clip: np.ndarray, lengths: Sequence[int]) -> list[Guess]:
    """The answers of a .tflite, which is opened in a process of its own: it may be a stranger's."""
    with tempfile.TemporaryDirectory() as folder:
        files = {length: Path(folder) / f"{length}.npy" for length in lengths}
        for length, file in files.items():
            np.save(file, clip[:length])
        predictions, problems = predict(model, list(files.values()), _ALL)
    for reason in problems.values():
        raise UserError(f"model={model}: of this clip, {reason}")
    return _guesses({length: dict(predictions[str(file)]) for length, file in files.items()})


def _guesses(answers: Mapping[int, Mapping[str, float]]) -> list[Guess]:
    """Each answer's probabilities of all signs that are among the best of any answer.

    Args:
        answers: probability by sign, by the number of frames.
    """
    best = {
        sign
        for answer in answers.values()
        for sign in sorted(answer, key=lambda sign: -answer[sign])[:_TOP]
    }
    return [
        Guess(length, sorted(((s, answer[s]) for s in best), key=lambda pair: -pair[1]))
        for length, answer in answers.items()
    ]
