"""Clips padded into one array, with arrays of their labels, signers and lengths."""

import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np

from asl.clips.names import sorted_names
from asl.clips.sources.array_file import ArrayFile, find_array
from asl.clips.sources.arrays import (
    NO_SIGNERS,
    UNKNOWN_SIGNER,
    ArrayForm,
    Axes,
    Landmarks,
    Signs,
    open_described,
    sign_names,
)
from asl.clips.sources.base import Entry, Listing, Problem, Reading
from asl.errors import UserError
from asl.landmarks import layout as layout_of

_MOST_BYTES = 1 << 30  # of names or numbers, one for each clip


def described_npz(root: str | Path, **overrides: Any) -> "NpzSource":
    """The NpzSource that `clips.yaml` in `root` describes; arguments override the file."""
    return open_described(NpzSource, root, overrides)


class NpzSource:
    """Clips that are padded to one length in one array.

    An array is named as in the .npz file, or as a .npy file beside it (`X.npy`). Clips are read
    one at a time. Arrays of Python objects are never unpickled.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        layout: str,
        file: str | None = None,
        axes: Axes = "clip, time, landmark, coordinate",
        coordinates: str = "xyz",
        landmarks: Landmarks | None = None,
        missing: float | str = "nan",
        clips: str = "X",
        length: str | None = None,
        sign: str = "sign",
        signer: str = "participant_id",
        repetition: str | None = None,
        signs: Signs | None = None,
    ) -> None:
        """Reads labels, signers and lengths, and the header of the array of clips.

        `layout`, `axes`, `coordinates`, `landmarks` and `missing` are those of `ArrayForm`; with
        the axis `clip` first, reading is fast.

        Args:
            root: the folder.
            layout: of the clips.
            file: the .npz file; None where every array is a .npy file.
            axes: of the array of clips.
            coordinates: of a landmark.
            landmarks: of a frame.
            missing: value of landmarks that were not detected.
            clips: name of the array of clips.
            length: name of the array of numbers of frames. Where None: `length` if it exists,
                otherwise frames at the end without any landmark are cut.
            sign: name of the array of labels, which are names or numbers.
            signer: name of the array of signers; `none` where they are unknown.
            repetition: name of the array that numbers a signer's recordings of a sign. Where
                None: `repetition` if it exists, otherwise the row of the clip.
            signs: names of the labels, in the order of the recognizer's outputs. Where None,
                labels are names, numbers first and in their order.

        Raises:
            UserError: a file or an array is missing or cannot be read, an array has another shape
                or type, or the description is inconsistent.
        """
        self.root, self.layout, self._file = Path(root), layout_of(layout).name, file
        if file and not (self.root / file).is_file():
            raise UserError(f"data.root={root}: holds no {file}")
        self._form = ArrayForm(layout, axes, coordinates, landmarks, missing, ("clip", "time"))
        self._array = self._locate(clips)
        if misfit := self._form.misfit(self._array.shape, self._array.dtype):
            raise UserError(f"{self._array.path}: {clips} {misfit}")
        if 0 in self._array.shape:
            raise UserError(f"{self._array.path}: {clips} has the shape {list(self._array.shape)}")
        self._length = self._lengths(length or self._if_present("length"))
        self._sign = self._column(sign)
        self._signer = None if signer == "none" else self._column(signer)
        repetition = repetition or self._if_present("repetition")
        self._repetition = self._column(repetition) if repetition else None
        self._known = {clips, length or "length", sign, signer}
        self._names = sign_names(signs)
        self.signs = list(self._names.values()) or sorted_names([s for s in self._sign if s])
        # Lengths may come from another file than the clips; prepare would not see it change.
        digest = None if self._length is None else zlib.crc32(self._length.tobytes())
        self.settings = self._form.settings | {"clips": clips, "length": digest}

    def listing(self) -> Listing:
        """All clips of the array in its order; one without a sign or a signer is a problem.

        Every further array with a name or a number for each clip is a column.
        """
        entries, problems = [], []
        path = self._array.path.relative_to(self.root).as_posix()
        for row, label in enumerate(self._sign):
            signer = self._signer[row] if self._signer else UNKNOWN_SIGNER
            sign = self._names.get(label) if self._names else label
            number = self._repetition[row] if self._repetition else row
            if not sign:
                reason = f"sign {label!r} is not in signs" if self._names else "has no sign"
                problems.append(Problem(f"{path}:{row}", reason))
            elif not signer:
                problems.append(Problem(f"{path}:{row}", "has no signer"))
            else:
                entries.append(Entry(path, signer, f"{sign}-{signer}-{number}", sign, row))
        if not self._signer:
            problems.append(Problem(path, NO_SIGNERS, kept=True))
        columns, unreadable = self._further_columns([entry.row for entry in entries])
        return Listing(entries, problems + unreadable, columns)

    def read(self, entry: Entry) -> Reading:
        """One clip, cut to its length.

        Raises:
            BadClip: it has no frame, more than the array holds, or an infinite coordinate.
        """
        name, row = f"{entry.path}:{entry.row}", entry.row
        frames = None if self._length is None else int(self._length[row])
        return self._form.read(name, self._array.read(row, self._axis, self._unpacked), frames)

    def _further_columns(self, rows: list[int]) -> tuple[dict[str, list[str]], list[Problem]]:
        """The further arrays with a value for each clip, at these rows; those that hold none."""
        columns, problems = {}, []
        beside = (path.name for path in self.root.glob("*.npy"))
        for name in self._members if self._file else sorted(beside):
            if name in self._known:
                continue
            try:
                if self._locate(name).shape != (self._array.shape[self._axis],):
                    continue
                values = _as_texts(self._load(name), name)
            except UserError as error:
                place = self._file or name
                reason = str(error).removeprefix(f"{self.root / place}: ")
                problems.append(Problem(place, f"{reason}; it is no column", kept=True))
                continue
            columns[name.removesuffix(".npy")] = [values[row] for row in rows]
        return columns, problems

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_unpacked"}

    @property
    def _axis(self) -> int:
        return self._form.axes.index("clip")

    @cached_property
    def _unpacked(self) -> IO[bytes] | None:
        """The temporary file of a compressed array; each process has its own."""
        return self._array.unpack() if self._array.compressed else None

    def _if_present(self, name: str) -> str | None:
        return name if name in self._members else None

    @cached_property
    def _members(self) -> list[str]:
        if self._file is None:
            return []
        try:
            with zipfile.ZipFile(self.root / self._file) as archive:
                names = [name.removesuffix(".npy") for name in archive.namelist()]
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{self.root / self._file}: is not a .npz file ({error})") from error
        return names

    def _place(self, name: str) -> tuple[Path, str | None]:
        """The file of an array, and the array's name in it where it is a .npz file."""
        if name.endswith(".npy"):
            if not (self.root / name).is_file():
                raise UserError(f"data.root={self.root}: holds no {name}")
            return self.root / name, None
        if self._file is None:
            raise UserError(f"{name}: say the .npz file that has this array, or name a .npy file")
        if name not in self._members:
            names = ", ".join(self._members)
            raise UserError(f"{self.root / self._file}: has no array {name}, only {names}")
        return self.root / self._file, f"{name}.npy"

    def _locate(self, name: str) -> ArrayFile:
        path, member = self._place(name)
        try:
            return find_array(path, member)
        except Exception as error:
            raise UserError(f"{path}: {name} cannot be read ({error})") from error

    def _load(self, name: str) -> np.ndarray:
        """A whole array with one value for each clip."""
        array, count = self._locate(name), self._array.shape[self._axis]
        if array.shape != (count,):
            shape = list(array.shape)
            raise UserError(
                f"{array.path}: {name} has the shape {shape}, but there are {count} clips"
            )
        if count * array.dtype.itemsize > _MOST_BYTES:
            size = f"{count * array.dtype.itemsize / 1e9:.1f} GB"
            raise UserError(f"{array.path}: {name} holds {size}, which no names or numbers need")
        if array.dtype.hasobject:
            raise UserError(
                f"{array.path}: {name} holds Python objects, which are never unpickled here; save "
                "it with .astype(str) or as numbers"
            )
        try:
            loaded = np.load(array.path, allow_pickle=False)
            if array.member is None:
                return np.asarray(loaded)
            with loaded:
                return np.asarray(loaded[name])
        except Exception as error:
            raise UserError(f"{array.path}: {name} cannot be read ({error})") from error

    def _lengths(self, name: str | None) -> np.ndarray | None:
        return None if name is None else _whole(self._load(name), name)

    def _column(self, name: str) -> list[str]:
        """An array with a name or a whole number for each clip, as text."""
        array = self._load(name)
        if array.dtype.kind not in "SU":
            array = _whole(array, name)
        return _as_texts(array, name)


def _as_texts(array: np.ndarray, name: str) -> list[str]:
    """Names, numbers or truth values as text: whole numbers without a point, NaN as empty."""
    if array.dtype.kind == "S":
        array = np.strings.decode(array, "utf-8", "replace")
    if array.dtype.kind == "f":
        whole = (array == np.round(array))[~np.isnan(array)].all()
        texts = [f"{value:.0f}" if whole else str(value) for value in array]
        return ["" if text == "nan" else text for text in texts]  # a name may be "nan"
    if array.dtype.kind not in "Uiub":
        raise UserError(f"{name} holds {array.dtype}, not names or numbers")
    return [str(value) for value in array]


def _whole(array: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers as int64."""
    whole = array.dtype.kind in "iu"
    if array.dtype.kind == "f":
        whole = bool((np.isfinite(array) & (array == np.round(array))).all())
    if not whole:
        raise UserError(f"{name} holds {array.dtype}, not names or whole numbers")
    return array.astype(np.int64)
