"""The data engine measured: packing clips, opening them, loading batches.  `make bench`.

Everything is measured in one run on one machine, contestants in turn; figures are medians. Files
and stores are warm in the page cache, so code is compared, not disks; but packing writes.
"""

# Imports little, because the processes that read files import it again.
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.command import options

if TYPE_CHECKING:
    from asl.clips.prepare import Dtype
    from asl.clips.sources.gislr import GislrSource
    from benchmarks.table import Row

PACKAGES = ("numpy", "pyarrow", "pandas", "torch", "pytorch-lightning")
WORKERS = 2
STORES: "list[tuple[Dtype, str]]" = [
    ("float32", "all"),
    ("float16", "all"),
    ("float16", "gislr118"),
]


class Size(NamedTuple):
    """How much is measured.

    Attributes:
        repeats: how often the given files are read in a round.
        slow: files for what takes long.
        rounds: of what takes seconds.
        clips: of the simulated competition.
        files: of them that are no links.
        reads: random clips.
        batches: that are loaded, and that are trained on.
    """

    repeats: int
    slow: int
    rounds: int
    clips: int
    files: int
    reads: int
    batches: int


FULL = Size(repeats=4, slow=40, rounds=3, clips=94_477, files=600, reads=2_000, batches=50)
QUICK = Size(repeats=1, slow=2, rounds=1, clips=300, files=12, reads=50, batches=3)


def main() -> None:
    """Measure, print and write."""
    parser = options("clips", __doc__)
    parser.add_argument("--reuse", action="store_true", help="the last run's store; do not pack")
    chosen = parser.parse_args()
    size: Size = QUICK if chosen.quick else FULL
    chosen.folder.mkdir(parents=True, exist_ok=True)

    from benchmarks.table import machine, report

    given, about = _given(chosen.folder)
    rows = list(_packing(given, chosen.folder, size)) if not chosen.reuse else []
    rows += _competition(given, chosen.folder, size, chosen.reuse)
    facts = {
        **machine(PACKAGES),
        "files": f"{about}; the start of processes is included for all",
        "competition": f"SIMULATED: {size.clips:,} clips by 21 signers, links to {size.files} "
        "files strung together from the above to the competition's lengths",
        "figures": f"medians of at least {size.rounds} rounds, warm in the page cache; "
        "loading with one thread, training with all",
    }
    out = chosen.folder / ("loading" if chosen.reuse else "clips")
    print(report(out, "The data engine, measured", facts, rows))
    print(f"written to {out}.md and {out}.json")


def _given(folder: Path) -> "tuple[GislrSource, str]":
    from asl.clips.sources.gislr import GislrSource
    from asl.clips.synthetic.generator import synthetic_source
    from asl.paths import raw_data

    real = Path(raw_data("words15"))
    if real.exists():
        return GislrSource(real), "words15, real clips of 20 frames without faces"
    return synthetic_source(
        folder / "synthetic", signs=10, signers=10, clips_per_sign=2
    ), "GENERATED clips, for want of words15"


def _packing(given: "GislrSource", folder: Path, size: Size) -> "Iterator[Row]":
    from benchmarks.packing import packing

    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        yield from packing(given, Path(scratch), WORKERS, size.repeats, size.slow, size.rounds)


def _competition(given: "GislrSource", folder: Path, size: Size, reuse: bool) -> "Iterator[Row]":
    """Everything at the size of the competition."""
    import torch

    from asl.clips.prepare import prepare
    from asl.clips.store import SHARDS, ClipStore
    from benchmarks import loading
    from benchmarks.competition import simulate

    root, directory = folder / f"competition-{size.clips}", folder / f"store-{size.clips}"
    _enough_room(folder, size.clips)
    simulate(root, given, size.clips, size.files, _participants())
    if not reuse:
        shutil.rmtree(directory, ignore_errors=True)
        yield from _prepared(root, directory)
    torch.set_num_threads(1)  # as in a loading process; and threads wait for a busy core
    store = ClipStore.open(directory)
    yield from loading.opening(directory)
    for shard in sorted((directory / SHARDS).iterdir()):
        shard.read_bytes()  # warms the page cache, where it is large enough
    yield from loading.random_reads(store, size.reads, size.rounds)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for dtype, keep in STORES:
            small = prepare(
                given, Path(scratch) / dtype / keep, dtype=dtype, keep=keep, workers=1, echo=_quiet
            )
            yield from loading.against_memory(small, 3 * size.rounds)
        yield from loading.ragged_against_memory(store, size.batches, size.rounds)
        yield from loading.training(root, directory, Path(scratch), size.batches, size.rounds)


def _prepared(root: Path, directory: Path) -> "Iterator[Row]":
    from benchmarks.processes import in_own_process
    from benchmarks.table import Row, below

    given = {"root": str(root), "store": str(directory), "workers": WORKERS}
    first, again = in_own_process("prepare", **given), in_own_process("prepare", **given)
    stored = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    clips = int(first["clips"])
    what = f"`asl prepare` of {clips:,} clips into {stored / 1e9:.1f} GB, {WORKERS} processes"
    yield Row(what, first["seconds"], "s")
    yield Row("its rate", clips / first["seconds"], "clips/s")
    memory = first["worker_memory"] / 1e6
    yield Row("its largest worker's memory", memory, "MB", **below(1000, memory))
    yield Row("the memory of the process above them", first["memory"] / 1e6, "MB")
    yield Row("`asl prepare` again, nothing changed", again["seconds"], "s")


def _participants() -> Path | None:
    from asl.paths import raw_data

    path = Path(raw_data("gislr_sample")) / "participants.csv"
    return path if path.exists() else None


def _enough_room(folder: Path, clips: int) -> None:
    needed, free = clips * 150_000, shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(f"{folder}: {needed / 1e9:.0f} GB are needed, {free / 1e9:.0f} are free")


def _quiet(line: str) -> None:
    pass


if __name__ == "__main__":
    main()
