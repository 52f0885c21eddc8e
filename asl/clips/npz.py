"""Clips of one .npz file: an array of padded clips, and arrays of what they are."""

from functools import cached_property
from pathlib import Path

import numpy as np

from asl.clips.source import BadClip, Entry, Listing, Reading
from asl.clips.splits import sorted_signers
from asl.errors import UserError
from asl.landmarks import layout as layout_of


class NpzSource:
    """A .npz file with padded clips [clips, frames, landmarks, 3] under the name `clips`.

    Every other array has one value a clip: its number of frames, its sign, its signer, and what
    tells a signer's recordings of a sign apart. Labels count the signs in alphabetical order.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        file: str,
        layout: str,
        clips: str = "X",
        length: str = "length",
        sign: str = "sign",
        signer: str = "participant_id",
        repetition: str = "repetition",
    ) -> None:
        """Reads the signs of the file; the other arguments name its arrays.

        Raises:
            UserError: there is no such file, it lacks one of the arrays, or no such layout.
        """
        self.root, self.layout, self.file = Path(root), layout_of(layout).name, file
        if not (self.root / file).is_file():
            raise UserError(f"data.root={root}: holds no {file}")
        with np.load(self.root / file) as arrays:
            names = (clips, length, sign, signer, repetition)
            if missing := [name for name in names if name not in arrays.files]:
                there = ", ".join(arrays.files)
                raise UserError(f"{self.root / file}: has no array {missing[0]}, only {there}")
            self._length = arrays[length]
            self._sign = arrays[sign].astype(str)
            self._signer = arrays[signer].astype(str)
            self._repetition = arrays[repetition].astype(str)
        self._clips = clips
        self.signs = sorted_signers(self._sign)

    def listing(self) -> Listing:
        """Every clip of the file, in its order."""
        columns = zip(self._signer, self._repetition, self._sign, strict=True)
        entries = [
            Entry(self.file, str(signer), f"{sign}-{signer}-{repetition}", str(sign), row)
            for row, (signer, repetition, sign) in enumerate(columns)
        ]
        return Listing(entries, problems=[])

    def read(self, entry: Entry) -> Reading:
        """One clip, cut to its length.

        Raises:
            BadClip: it has no frame, more than the array holds, or an infinite coordinate.
        """
        frames = int(self._length[entry.row])
        padded = self._array[entry.row]  # [T, landmarks, 3]
        if not 0 < frames <= len(padded):
            raise BadClip(f"{entry.path}:{entry.row}", f"has {frames} frames of {len(padded)}")
        clip = padded[:frames].astype(np.float32)
        if np.isinf(clip).any():
            raise BadClip(f"{entry.path}:{entry.row}", "has an infinite coordinate")
        return Reading(clip)

    @cached_property
    def _array(self) -> np.ndarray:
        with np.load(self.root / self.file) as arrays:
            clips = arrays[self._clips]
        shape = (layout_of(self.layout).size, 3)
        if clips.ndim != 4 or clips.shape[2:] != shape:
            raise UserError(
                f"{self.root / self.file}: {self._clips} has the shape {clips.shape}, "
                f"but layout {self.layout} needs [clips, frames, {shape[0]}, {shape[1]}]"
            )
        return np.asarray(clips)
