"""From a config to the parts that several commands need."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from asl.config import PROJECT, build
from asl.errors import UserError

if TYPE_CHECKING:
    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.landmarks import LandmarkSet
    from asl.tracking.store import Tracker


def open_store(data: DictConfig, workers: int | None = None) -> "ClipStore":
    """The packed clips of `data=`, packed now where they are not yet or no longer up to date.

    Args:
        data: the composed `data` group.
        workers: processes that pack; every core where None.
    """
    from asl.clips.prepare import prepare

    source = build(data.source)
    return prepare(
        source,
        Path(data.store),
        dtype=data.dtype,
        keep=data.keep,
        on_problem=data.on_problem,
        workers=workers,
        name=data.name,
    )


def make_split(split: DictConfig, store: "ClipStore") -> "Split":
    """Divide a store's clips as `split=` says."""
    made: Split = build(split, signs=store.clip_signs, signers=store.clip_signers)
    return made


def fitting_landmarks(name: str, store: "ClipStore") -> "LandmarkSet":
    """The landmark set, if it belongs to the store's layout and the store holds it.

    Raises:
        UserError: it does not; the sentence lists those that do.
    """
    from asl.landmarks import LANDMARK_SETS, landmark_set

    chosen = landmark_set(name)
    if chosen.layout.name != store.layout.name:
        fitting = [n for n, s in LANDMARK_SETS.items() if s.layout.name == store.layout.name]
        raise UserError(
            f"landmarks={name}: the clips of this data set have the layout {store.layout.name}; "
            f"choose from {', '.join(fitting)}"
        )
    store.rows(chosen.indices)
    return chosen


def tracker(tracking: Mapping[str, Any]) -> "Tracker":
    """The MLflow store of `tracking.uri`."""
    from asl.tracking.store import open_tracker

    return open_tracker(tracking["uri"], tracking["experiment"], PROJECT / "mlruns")
