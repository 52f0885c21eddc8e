"""A tracked run opened again: its recognizer, its clips, and what it was trained on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asl.clips.split import Split
from asl.clips.store import ClipStore, is_store_folder
from asl.errors import UserError
from asl.recognizer.recognizer import Recognizer
from asl.runs.data import make_split, open_store
from asl.runs.plan import DataPlan, current_config, data_plan
from asl.targets import factory
from asl.tracking.find import download, named_run, run_config
from asl.tracking.found import CHECKPOINT_REMOVED, SPLIT_BY_DIGEST, FoundRun
from asl.tracking.store import Tracker
from asl.training.checkpoint import load_recognizer


class LoadedRun(NamedTuple):
    """A run with the recognizer of its kept epoch, or of an ensemble.

    Attributes:
        run: as tracked.
        recognizer: in evaluation mode.
        data: the clips that it was trained on.
        split: makes the split that it was trained with.
        split_config: that split as plain values.
    """

    run: FoundRun
    recognizer: Recognizer
    data: DataPlan
    split: Callable[..., Split]
    split_config: dict[str, object]

    def clips(self) -> tuple[ClipStore, Split]:
        """The clips that the run was trained on, and their split."""
        store = open_store(self.data)
        return store, make_split(self.split, store)


def load_run(
    name: str,
    tracker: Tracker,
    *,
    metric: str | None = None,
    data: str | None = None,
    split: str | None = None,
) -> LoadedRun:
    """Load a run.

    Args:
        name: id or name of the run; `best` is the best by `metric` within `data` and `split`.
        tracker: the store.
        metric: what best means; by default validation F1, else test F1.
        data: name of the data set.
        split: kind of the split.

    Raises:
        UserError: there is no such run, or it kept no checkpoint.
    """
    return load(named_run(name, tracker, metric, data, split), tracker)


def load(run: FoundRun, tracker: Tracker) -> LoadedRun:
    """Load a run that was found; raises UserError where it kept no checkpoint."""
    with reading_config(run):
        config = current_config(run_config(tracker, run.run_id))
        data, split = data_plan(config["data"]), factory(config["split"], "split")
    recognizer = load_recognizer(kept_checkpoint(run, tracker))
    return LoadedRun(run, recognizer, data, split, config["split"])


@contextmanager
def reading_config(run: FoundRun) -> Iterator[None]:
    """Turns errors in a run's config.yaml into a UserError: the file may come from anywhere."""
    try:
        yield
    except UserError as error:
        raise UserError(f"run={run.name}: in its config.yaml, {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"run={run.name}: its config.yaml lacks or misspells {error}") from error


def kept_checkpoint(run: FoundRun, tracker: Tracker) -> Path:
    """The checkpoint that a run kept; raises UserError where it kept none."""
    if reason := run.tags.get(CHECKPOINT_REMOVED):
        raise UserError(f"run={run.name}: `asl clean` removed its checkpoint ({reason})")
    return download(tracker, run.run_id, "checkpoints/best.ckpt")


# --- leakage ------------------------------------------------------------------------------------


def training_split(loaded: LoadedRun, store: ClipStore) -> Split | None:
    """The split that a run was trained with; None where it had other clips than these."""
    if loaded.run.tags["data.fingerprint"] != store.fingerprint:
        return None
    split = make_split(loaded.split, store)
    return split if split.by_digest == loaded.run.tags.get(SPLIT_BY_DIGEST, "") else None


def overlap(one: np.ndarray, other: np.ndarray, names: np.ndarray | None = None) -> np.ndarray:
    """The rows in both, or with `names` (one a clip) the names in both, each once."""
    return np.intersect1d(one, other) if names is None else np.intersect1d(names[one], names[other])


def leakage(loaded: LoadedRun, store: ClipStore, rows: np.ndarray, part: str) -> list[str] | None:
    """What a run has seen in training of some clips and of their signers, a phrase each.

    Args:
        loaded: the run.
        store: the clips.
        rows: those in question.
        part: of the split that they are; that validation clips chose the epoch is not a leak.

    Returns:
        None where it cannot be known, as the run had other clips, none of which is among these.
    """
    trained = training_split(loaded, store)
    if trained is None:
        same = copies(loaded, store, rows)
        return [f"{same:,} of these {len(rows):,} clips, by their content"] if same else None
    leaks, signers = [], store.clip_signers
    if len(clips := overlap(trained.train, rows)):
        leaks.append(f"{len(clips):,} of these {len(rows):,} clips")
    elif len(names := overlap(trained.train, rows, signers)):
        leaks.append(f"other clips of signers {', '.join(names)}")
    if part != "val" and len(names := overlap(trained.val, rows, signers)):
        leaks.append(f"clips of signers {', '.join(names)}, which chose the epoch")
    return leaks


def copies(loaded: LoadedRun, store: ClipStore, rows: np.ndarray) -> int | None:
    """How many clips of another data set have the content of one that a run was trained on.

    Args:
        loaded: the run.
        store: the other clips.
        rows: those in question.

    Returns:
        None where it cannot be known, as the run's clips are no longer at hand.
    """
    if not is_store_folder(loaded.data.store):
        return None
    mine = ClipStore.open(loaded.data.store)
    if mine.fingerprint != loaded.run.tags["data.fingerprint"]:
        return None
    train = make_split(loaded.split, mine).train
    alike = train[np.isin(mine.frames[train], store.frames[rows])]
    known = {mine.digest(int(row)) for row in alike}
    return sum(store.digest(int(row)) in known for row in rows)
