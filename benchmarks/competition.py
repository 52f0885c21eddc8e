"""A folder as large as the competition, of files that are like the competition's.

94,477 clips of 250 signs by 21 signers take 57 GB of parquet files. Here all but a few hundred are
hard links: to a reader they are files, on the disk they are not. The hands and the bodies are those
of the given clips, strung together to the competition's lengths; the faces are noise, because the
given clips have none, and files without faces would be read too fast.
"""

import csv
import os
import shutil
from pathlib import Path

import numpy as np

from asl.clips.sources.base import Entry, Source
from asl.clips.sources.gislr import CLIPS_FOLDER, TRAIN_CSV, write_clip, write_lists

CLIPS, SIGNS, SIGNERS = 94_477, 250, 21

# Share of the competition's clips with at most so many frames: median 22, 5.6 % above 128,
# 0.3 % above 256, the longest 537, as its third-placed team and others published.
_SHARES, _FRAMES = (0.0, 0.5, 0.944, 0.997, 1.0), (2, 22, 128, 256, 537)
_FACE = slice(0, 468)


def simulate(
    root: Path, given: Source, clips: int, files: int, participants: Path | None = None
) -> None:
    """Makes the folder, if it is not there yet.

    Args:
        root: the folder to make.
        given: real clips to build files of.
        clips: rows of train.csv.
        files: different files; the others are links to them.
        participants: csv of participant and sequence ids; simulated ones where None.
    """
    if (root / TRAIN_CSV).exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    rng = np.random.default_rng(0)
    pool = _pool(root / "files", given, files, rng)
    signs = rng.integers(SIGNS, size=clips)
    entries = []
    for number, (signer, sequence) in enumerate(_people(participants, clips, rng)):
        path = f"{CLIPS_FOLDER}/{signer}/{sequence}.parquet"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        os.link(pool[rng.integers(files)], root / path)
        entries.append(Entry(path, signer, sequence, _sign(signs[number])))
    # Last: train.csv marks a finished data set.
    write_lists(root, entries, [_sign(number) for number in range(SIGNS)])


def lengths(count: int) -> np.ndarray:
    """As many lengths, in frames, as evenly spread over the competition's as can be."""
    shares = (np.arange(count) + 0.5) / count
    return np.exp(np.interp(shares, _SHARES, np.log(_FRAMES))).round().astype(int)


def _sign(number: int) -> str:
    return f"sign{number:03d}"


def _people(participants: Path | None, clips: int, rng: np.random.Generator) -> list[list[str]]:
    if participants is None:
        signers = rng.integers(SIGNERS, size=clips)
        return [[str(signer), str(1000 + number)] for number, signer in enumerate(signers)]
    with participants.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return (
        rows
        if clips >= len(rows)
        else [rows[i] for i in sorted(rng.permutation(len(rows))[:clips])]
    )


def _pool(folder: Path, given: Source, files: int, rng: np.random.Generator) -> list[Path]:
    folder.mkdir(parents=True)
    entries = given.listing().entries
    face = rng.random((468, 3))
    paths = []
    for number, frames in enumerate(lengths(files)):
        parts = [given.read(entries[rng.integers(len(entries))]).clip]
        while sum(map(len, parts)) < frames:
            parts.append(given.read(entries[rng.integers(len(entries))]).clip)
        clip = np.concatenate(parts)[:frames]
        clip[:, _FACE] = face + rng.normal(0, 0.002, (frames, 468, 3))
        paths.append(folder / f"{number}.parquet")
        write_clip(paths[-1], clip, first_frame=int(rng.integers(100)))
    return paths
