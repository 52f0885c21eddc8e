"""The clips of a plan: their store, packed when it has to be, and their split."""

from collections.abc import Callable

from asl.clips.prepare import prepare
from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.landmarks import LANDMARK_SETS, landmark_set
from asl.runs.plan import DataPlan


def open_store(data: DataPlan, workers: int | None = None) -> ClipStore:
    """Open the packed clips of a data set, packing them first where they are not up to date.

    Args:
        data: which, and how.
        workers: processes that pack; every core where None.

    Raises:
        UserError: there is no such data set, or nothing in it can be read.
    """
    return prepare(
        data.source(),
        data.store,
        dtype=data.dtype,
        keep=data.keep,
        on_problem=data.on_problem,
        workers=workers,
        name=data.name,
    )


def make_split(split: Callable[..., Split], store: ClipStore) -> Split:
    """Divide a store's clips.

    Args:
        split: one of `asl.clips.splits` with its options, `partial(signer_holdout, test=["3"])`.
        store: the clips.

    Raises:
        UserError: the split cannot be made of these signers.
    """
    return split(signs=store.clip_signs, signers=store.clip_signers)


def check_landmarks(name: str, store: ClipStore) -> None:
    """Raises UserError unless the store's layout has these landmarks and the store holds them."""
    chosen = landmark_set(name)
    if chosen.layout.name != store.layout.name:
        fitting = [n for n, s in LANDMARK_SETS.items() if s.layout.name == store.layout.name]
        raise UserError(
            f"landmarks={name}: the clips of this data set have the layout {store.layout.name}; "
            f"choose from {', '.join(fitting)}"
        )
    store.rows(chosen.indices)
