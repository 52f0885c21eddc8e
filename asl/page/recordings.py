"""Clips that the page records, in a folder in the competition's layout.

A clip's file is whole before the list names it, and the list is replaced as a whole: whatever ends
the process, every clip that was said to be saved is there.
"""

import csv
import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.clips.sources.gislr import (
    CLIPS_FOLDER,
    CSV_COLUMNS,
    SIGN_MAP,
    TRAIN_CSV,
    read_sign_map,
    write_clip,
)
from asl.errors import UserError
from asl.files import replacing
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.paths import as_file_name

MOST_FRAMES = 900
"""Of a clip: half a minute."""

_NUMBER = re.compile(r"\d{1,18}")  # of a clip; numbers of thousands of digits are no names of files


class Recordings:
    """One signer's clips in a data set, which other signers and signs may be in already.

    Args:
        root: the folder; made with the first clip.
        signer: whose clips are added.
        signs: that may be added.

    Raises:
        UserError: a name is empty or stands there twice, or the folder holds another kind of data.
    """

    def __init__(self, root: Path, signer: str, signs: Sequence[str]) -> None:
        if not signs or len(set(signs)) < len(signs) or not all(each.strip() for each in signs):
            raise UserError(f"signs=[{','.join(signs)}]: name each sign once: signs=[hello,thanks]")
        if not signer.strip():
            raise UserError("signer=: name who signs: signer=anna")
        self.root, self.signer, self.signs = root, signer, list(signs)
        self._lock = threading.Lock()
        self._columns, self._rows = _read_list(root)
        self._labels = read_sign_map(root / SIGN_MAP) if (root / SIGN_MAP).exists() else []

    def clips(self) -> list[dict[str, Any]]:
        """The signer's clips of these signs, in the order of recording: id and sign of each."""
        with self._lock:
            return [_shown(r) for r in self._rows if self._is_mine(r) and r["sign"] in self.signs]

    def add(self, sign: str, clip: np.ndarray) -> dict[str, Any]:
        """Save a clip.

        Args:
            sign: one of `signs`.
            clip: float32 [n, 543, 3], NaN = not detected.

        Returns:
            Its id and sign.

        Raises:
            ValueError: what is wrong with it, as a sentence.
        """
        if sign not in self.signs:
            raise ValueError(f"{sign} is none of the signs that are recorded")
        _check(clip)
        with self._lock:
            number = 1 + max((int(r["sequence_id"]) for r in self._rows), default=0)
            taken = {row["path"] for row in self._rows}
            while (place := self._place(number)) in taken:
                number += 1
            if not self._is_inside(place):
                raise ValueError(f"{place} leads out of the folder")
            row = dict(zip(CSV_COLUMNS, [place, self.signer, str(number), sign], strict=True))
            path = self.root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                write_clip(file, clip)
            self._add_label(sign)
            self._write_list([*self._rows, row])
            return _shown(row)

    def remove(self, number: int) -> None:
        """Delete one of the signer's clips; raises KeyError where there is none of this id."""
        with self._lock:
            mine = [r for r in self._rows if self._is_mine(r) and int(r["sequence_id"]) == number]
            if not mine:
                raise KeyError(number)
            self._write_list([row for row in self._rows if row is not mine[0]])
            place = mine[0]["path"]
            # The list may be a stranger's.
            if place.endswith(".parquet") and self._is_inside(place):
                (self.root / place).unlink(missing_ok=True)

    def _is_mine(self, row: dict[str, str]) -> bool:
        return row["participant_id"] == self.signer

    def _place(self, number: int) -> str:
        return f"{CLIPS_FOLDER}/{as_file_name(self.signer)}/{number}.parquet"

    def _is_inside(self, place: str) -> bool:
        """Whether a path in the folder leads, by its links too, to a place in the folder."""
        return (self.root / place).resolve().is_relative_to(self.root.resolve())

    def _add_label(self, sign: str) -> None:
        if sign not in self._labels:
            labels = [*self._labels, sign]
            with replacing(self.root / SIGN_MAP) as file:
                text = json.dumps({name: label for label, name in enumerate(labels)})
                file.write_text(text, encoding="utf-8")
            self._labels = labels

    def _write_list(self, rows: list[dict[str, str]]) -> None:
        with (
            replacing(self.root / TRAIN_CSV) as path,
            path.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
        self._rows = rows


def _read_list(root: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows of train.csv, further columns too."""
    path = root / TRAIN_CSV
    if not path.exists():
        if root.exists() and any(not each.name.startswith(".") for each in root.iterdir()):
            raise UserError(f"out={root}: holds something else than clips; name another folder")
        return CSV_COLUMNS, []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="")
            rows = list(reader)
        columns = list(reader.fieldnames or [])
        whole = [row for row in rows if all(isinstance(row[c], str) for c in CSV_COLUMNS)]
        numbered = all(_NUMBER.fullmatch(row["sequence_id"]) for row in whole)
        if len(whole) < len(rows) or not numbered or any("" in row for row in rows):
            raise KeyError(TRAIN_CSV)
    except (KeyError, ValueError, csv.Error) as error:
        names = ", ".join(CSV_COLUMNS)
        raise UserError(f"{path}: must have the columns {names}, ids as whole numbers") from error
    return columns, rows


def _check(clip: np.ndarray) -> None:
    if clip.dtype != np.float32 or clip.shape[1:] != (MEDIAPIPE_HOLISTIC.size, 3):
        raise ValueError(f"a clip is float32 [n, {MEDIAPIPE_HOLISTIC.size}, 3]")
    if not 0 < len(clip) <= MOST_FRAMES:
        raise ValueError(f"a clip has 1 to {MOST_FRAMES} frames")
    if np.isinf(clip).any():
        raise ValueError("a coordinate is infinite")
    if np.isnan(clip).all():
        raise ValueError("nothing was detected in it")


def _shown(row: dict[str, str]) -> dict[str, Any]:
    return {"id": int(row["sequence_id"]), "sign": row["sign"]}
