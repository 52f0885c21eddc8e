"""Partial reads from one array of a .npz or .npy file.

Members written by `np.savez` can be memory-mapped within the .npz file. Those written by
`np.savez_compressed` cannot be read from the middle, and are unpacked to a temporary file first.
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
    """Where and how an array is stored.

    Attributes:
        path: the file.
        member: name of the array in a .npz file; None for a .npy file.
        compressed: whether the member is compressed.
        offset: of the first number, in bytes; in the member where it is compressed, otherwise in
            the file.
        shape: of the array.
        dtype: of its numbers.
        order: C or F.
    """

    path: Path
    member: str | None
    compressed: bool
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"]

    def read(self, row: int, axis: int, unpacked: IO[bytes] | None) -> np.ndarray:
        """Copies one index of an axis without reading the others.

        Args:
            row: index on the axis.
            axis: of the array.
            unpacked: result of `unpack`; None where the array is not compressed.
        """
        # Mapped anew for each read: touched pages count as memory of this process.
        file, offset = (unpacked, 0) if unpacked else (self.path, self.offset)
        whole = np.memmap(file, self.dtype, "r", offset, self.shape, self.order)
        return np.array(whole[(slice(None),) * axis + (row,)])

    def unpack(self) -> IO[bytes]:
        """The array's numbers in a temporary file, deleted when the process ends.

        Raises:
            UserError: the member is damaged, or the disk is full.
        """
        where = tempfile.gettempdir()
        size = math.prod(self.shape) * self.dtype.itemsize
        if shutil.disk_usage(where).free < size:
            room = f"{size / 1e9:.1f} GB, which {where} has no room for"
            raise UserError(f"{self.path}: {self.member} unpacks to {room}")
        file = tempfile.TemporaryFile()  # noqa: SIM115 - used for the life of the source
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(str(self.member)) as member:
                member.read(self.offset)
                while size and (block := member.read(min(size, 1 << 20))):
                    size -= file.write(block)
                file.flush()
            if size:
                raise EOFError("it is cut short")
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{self.path}: cannot be unpacked into {where} ({error})") from error
        return file


def find_array(path: Path, member: str | None) -> ArrayFile:
    """Locates a member of a .npz file, or the array of a .npy file (None), by its header alone.

    Raises:
        Exception: the file is damaged; numpy evaluates headers as Python, so any type is possible.
    """
    if member is None:
        with path.open("rb") as file:
            shape, order, dtype = _header(file)
            array = ArrayFile(path, None, False, file.tell(), shape, dtype, order)
        size = path.stat().st_size
    else:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            shape, order, dtype = _header(file)
            info, offset = archive.getinfo(member), file.tell()
        array = ArrayFile(path, member, True, offset, shape, dtype, order)
        size = info.file_size
    if array.offset + math.prod(shape) * dtype.itemsize > size:
        raise ValueError("it is cut short")
    if member is None or info.compress_type != zipfile.ZIP_STORED:
        return array
    stored = array._replace(compressed=False, offset=offset + _data_offset(path, info))
    if stored.offset + math.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise ValueError("it is cut short")
    return stored


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, "F" if fortran else "C", dtype


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Offset of a member's bytes: after its local header, which ends in name and extra field."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return int(info.header_offset) + 30 + int(name) + int(extra)
