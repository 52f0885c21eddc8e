"""The sections of `asl eda` that draw clips: what is probably wrong, and one clip a sign."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from asl.clips.eda.page import Section, Strip, counted, strip
from asl.clips.problems import KINDS
from asl.clips.store import PROBLEMS, ClipStore

_DRAWN = 4  # findings of a kind
_MOST_SIGNS = 30  # in the gallery


def findings(found: pd.DataFrame, store: ClipStore, folder: Path) -> Section:
    """What is probably wrong, by kind, with the clips' names and pictures."""
    found.drop(columns=["row", "other"]).to_csv(folder / "suspects.csv", index=False)
    kinds = [(kind, found[found["kind"] == kind]) for kind in KINDS]
    parts = [
        Section(
            f"{kind[0].upper()}{kind[1:]}: {len(some):,}",
            f"{KINDS[kind]} {_across_signers(some, store)}".strip(),
            table=some[["clip", "sign", "signer", "what"]],
            strips=list(_drawn(some.head(_DRAWN), store)),
        )
        for kind, some in kinds
        if len(some)
    ]
    text = "" if parts else "None of these was found: " + ", ".join(KINDS) + "."
    return Section("What is probably wrong", text, files=["suspects.csv"], parts=parts)


def raw_files(store: ClipStore) -> Section | None:
    """What `asl prepare` said of the raw files; None where it said nothing."""
    path = store.directory / PROBLEMS
    table = pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else None
    if table is None or table.empty:
        return None
    skipped = int((table["kept"] == "no").sum())
    text = f"Skipped: {skipped:,}. Odd, and kept: {len(table) - skipped:,}."
    return Section(f"What asl prepare reported ({PROBLEMS})", text, table=table)


def gallery(store: ClipStore, rng: np.random.Generator) -> Section:
    """A clip of each sign, of as many signers as possible."""
    present = np.unique(store.sign)
    chosen = present if len(present) <= _MOST_SIGNS else rng.permutation(present)[:_MOST_SIGNS]
    strips = []
    for place, sign in enumerate(np.sort(chosen)):
        rows = np.flatnonzero(store.sign == sign)
        signers = np.unique(store.signer[rows])
        rows = rows[store.signer[rows] == signers[place % len(signers)]]
        row = int(rng.choice(rows))
        strips.append(strip(store, row, _caption(store, row)))
    which = "each sign" if len(chosen) == len(present) else f"{len(chosen)} of {len(present)} signs"
    text = f"A clip of {which}, eight frames of it from first to last."
    return Section("The signs", text, strips=strips)


def _across_signers(some: pd.DataFrame, store: ClipStore) -> str:
    """How many duplicates a split by signer cannot keep on one side; empty for other kinds."""
    duplicates = some[some["kind"] == "duplicate"]
    if duplicates.empty:
        return ""
    others = store.clip_signers[duplicates["other"].to_numpy()]
    across = int((duplicates["signer"].to_numpy(str) != others).sum())
    return f"Of another signer than the clip that they are like: {across:,} of {len(duplicates):,}."


def _drawn(some: pd.DataFrame, store: ClipStore) -> Iterator[Strip]:
    """Each clip, beside the one that it is compared with, if any."""
    for row, other in zip(some["row"].tolist(), some["other"].tolist(), strict=True):
        yield strip(store, row, _caption(store, row))
        if other >= 0:
            yield strip(store, other, f"{_caption(store, other)} (for comparison)")


def _caption(store: ClipStore, row: int) -> str:
    whose = f"{store.clip_signs[row]} · signer {store.clip_signers[row]}"
    length = counted(int(store.frames[row]), "frame")
    return f"{whose} · {store.clips['path'].iloc[row]} · {length}"
