"""The clips of a plan: their store, packed when it has to be, and their split."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from asl.clips.prepare import prepare
from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.landmarks import LANDMARK_SETS, landmark_set
from asl.runs.plan import DataPlan

UnknownSigns = Literal["refuse", "leave_out"]


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
        refuse_odd=data.refuse_odd,
        columns=data.columns,
        workers=workers,
        name=data.name,
    )


def make_split(split: Callable[..., Split], store: ClipStore) -> Split:
    """Divide a store's clips.

    Args:
        split: one of `asl.clips.splits` with its options, `partial(signer_holdout, test=["3"])`.
        store: the clips.

    Raises:
        UserError: the split cannot be made of these signers and columns.
    """
    clips: dict[str, Any] = {"signs": store.clip_signs, "signers": store.clip_signers}
    if "columns" in inspect.signature(split).parameters:
        clips["columns"] = store.columns
    return split(**clips)


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


def check_trainable(store: ClipStore, split: Split) -> None:
    """Raises UserError unless there are two signs or more, and training clips of two."""
    trained = np.unique(store.clip_signs[split.train]).tolist()
    for signs, which in ((store.signs, "the"), (trained, "the training")):
        if len(signs) < 2:
            raise UserError(
                f"data={store.name}: {which} clips are all of the sign {signs[0]}; a recognizer "
                "tells two signs apart, or more"
            )


def check_layout(name: str, layout: str, store: ClipStore) -> None:
    """Raises UserError unless a store's clips have the layout that a recognizer reads.

    Args:
        name: of the recognizer, `run=NAME` say.
        layout: that it reads.
        store: the clips.
    """
    if layout != store.layout.name:
        raise UserError(
            f"{name}: reads clips of the layout {layout}, and those of {store.name} have "
            f"{store.layout.name}"
        )


class SignMap(NamedTuple):
    """How a recognizer's outputs and a store's signs belong together.

    Attributes:
        outputs: the recognizer's outputs in the order of `names`.
        names: signs that are told apart.
        labels: for each sign of the store its index in `names`; -1 where the recognizer does not
            know it.
    """

    outputs: list[int]
    names: list[str]
    labels: np.ndarray

    def known(self, store: ClipStore, rows: np.ndarray) -> np.ndarray:
        """Those of the rows whose sign the recognizer knows."""
        return rows[self.labels[store.sign[rows]] >= 0]


def outputs_of_signs(
    name: str,
    signs: Sequence[str],
    store: ClipStore,
    spelling: Mapping[str, str] | None = None,
    unknown_signs: UnknownSigns = "refuse",
) -> SignMap:
    """The outputs of a recognizer that are the store's signs, by their names.

    Args:
        name: of the recognizer, `run=NAME` say.
        signs: in the order of its outputs.
        store: the clips.
        spelling: names of the store's signs to names of the recognizer's.
        unknown_signs: whether signs that the recognizer does not know are refused or left out.

    Raises:
        UserError: the store has other signs than the recognizer, or none that it knows.
    """
    spelled = [(spelling or {}).get(sign, sign) for sign in store.signs]
    if sorted(signs) == sorted(spelled):
        return SignMap([signs.index(s) for s in spelled], store.signs, np.arange(len(spelled)))
    if unknown_signs == "leave_out" and set(signs) & set(spelled):
        labels = [signs.index(sign) if sign in signs else -1 for sign in spelled]
        return SignMap(list(range(len(signs))), list(signs), np.array(labels))
    only = {
        "it alone has": [sign for sign in signs if sign not in spelled],
        "these clips alone have": [sign for sign in spelled if sign not in signs],
    }
    differences = [f"{who} {listed(some)}" for who, some in only.items() if some]
    what = "; ".join(differences) or f"{len(signs)} and {len(store.signs)}"
    raise UserError(f"{name}: its signs are not those of {store.name} ({what})")


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names, and whether there are more."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
