"""Reading the same files with pyarrow alone: the limit of what `asl prepare` can reach."""

import multiprocessing
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

XYZ = ["x", "y", "z"]


def pyarrow_table(path: str) -> None:
    """x, y and z by pyarrow's usual function."""
    pq.read_table(path, columns=XYZ)


def pyarrow_file(path: str) -> None:
    """x, y and z by pyarrow's faster way: one file, one thread, no data set around it."""
    with pa.OSFile(path) as file:
        pq.ParquetFile(file, pre_buffer=False).read(columns=XYZ, use_threads=False)


def each(read: Callable[[str], object], paths: Iterable[str]) -> None:
    """Read the files one by one in this process."""
    for path in paths:
        read(path)


def in_pool(read: Callable[[str], object], paths: Sequence[str], workers: int) -> None:
    """Read the files in so many processes, started for the purpose as `asl prepare` starts its."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(read, paths, chunksize=64):
            pass
