"""Exploratory data analysis: a page on a data set, with the clips that are worth a look."""

from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from asl.clips.eda import counts, drawn, measured
from asl.clips.eda.measured import detected_parts, signing_hand
from asl.clips.eda.page import render
from asl.clips.measures import measure
from asl.clips.problems import KINDS, problems_among, sampled_rows
from asl.clips.store import ClipStore
from asl.files import replacing_in

__all__ = ["detected_parts", "signing_hand", "write_report"]

PAGE = "report.html"
_STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "font.size": 9,
}


def write_report(store: ClipStore, directory: Path | str, seed: int = 0) -> Path:
    """Writes report.html, which brings its figures with it, and tables beside it (.csv).

    Counts are of all clips. What is measured of clips, and the problems that are found so, are of a
    random sample of at most 5,000.

    Args:
        store: the data set.
        directory: of the report; made if need be, files of the same names are replaced.
        seed: of the sample, and of the clips that are drawn.

    Returns:
        The path of report.html.
    """
    directory = Path(directory)
    clips = store.clips.assign(sign=store.clip_signs, signer=store.clip_signers)
    rows = sampled_rows(store, seed)
    measures = measure(store, rows)
    found = problems_among(measures)
    with replacing_in(directory) as folder, matplotlib.rc_context(_STYLE):
        sections = [
            drawn.findings(found, store, folder),
            drawn.raw_files(store),
            counts.signs(clips, store, folder),
            counts.signers(clips, store, folder),
            counts.lengths(clips, store, folder),
            counts.columns(store, folder),
            measured.missing(measures, store, folder),
            measured.hands(measures, store, folder),
            measured.coordinates(measures, store, folder),
            measured.drift(measures, store, folder),
            measured.likeness(measures, store),
            drawn.gallery(store, np.random.default_rng(seed)),
        ]
        page = render(
            title=f"What is in {store.name}",
            claim=_claim(found, len(rows), len(store)),
            facts=_facts(store),
            sections=[section for section in sections if section],
        )
        (folder / PAGE).write_text(page, encoding="utf-8")
    return directory / PAGE


def _facts(store: ClipStore) -> dict[str, str]:
    return {
        "clips": f"{len(store):,}",
        "signs": f"{len(store.signs):,}",
        "signers": f"{len(store.signers):,}",
        "frames": f"{store.frames.sum():,}",
        "layout": f"{store.layout.name} ({store.layout.size} landmarks)",
        "fingerprint": store.fingerprint,
    }


def _claim(found: pd.DataFrame, measured_clips: int, clips: int) -> str:
    numbers = Counter(found["kind"])
    kinds = [f"{numbers[kind]:,} {kind}" for kind in KINDS if numbers[kind]]
    wrong = found["clip"].nunique()
    which = f"{wrong:,} clips are" if wrong != 1 else "1 clip is"
    claim = f"{which} probably wrong: {', '.join(kinds)}." if kinds else "No clip looks wrong."
    if measured_clips < clips:
        claim += f" Looked at: a random sample of {measured_clips:,} of the {clips:,} clips."
    return claim
