"""`asl prepare` against other ways to read the same files."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from asl.clips.prepare import prepare
from asl.clips.sources.base import Entry
from asl.clips.sources.gislr import GislrSource, write_lists
from benchmarks import notebook, readers
from benchmarks.table import Row, at_least, rounds

OURS = "`asl prepare` is {}"


def packing(
    given: GislrSource, scratch: Path, workers: int, repeats: int, slow: int, times: int
) -> Iterator[Row]:
    """Rows of files read or packed a second.

    Args:
        given: the files.
        scratch: an empty folder.
        workers: processes, where there is more than one.
        repeats: how often the files are read in a round, so that starting up matters less.
        slow: files for what takes long.
        times: rounds.
    """
    source = _repeated(given, scratch / "raw", repeats)
    paths = [str(source.root / entry.path) for entry in source.listing().entries]
    readers.each(lambda path: Path(path).read_bytes(), paths)
    few, some = paths[:slow], paths[: slow * 10]
    number = count()

    def pack(workers: int) -> None:
        prepare(source, scratch / f"store{next(number)}", workers=workers, echo=lambda line: None)

    pooled = rounds(
        {
            "prepare": partial(pack, workers),
            "table": partial(readers.in_pool, readers.pyarrow_table, paths, workers),
            "file": partial(readers.in_pool, readers.pyarrow_file, paths, workers),
        },
        times,
    )
    alone = rounds(
        {
            "prepare": partial(pack, 1),
            "table": partial(readers.each, readers.pyarrow_table, paths),
            "file": partial(readers.each, readers.pyarrow_file, paths),
            "pandas": partial(readers.each, notebook.pandas_xyz, some),
            "pandas_all": partial(readers.each, notebook.pandas_all, some),
            "notebook": partial(notebook.steps, few, scratch),
        },
        times,
    )
    several = {name: len(paths) / seconds for name, seconds in pooled.items()}
    counts = {"pandas": len(some), "pandas_all": len(some), "notebook": len(few)}
    one = {name: counts.get(name, len(paths)) / seconds for name, seconds in alone.items()}

    def row(what: str, rates: dict[str, float], name: str, bound: float | None = None) -> Row:
        ratio = rates["prepare"] / rates[name]
        wanted = {} if bound is None else at_least(bound, ratio)
        return Row(what, rates[name], "clips/s", ratio, OURS, **wanted)

    both = f"{workers} processes"
    yield Row(f"`asl prepare`, {both}", several["prepare"], "clips/s")
    yield row(f"x, y, z by pyarrow's `read_table`, {both}", several, "table", 0.7)
    yield row(f"x, y, z by pyarrow's `ParquetFile.read`, {both}", several, "file")
    yield Row("`asl prepare`, 1 process", one["prepare"], "clips/s")
    yield row("x, y, z by pyarrow's `read_table`", one, "table")
    yield row("x, y, z by pyarrow's `ParquetFile.read`", one, "file")
    yield row("x, y, z by `pandas.read_parquet`", one, "pandas")
    yield row("all columns by `pandas.read_parquet`", one, "pandas_all")
    yield row("the steps of the 2023 notebook", one, "notebook", 100)


def _repeated(given: GislrSource, root: Path, times: int) -> GislrSource:
    """The given files several times over, as links."""
    linked = []
    entries = given.listing().entries
    for number in range(times):
        for entry in entries:
            path = Path(entry.path).with_stem(f"{number}-{Path(entry.path).stem}")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to((given.root / entry.path).resolve())
            linked.append(Entry(path.as_posix(), entry.signer, path.stem, entry.sign))
    write_lists(root, linked, given.signs)
    return GislrSource(root)
