"""From a store to batches, and to the first step of a training."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asl.clips.datamodule import BatchRows, ClipBatches
from asl.clips.store import ClipStore
from asl.landmarks import landmark_set
from benchmarks.processes import in_own_process
from benchmarks.table import Row, below, rounds

BATCH = 64
LANDMARKS = ("hands_pose", "gislr118")


def opening(directory: Path) -> Iterator[Row]:
    """How long it takes until a store is open."""
    seconds = rounds({"open": partial(ClipStore.open, directory)}, 5)["open"]
    clips = len(ClipStore.open(directory))
    yield Row(
        f"opening a store of {clips:,} clips", seconds * 1e3, "ms", **below(200, seconds * 1e3)
    )


def random_reads(store: ClipStore, reads: int, times: int) -> Iterator[Row]:
    """Clips here and there, one at a time: of the median length, then of any."""
    rng = np.random.default_rng(0)
    median = int(np.median(store.frames))
    of_median = np.flatnonzero(store.frames == median)
    some = np.array(landmark_set("gislr118").own)
    ways: dict[str, Callable[[int], np.ndarray]] = {
        "mapped": store.view,
        "118 landmarks in float32": lambda row: store.read(row, some),
        "all landmarks in float32": store.read,
    }
    for what, read in ways.items():
        micro = _micro(read, rng.choice(of_median, reads).tolist(), times)
        yield Row(
            f"a random clip of {median} frames, the median: {what}", micro, "µs", **below(50, micro)
        )
    picked = rng.integers(len(store), size=reads)
    frames = f"{store.frames[picked].mean():.0f} on average"
    micro = _micro(store.read, picked.tolist(), times)
    yield Row(f"a random clip of any length ({frames}): all landmarks in float32", micro, "µs")


def _micro(read: Callable[[int], np.ndarray], rows: list[int], times: int) -> float:
    _every(read, rows)  # warms the page cache
    return rounds({"read": partial(_every, read, rows)}, times)["read"] / len(rows) * 1e6


def against_memory(store: ClipStore, times: int) -> Iterator[Row]:
    """Batches of clips of one length against indexing a float32 tensor that holds them in RAM."""
    rows = np.flatnonzero(store.frames == np.median(store.frames))
    batches = list(BatchRows(rows, BATCH, seed=0))
    kept = "" if store.landmarks is None else f" of {len(store.landmarks)} landmarks"
    for name in LANDMARKS if store.landmarks is None else LANDMARKS[-1:]:
        ours = ClipBatches(store, landmark_set(name))
        tensor = torch.zeros(len(store), *ours[rows[:1]].clips.shape[1:])
        tensor[torch.from_numpy(rows)] = ours[rows].clips
        other: Callable[[np.ndarray], Tensor] = lambda batch, t=tensor: t[torch.from_numpy(batch)]  # type: ignore[misc]  # noqa: E731
        what = f"batches of {BATCH} clips, {name}, {store.dtype} store{kept}"
        yield _compared(what, ours, other, batches, times, "{} a float32 tensor in RAM, indexed")


def ragged_against_memory(store: ClipStore, count: int, times: int) -> Iterator[Row]:
    """Batches of clips of like length against padding float32 tensors that are in RAM."""
    order = BatchRows(np.arange(len(store)), BATCH, seed=0, lengths=store.frames)
    batches = list(order)[:count]
    for name in LANDMARKS:
        ours = ClipBatches(store, landmark_set(name))
        clips = {row: ours[np.array([row])].clips[0] for batch in batches for row in batch.tolist()}

        def padded(batch: np.ndarray, clips: dict[int, Tensor] = clips) -> Tensor:
            return pad_sequence([clips[row] for row in batch.tolist()], True, torch.nan)

        what = f"batches of {BATCH} clips of like length, {name}, {store.dtype} store"
        yield _compared(what, ours, padded, batches, times, "{} float32 tensors in RAM, padded")


def _compared(
    what: str,
    ours: ClipBatches,
    other: Callable[[np.ndarray], Tensor],
    batches: Sequence[np.ndarray],
    times: int,
    says: str,
) -> Row:
    taken = rounds(
        {
            "mapped": partial(_every, ours.__getitem__, batches),
            "memory": partial(_every, other, batches),
        },
        times,
    )
    rate = len(batches) / taken["mapped"]
    return Row(what, rate, "batches/s", taken["memory"] / taken["mapped"], says)


def training(root: Path, directory: Path, scratch: Path, steps: int, times: int) -> Iterator[Row]:
    """`asl train data=gislr` from its launch to some steps later."""
    overrides = ["data=gislr", f"data.root={root}", f"data.store={directory}", "test=false"]
    overrides += [f"tracking.uri=sqlite:///{scratch}/mlflow.db"]

    runs: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    for bucket_by_length in [True, False] * times:
        alike = f"data.bucket_by_length={str(bucket_by_length).lower()}"
        run = in_own_process("train", steps=steps, overrides=[*overrides, alike])
        runs[bucket_by_length].append(run)
    found, mixed = (
        {name: float(np.median([run[name] for run in runs[alike]])) for name in runs[alike][0]}
        for alike in (True, False)
    )
    first, share = found["to_first_step"], 100 * found["loading"] / found["step"]
    yield Row("launch to first training step, imports aside", first, "s", **below(10, first))
    yield Row("the imports", found["imports"], "s")
    yield Row("loading's share of an epoch, default model", share, "%", **below(10, share))
    yield Row(
        f"a training step on {BATCH} clips of like length",
        found["step"] * 1e3,
        "ms",
        mixed["step"] / found["step"],
        "clips of any lengths take {}",
    )


def _every(act: Callable[..., object], values: Sequence[object]) -> None:
    for value in values:
        act(value)
