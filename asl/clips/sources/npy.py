"""Clips in one .npy file each, or with a .npy file for each frame."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from asl.clips.sources.arrays import ArrayForm, Axes, Landmarks, Signs, open_described
from asl.clips.sources.base import BadClip, Entry, Listing, Reading
from asl.clips.sources.files import ClipFiles
from asl.landmarks import layout as layout_of


def described_npy(root: str | Path, **overrides: Any) -> "NpySource":
    """The NpySource that `clips.yaml` in `root` describes; arguments override the file."""
    return open_described(NpySource, root, overrides)


class NpySource:
    """A folder of .npy files: one for each clip, or a folder of frames for each clip.

    Sign and signer come from the paths or from a csv file. Arrays of Python objects are never
    unpickled.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        layout: str,
        files: str,
        axes: Axes | None = None,
        coordinates: str = "xyz",
        landmarks: Landmarks | None = None,
        missing: float | str = "nan",
        path: str | None = None,
        sign: str | None = None,
        signer: str | None = None,
        signs: Signs | None = None,
    ) -> None:
        """Checks the description and lists the files.

        `layout`, `axes`, `coordinates`, `landmarks` and `missing` are those of `ArrayForm`;
        `files`, `path`, `sign`, `signer` and `signs` those of `ClipFiles`, with .npy files.

        Args:
            root: the folder.
            layout: of the clips.
            files: pattern of the paths, or a csv file.
            axes: of an array. Where None: `time, landmark, coordinate`, without `time` where a
                file is a frame.
            coordinates: of a landmark.
            landmarks: of a frame.
            missing: value of landmarks that were not detected.
            path: the csv's column of paths.
            sign: the csv's column of labels.
            signer: the csv's column of signers.
            signs: names of the labels.

        Raises:
            UserError: the folder is missing, the description is inconsistent, or what `listing`
                raises.
        """
        self.root, self.layout = Path(root), layout_of(layout).name
        self._files = ClipFiles(
            root, files, ".npy", path=path, sign=sign, signer=signer, signs=signs
        )
        self._by_frame = self._files.frame is not None
        outer = () if self._by_frame else ("time",)
        axes = axes or [*outer, "landmark", "coordinate"]
        self._form = ArrayForm(layout, axes, coordinates, landmarks, missing, outer)
        self.settings = self._form.settings | {"frames": files if self._by_frame else None}
        self.signs: list[str] = []
        self.listing()

    def listing(self) -> Listing:
        """All clips, as `ClipFiles.listing` finds them; sets `signs`."""
        listing, self.signs = self._files.listing()
        return listing

    def read(self, entry: Entry) -> Reading:
        """One clip.

        Raises:
            BadClip: the file is missing, cannot be read or does not fit the description; no frame
                has a landmark; a coordinate is infinite.
            OSError: a fault of the disk or the system.
        """
        if self._by_frame:
            return self._read_frames(entry)
        array = _load(self.root / entry.path, entry.path)
        if misfit := self._form.misfit(array.shape, array.dtype):
            raise BadClip(entry.path, misfit)
        return self._form.read(entry.path, array)

    def _read_frames(self, entry: Entry) -> Reading:
        numbers = self._frame_numbers(entry)
        frames = []
        for name in (numbers[number] for number in sorted(numbers)):
            frame = _load(self.root / entry.path / name, entry.path, f"{name} ")
            if misfit := self._form.misfit(frame.shape, frame.dtype):
                raise BadClip(entry.path, f"{name} {misfit}")
            frames.append(frame)
        reading = self._form.read(entry.path, np.stack(frames))
        gaps = set(range(min(numbers), max(numbers) + 1)) - set(numbers)
        if gaps and not reading.note:
            return reading._replace(note=f"frame {min(gaps)} is missing")
        return reading

    def _frame_numbers(self, entry: Entry) -> dict[int, str]:
        """File names of a clip's frames by their numbers."""
        assert self._files.frame is not None
        numbers: dict[int, str] = {}
        for name in sorted(os.listdir(self.root / entry.path)):
            if match := self._files.frame.fullmatch(name):
                number = int(match["frame"])
                if number in numbers:
                    raise BadClip(entry.path, f"{numbers[number]} and {name} are the same frame")
                numbers[number] = name
        return numbers


def _load(path: Path, clip: str, what: str = "") -> np.ndarray:
    """A memory map of a .npy file, so that a damaged header cannot cause a huge allocation."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise BadClip(clip, f"{what}there is no such file") from error
    except Exception as error:  # numpy evaluates headers as Python, so any type is possible
        if getattr(error, "errno", None):  # a fault of the disk or the system
            raise
        reason = "is not a whole .npy file of numbers"
        if "object" in str(error) or "pickle" in str(error):
            reason = "holds Python objects, which are never unpickled here"
        raise BadClip(clip, f"{what}{reason}") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise BadClip(clip, f"{what}is a .npz file, not a .npy file")
    return np.asarray(array)
