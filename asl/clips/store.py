"""The ClipStore: all clips of a data set, packed once and read from a memory map.

On disk a store is a folder:

    manifest.json    format, name, layout, dtype, landmarks, signs, signers, fingerprint, the names
                     of the other files
    clips-*.arrow    a row for each clip: path (`FILE:ROW` where a file holds several), sign,
                     signer, sequence_id, frames, shard, start, and the columns of the recordings
    shards/*.npy     [frames of all its clips, landmarks, channels], float32 or float16
    shards/*.json    the raw files of each shard; only `prepare` reads these
    problems.csv     problems of the raw files

`prepare` writes the manifest last: a folder without one is no finished store, and an update
replaces the old store in one step. Who has opened the old version keeps it: its table and shards
stay beside the new ones until nobody reads them (`asl.clips.readers`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import xxhash

from asl.clips.readers import hold
from asl.errors import UserError
from asl.landmarks import Layout, layout

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 2
MANIFEST, PROBLEMS, SHARDS, LOCK = "manifest.json", "problems.csv", "shards", ".lock"
_MISSING = "is missing or cut short (`asl prepare` repairs it)"
_NUMBERS = ("sign", "signer", "frames", "shard", "start")
_TEXTS = ("path", "sequence_id")


@dataclass(frozen=True, eq=False)
class ClipStore:
    """Packed clips, one per row.

    Attributes:
        directory: of the store.
        name: of the data set.
        layout: of the clips' landmark axis.
        dtype: of the coordinates on disk; `read` gives float32.
        landmarks: raw rows on disk in their order; None for all of the layout.
        signs: names in the order of their labels.
        signers: names in the order of their indices.
        fingerprint: hash of the settings, the signs, and all clips' names and content.
        sign: label of each clip, int64 [clips].
        signer: index into `signers`, int64 [clips].
        frames: length of each clip, int64 [clips].
    """

    directory: Path
    name: str
    layout: Layout
    dtype: str
    landmarks: np.ndarray | None
    signs: list[str]
    signers: list[str]
    fingerprint: str
    sign: np.ndarray
    signer: np.ndarray
    frames: np.ndarray
    _table: pa.Table = field(repr=False)
    _manifest: dict[str, Any] = field(repr=False)
    _held: BinaryIO = field(repr=False)
    _shard: np.ndarray = field(repr=False)
    _start: np.ndarray = field(repr=False)
    _maps: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, directory: Path | str) -> "ClipStore":
        """Opens the store in a folder, without reading clips.

        Raises:
            UserError: there is no finished store, or a shard is missing or cut short.
        """
        directory = Path(directory)
        while manifest := read_manifest(directory):
            if held := hold(directory / manifest["table"]):
                return cls._open_version(directory, manifest, held)
            if read_manifest(directory) == manifest:  # otherwise it was replaced between the two
                raise UserError(f"{directory / manifest['table']}: {_MISSING}")
        raise UserError(f"{directory}: holds no finished clip store (`asl prepare` makes one)")

    @classmethod
    def _reopen(cls, directory: Path, manifest: dict[str, Any]) -> "ClipStore":
        """Opens a version that another process has open."""
        if held := hold(directory / manifest["table"]):
            return cls._open_version(directory, manifest, held)
        raise UserError(f"{directory}: the clips have been packed anew; start again")

    @classmethod
    def _open_version(
        cls, directory: Path, manifest: dict[str, Any], held: BinaryIO
    ) -> "ClipStore":
        for name, size in manifest["shards"].items():
            shard = directory / SHARDS / name
            if not shard.is_file() or shard.stat().st_size != size:
                raise UserError(f"{shard}: {_MISSING}")
        table = pa.ipc.open_file(pa.memory_map(str(directory / manifest["table"]))).read_all()
        numbers = {name: _numbers(table[name]) for name in _NUMBERS}
        return cls(
            directory=directory,
            name=manifest["name"],
            layout=layout(manifest["layout"]),
            dtype=manifest["dtype"],
            landmarks=np.array(manifest["landmarks"]) if manifest["landmarks"] else None,
            signs=manifest["signs"],
            signers=manifest["signers"],
            fingerprint=manifest["fingerprint"],
            sign=numbers["sign"],
            signer=numbers["signer"],
            frames=numbers["frames"],
            _table=table,
            _manifest=manifest,
            _held=held,
            _shard=numbers["shard"],
            _start=numbers["start"],
        )

    def __len__(self) -> int:
        return len(self.frames)

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would copy the content of memory maps.
        return ClipStore._reopen, (self.directory, self._manifest)

    @cached_property
    def clips(self) -> "pd.DataFrame":
        """A row for each clip: path, sign, signer (both as numbers), sequence_id, frames."""
        columns = ["path", "sign", "signer", "sequence_id", "frames"]
        return self._table.select(columns).to_pandas()

    @cached_property
    def clip_signs(self) -> np.ndarray:
        """Name of each clip's sign, str [clips]."""
        return np.array(self.signs, dtype=str)[self.sign]

    @cached_property
    def clip_signers(self) -> np.ndarray:
        """Name of each clip's signer, str [clips]."""
        return np.array(self.signers, dtype=str)[self.signer]

    def find(self, name: str) -> int:
        """The row of a clip.

        Args:
            name: the clip's name, as predictions have it; its file without the folders, with or
                without the suffix; or its row.

        Raises:
            UserError: no clip is called so, or several are.
        """
        paths = self._table["path"].to_pylist()
        found: list[int] = []
        for part in (str, lambda path: Path(path).name, lambda path: Path(path).stem):
            found = found or [row for row, path in enumerate(paths) if part(path) == name]
        if not found and name.isdecimal() and int(name) < len(paths):
            found = [int(name)]
        if len(found) == 1:
            return found[0]
        example = paths[found[0] if found else 0]
        raise UserError(
            f"clip={name}: {len(found) or 'no'} clips of {self.name} are called so; type a name "
            f"such as {example}, or a row from 0 to {len(paths) - 1:,}"
        )

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """What else is said of the clips: by the column's name its texts, object [clips].

        `?` where nothing is said. Empty in a store that was packed before columns were kept.
        """
        names = [name for name in self._table.column_names if name not in (*_NUMBERS, *_TEXTS)]
        return {name: np.array(self._table[name].to_pylist(), dtype=object) for name in names}

    def rows(self, landmarks: Sequence[int] | np.ndarray) -> np.ndarray:
        """Indices of raw landmarks on the landmark axis of `view`, int64 [landmarks].

        Raises:
            UserError: the store does not hold one of them.
        """
        if self.landmarks is None:
            return np.asarray(landmarks)
        places = np.full(self.layout.size, -1)
        places[self.landmarks] = np.arange(len(self.landmarks))
        rows = places[np.asarray(landmarks)]
        if (rows < 0).any():
            raise UserError(
                f"{self.directory}: holds {len(self.landmarks)} of {self.layout.size} landmarks, "
                f"and {(rows < 0).sum()} of those asked for are not among them "
                "(data.keep=all packs them too)"
            )
        return rows

    def view(self, i: int) -> np.ndarray:
        """Clip i in the memory map, [frames, stored landmarks, channels] in `dtype`."""
        shard, start = self._shard[i], self._start[i]
        return self._map(int(shard))[start : start + self.frames[i]]

    def digest(self, i: int) -> str:
        """A hash of clip i, the same for the same content however it is packed."""
        with np.errstate(over="ignore"):  # too large for float16 becomes infinite
            clip = self.read(i).astype(np.float16)
        clip[np.isnan(clip)] = np.nan  # there are many NaNs, of different bits
        return xxhash.xxh3_128_hexdigest(clip.data)

    def read(self, i: int, landmarks: np.ndarray | None = None) -> np.ndarray:
        """Clip i, float32 [frames, landmarks, channels], NaN = not detected.

        Args:
            i: row of the store.
            landmarks: raw rows to read; None for all of the layout, with NaN for those that the
                store lacks.
        """
        clip = self.view(i)
        if landmarks is not None:
            return _as_float32(clip.take(self.rows(landmarks), axis=1))
        if self.landmarks is None:
            return _as_float32(clip)
        shape = (len(clip), self.layout.size, len(self.layout.channels))
        whole = np.full(shape, np.nan, np.float32)
        whole[:, self.landmarks] = clip
        return whole

    def _map(self, shard: int) -> np.ndarray:
        if shard not in self._maps:
            path = self.directory / SHARDS / list(self._manifest["shards"])[shard]
            # Viewed as ndarray, because slicing an np.memmap costs more than the rest of a read.
            self._maps[shard] = np.load(path, mmap_mode="r").view(np.ndarray)
        return self._maps[shard]


# All float16 numbers as float32; a look-up is three times as fast as numpy's conversion.
_FLOAT32 = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def _as_float32(clip: np.ndarray) -> np.ndarray:
    """A copy in float32."""
    if clip.dtype == np.float32:
        return clip.copy()
    return _FLOAT32.take(clip.view(np.uint16), mode="clip")


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    # Not to_numpy, which imports pandas first.
    return np.from_dlpack(column.combine_chunks())


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """The manifest of a store; None where there is none of this format."""
    manifest = _any_manifest(directory)
    return manifest if manifest and manifest["format"] == FORMAT else None


def is_store(directory: Path) -> bool:
    """Whether a folder is a finished store, of this format or another one."""
    return _any_manifest(directory) is not None


def is_store_folder(directory: Path) -> bool:
    """Whether a folder is a store, finished or not."""
    return (directory / LOCK).exists() and (directory / SHARDS).is_dir()


def _any_manifest(directory: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    # Other programs have a manifest.json, too.
    ours = isinstance(manifest, dict) and {"format", "fingerprint", "signs"} <= manifest.keys()
    return manifest if ours else None
