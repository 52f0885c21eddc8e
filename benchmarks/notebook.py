"""What data frames make of the same files: pandas' reader, and the steps of a notebook."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

XYZ = ["x", "y", "z"]
PARTS = ["left_hand", "pose", "right_hand"]


def pandas_xyz(path: str) -> None:
    """x, y and z by pandas."""
    pd.read_parquet(path, columns=XYZ)


def pandas_all(path: str) -> None:
    """All columns by pandas."""
    pd.read_parquet(path)


def steps(paths: Sequence[str], folder: Path) -> np.ndarray:
    """The steps of a student notebook of 2023, written anew after their description.

    Hands and pose of each file, scaled to 0..1 by the file's own extremes, go to one csv file, with
    a log of finished files. That is read again; missing values become 0; each frame becomes 225
    numbers, each clip its frame-to-frame differences, padded or cut to its last 20.

    Returns:
        [clips, 20, 225].
    """
    table, log = folder / "notebook.csv", folder / "notebook.log"
    table.unlink(missing_ok=True)
    log.write_text("", encoding="utf-8")
    for path in paths:
        if path in log.read_text(encoding="utf-8").splitlines():
            continue
        clip = pd.read_parquet(path)
        clip = clip[clip["type"].isin(PARTS)].copy()
        low, high = clip[XYZ].min(), clip[XYZ].max()
        clip[XYZ] = (clip[XYZ] - low) / (high - low)
        clip.insert(0, "path", path)
        clip.to_csv(table, mode="a", header=not table.exists(), index=False)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{path}\n")
    rows = pd.read_csv(table)
    rows[XYZ] = rows[XYZ].fillna(0)
    return np.stack([_differences(rows[rows["path"] == path]) for path in paths])


def _differences(clip: pd.DataFrame, last: int = 20) -> np.ndarray:
    frames = []
    for number in sorted(clip["frame"].unique()):
        frame = clip[clip["frame"] == number]
        values = [frame[frame["type"] == part][XYZ].to_numpy().ravel() for part in PARTS]
        frames.append(np.concatenate(values))
    change = np.diff(np.stack(frames), axis=0)[-last:]
    return np.pad(change, [(0, last - len(change)), (0, 0)])
