"""One array of a .npz or .npy file, read a part at a time where it lies.

`np.savez` stores its members as they are; those of `np.savez_compressed` cannot be read from the
middle, and are unpacked to a temporary file first.
"""

import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from asl.errors import UserError


class ArrayFile(NamedTuple):
    """How an array lies on disk.

    Attributes:
        path: the file.
        member: the array's name in a .npz file; None for a .npy file.
        packed: whether the member is compressed.
        offset: where the numbers begin, in the file, or in the member if it is packed.
        shape: of the array.
        dtype: of its numbers.
        order: C or F.
    """

    path: Path
    member: str | None
    packed: bool
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"]

    def read(self, row: int, axis: int, unpacked: IO[bytes] | None) -> np.ndarray:
        """A copy of one place on an axis; other places are not read.

        Args:
            row: the place.
            axis: the axis.
            unpacked: what `unpack` made, where the array is packed.
        """
        # Mapped only for now: the pages that are touched count as memory of this process.
        file, offset = (unpacked, 0) if unpacked else (self.path, self.offset)
        whole = np.memmap(file, self.dtype, "r", offset, self.shape, self.order)
        return np.array(whole[(slice(None),) * axis + (row,)])

    def unpack(self) -> IO[bytes]:
        """The array's numbers in a temporary file, which is gone when the process is.

        Raises:
            UserError: the member is damaged, or the disk is full.
        """
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the source
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(str(self.member)) as member:
                member.read(self.offset)
                shutil.copyfileobj(member, file, 1 << 20)
                file.flush()
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            where = tempfile.gettempdir()
            raise UserError(f"{self.path}: cannot be unpacked into {where} ({error})") from error
        return file


def find_array(path: Path, member: str | None) -> ArrayFile:
    """Finds a member of a .npz file, or the array of a .npy file (None), without reading it.

    Raises:
        Exception: the file is damaged; headers are read as Python, and fail in as many ways.
    """
    if member is None:
        with path.open("rb") as file:
            shape, order, dtype = _header(file)
            array = ArrayFile(path, None, False, file.tell(), shape, dtype, order)
        there = path.stat().st_size
    else:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            shape, order, dtype = _header(file)
            info, offset = archive.getinfo(member), file.tell()
        array = ArrayFile(path, member, True, offset, shape, dtype, order)
        there = info.file_size
    if array.offset + math.prod(shape) * dtype.itemsize > there:
        raise ValueError("it is cut short")
    if member is None or info.compress_type != zipfile.ZIP_STORED:
        return array
    return array._replace(packed=False, offset=offset + _start(path, info))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, "F" if fortran else "C", dtype


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: behind a header of its own, which ends in two free texts."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return int(info.header_offset) + 30 + int(name) + int(extra)
