"""Public repositories of recordings, and how their files become raw clips."""

import io
import re
import shutil
import zipfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import requests

from asl.clips.sources.base import Entry
from asl.clips.sources.gislr import CLIPS_FOLDER, write_clip, write_lists
from asl.errors import UserError
from asl.fetch.unzip import DamagedArchive, open_zip
from asl.landmarks import KINECT20, MEDIAPIPE_HOLISTIC

_PARTS = MEDIAPIPE_HOLISTIC.parts


class Repository:
    """A repository as a zip of GitHub's.

    GitHub guarantees the same files for a commit, but not the same zip, so the digest of the clips
    is pinned.
    """

    unpacked = int(0.2e9)
    archive = "repository.zip"

    def __init__(self, url: str, sha256: str) -> None:
        """The zip's address, and the `clips_digest` of its raw clips."""
        self.url, self.sha256 = url, sha256
        self.server = urlsplit(url).hostname or url

    def request(self) -> requests.PreparedRequest:
        """The request for the zip."""
        return requests.Request("GET", self.url).prepare()


class Words15(Repository):
    """traduttore/traduttore-model: words as MediaPipe Holistic landmarks, without the face.

    A frame is a file `MP_Data/WORD/CLIP/FRAME.npy` of 258 float64 values: 33 pose landmarks of x,
    y, z and visibility, then 21 of each hand, left first, of x, y, z; a part that was not
    detected is all zeros (`extract_keypoints` in its run_translation/RunPiModel.py).
    """

    _member = re.compile(r"(?:^|/)MP_Data/([^/]+)/(\d+)/(\d+)\.npy$")

    def __init__(
        self, url: str, sha256: str, *, words: Sequence[str], clips: int, frames: int, block: int
    ) -> None:
        """The words to take, the clips per word, and the frames per clip.

        Each `block` clips of a word are one recording block, which counts as a signer.
        """
        super().__init__(url, sha256)
        self.words, self.clips, self.frames, self.block = sorted(words), clips, frames, block

    def unpack(self, archive: Path, folder: Path) -> None:
        """Writes the clips in the competition's format.

        Raises:
            DamagedArchive: a frame is missing or not as described.
        """
        shutil.rmtree(folder, ignore_errors=True)
        entries = []
        with open_zip(archive) as opened:
            names = _by_key(opened, self._member)
            for clip, (label, word) in product(range(self.clips), enumerate(self.words)):
                signer = clip // self.block + 1
                sequence = signer * 100_000 + label * 1_000 + clip
                path = f"{CLIPS_FOLDER}/{signer}/{sequence}.parquet"
                frames = [
                    self._frame(opened, names, (word, str(clip), str(frame)))
                    for frame in range(self.frames)
                ]
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                write_clip(folder / path, np.stack(frames))
                entries.append(Entry(path, str(signer), str(sequence), word))
        entries.sort(key=lambda entry: int(entry.sequence_id))
        write_lists(folder, entries, self.words)

    def _frame(
        self, opened: zipfile.ZipFile, names: dict[tuple[str, ...], str], key: tuple[str, ...]
    ) -> np.ndarray:
        where = f"MP_Data/{'/'.join(key)}.npy"
        if key not in names:
            raise DamagedArchive(f"{opened.filename}: holds no {where}")
        try:
            values = np.load(io.BytesIO(opened.read(names[key])), allow_pickle=False)
            return _holistic(values)
        except ValueError as error:
            raise DamagedArchive(f"{opened.filename}: {where} is not as expected") from error


class Isl30(Repository):
    """prasunroy/sign-language: Kinect skeletons of Indian signs.

    A clip is a text file `SIGN_SIGNER_REPETITION.txt`: a line a frame, in it x, y, z in metres of
    20 joints. Signers count in the alphabetical order of their names.
    """

    _member = re.compile(r"(?:^|/)([a-z]+)_([a-z]+)_(\d)\.txt$", re.IGNORECASE)

    def __init__(self, url: str, sha256: str, *, clips: int, file: str) -> None:
        """The expected number of clips, and the name of the npz to write."""
        super().__init__(url, sha256)
        self.clips, self.file = clips, file

    def unpack(self, archive: Path, folder: Path) -> None:
        """Writes the clips as one npz of padded arrays.

        Raises:
            UserError: the zip has another number of clips.
            DamagedArchive: a clip is not as described.
        """
        with open_zip(archive) as opened:
            names = _by_key(opened, self._member)
            _check_count(archive, len(names), self.clips, "SIGN_SIGNER_REPETITION.txt")
            recordings = {
                (sign.lower(), signer.lower(), int(repetition)): _skeleton(opened, name)
                for (sign, signer, repetition), name in names.items()
            }
        keys = sorted(recordings)
        signers = sorted({signer for _, signer, _ in keys})
        frames = np.array([len(recordings[key]) for key in keys])
        padded = np.full((len(keys), frames.max(), KINECT20.size, 3), np.nan, np.float32)
        for row, key in enumerate(keys):
            padded[row, : frames[row]] = recordings[key]
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / self.file,
            X=padded,  # [clips, frames, joints, 3]
            length=frames,
            sign=np.array([sign for sign, _, _ in keys]),
            participant_id=np.array([signers.index(signer) + 1 for _, signer, _ in keys]),
            repetition=np.array([repetition for _, _, repetition in keys]),
        )


class Auslan95(Repository):
    """wmboult94/KernelProject: a copy of UCI's "Australian Sign Language signs", a glove's clips.

    Its `signs/SIGNER SESSION/SIGN NUMBER.sign` are read as they are by
    `asl.clips.sources.auslan.AuslanSource`.
    """

    unpacked = int(0.06e9)
    _member = re.compile(r"(?:^|/)signs/([a-z]+\d+)/([^/\\:]+\.sign)$")

    def __init__(self, url: str, sha256: str, *, files: int) -> None:
        """The expected number of files, those of the glove's calibration included."""
        super().__init__(url, sha256)
        self.files = files

    def unpack(self, archive: Path, folder: Path) -> None:
        """Writes the files.

        Raises:
            UserError: the zip has another number of files.
        """
        with open_zip(archive) as opened:
            names = _by_key(opened, self._member)
            _check_count(archive, len(names), self.files, "signs/SIGNER SESSION/SIGN NUMBER.sign")
            for (session, file), name in names.items():
                (folder / "signs" / session).mkdir(parents=True, exist_ok=True)
                (folder / "signs" / session / file).write_bytes(opened.read(name))


def _by_key(opened: zipfile.ZipFile, pattern: re.Pattern[str]) -> dict[tuple[str, ...], str]:
    matches = ((pattern.search(name), name) for name in opened.namelist())
    return {match.groups(): name for match, name in matches if match}


def _check_count(archive: Path, count: int, expected: int, form: str) -> None:
    if count != expected:
        raise UserError(
            f"{archive}: holds {count:,} of {expected:,} files named {form}; remove it to fetch it "
            "anew, or bring a zip that holds them all: download.archive=FILE.zip"
        )


def _holistic(values: np.ndarray) -> np.ndarray:
    """A frame [543, 3] from its 258 values; raises ValueError for any other number of them."""
    pose, hands = np.split(values.astype(np.float64), [33 * 4])
    left, right = np.split(hands.reshape(2 * 21, 3), 2)
    frame = np.full((MEDIAPIPE_HOLISTIC.size, 3), np.nan)
    parts = {"pose": pose.reshape(33, 4)[:, :3], "left_hand": left, "right_hand": right}
    for part, points in parts.items():
        if points.any():
            frame[_PARTS[part]] = points
    return frame


def _skeleton(opened: zipfile.ZipFile, name: str) -> np.ndarray:
    """A recording, float32 [frames, 20, 3]."""
    try:
        lines = np.loadtxt(io.StringIO(opened.read(name).decode()), dtype=np.float64, ndmin=2)
        return lines.reshape(len(lines), KINECT20.size, 3).astype(np.float32)
    except ValueError as error:
        raise DamagedArchive(f"{opened.filename}: {name} is not as expected") from error
