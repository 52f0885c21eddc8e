"""Batches of raw landmarks, copied from the store's memory map."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from asl.clips.empty_frames import EmptyFrames, without_empty_frames
from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.landmarks import LandmarkSet

# Batches that are sorted by length together: more need less padding, fewer mix better. torchtext's
# `pool` takes 100; transformers' LengthGroupedSampler takes 50 and at most a quarter of the clips,
# as here.
_WINDOW, _MIN_WINDOWS = 50, 4
# Up to this number of runs of neighbouring landmarks, slices are faster than fancy indexing.
_MAX_RUNS = 8


class Batch(NamedTuple):
    """Clips of different lengths, padded to the longest.

    Attributes:
        clips: float32 [B, T, P, C], NaN where not detected and beyond a clip's length; C is 3 but
            for layouts with measured channels.
        lengths: frames of each clip, int64 [B].
        signs: labels, int64 [B].
        signers: indices into the store's signers, int64 [B].
        index: rows of the store, int64 [B].
    """

    clips: Tensor
    lengths: Tensor
    signs: Tensor
    signers: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index


class ClipDataModule(pl.LightningDataModule):
    """Batches of the three sets of a split.

    The training order depends only on the seed and the epoch, so it is the same with any number of
    workers and after a resume. Validation and test clips are sorted by length, because a padded
    frame costs as much as a real one.
    """

    def __init__(
        self,
        store: ClipStore,
        split: Split,
        landmarks: LandmarkSet,
        *,
        batch_size: int = 64,
        workers: int = 0,
        seed: int = 0,
        bucket_by_length: bool = False,
        drop_last: bool = False,
        empty_frames: EmptyFrames = "keep",
    ) -> None:
        """Makes no batch yet.

        Args:
            store: the clips.
            split: rows of the store for training, validation and test.
            landmarks: the landmark set that is loaded of each clip.
            batch_size: clips per batch.
            workers: number of loading processes; 0 loads in this process.
            seed: of the training order.
            bucket_by_length: whether a training batch has clips of similar lengths, see
                `bucket_by_length`.
            drop_last: whether an epoch leaves out the training clips that fill no whole batch.
            empty_frames: whether to `keep` or `drop` frames without any of the landmarks.

        Raises:
            UserError: with `drop_last`, the training clips are fewer than a batch.
        """
        super().__init__()
        if drop_last and len(split.train) < batch_size:
            clips = f"the {len(split.train):,} training clips are fewer than a batch"
            raise UserError(f"data.drop_last=true: {clips}; choose a smaller data.batch_size")
        self.store, self.split, self.landmarks = store, split, landmarks
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.bucket_by_length, self.drop_last = bucket_by_length, drop_last
        self.empty_frames = empty_frames

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training clips."""
        return self.batches(self.split.train, seed=self.seed)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """The validation clips, longest first; no loader where there are none."""
        return self.batches(self.split.val) if len(self.split.val) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test clips, longest first."""
        return self.batches(self.split.test)

    def clips(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Whole clips, float32 [frames, layout.size, C] each, NaN = not detected."""
        return [self.store.read(int(row)) for row in rows]

    def batches(self, rows: np.ndarray, seed: int | None = None) -> DataLoader[Batch]:
        """Rows of the store: longest first, or with a seed shuffled for each epoch."""
        frames = self.store.frames
        if seed is None:
            rows = rows[np.argsort(-frames[rows], kind="stable")]
        lengths = frames if self.bucket_by_length else None
        drop_last = self.drop_last and seed is not None
        return DataLoader(
            ClipBatches(self.store, self.landmarks, self.empty_frames),
            sampler=BatchRows(rows, self.batch_size, seed, lengths, drop_last),
            batch_size=None,  # the sampler yields whole batches
            num_workers=self.workers,
            # Otherwise each new iterator draws from the global generator, and a resumed run, which
            # makes one more iterator, would draw other dropout masks than an uninterrupted one.
            generator=torch.Generator().manual_seed(0),
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


class ClipBatches(Dataset[Batch]):
    """A store, indexed by the rows of a batch."""

    def __init__(
        self, store: ClipStore, landmarks: LandmarkSet, empty_frames: EmptyFrames = "keep"
    ) -> None:
        """Loads the set's `indices` of each clip."""
        self.store = store
        self.size, self.empty_frames = landmarks.size, empty_frames
        self.rows = store.rows(np.array(landmarks.indices))
        self.runs = _runs(self.rows)

    def __getitem__(self, index: np.ndarray) -> Batch:
        lengths = self.store.frames[index]
        channels = len(self.store.layout.channels)
        shape = (len(index), int(lengths.max()), len(self.rows), channels)
        clips = np.full(shape, np.nan, self.store.dtype)  # [B, T, P, C]
        for clip, row, length in zip(clips, index.tolist(), lengths.tolist(), strict=True):
            self._copy(self.store.view(row), clip[:length])
        if self.empty_frames == "drop":
            clips, lengths = without_empty_frames(clips, lengths, self.size)
        return Batch(
            clips=torch.from_numpy(clips).float(),  # torch converts float16 faster than numpy
            lengths=torch.from_numpy(lengths),
            signs=torch.from_numpy(self.store.sign[index]),
            signers=torch.from_numpy(self.store.signer[index]),
            index=torch.from_numpy(index),
        )

    def _copy(self, clip: np.ndarray, out: np.ndarray) -> None:
        if len(self.runs) > _MAX_RUNS:
            # With the default mode numpy fills a buffer first, to leave `out` intact on an error.
            np.take(clip, self.rows, axis=1, out=out, mode="clip")
            return
        for place, rows in self.runs:
            out[:, place] = clip[:, rows]


def _runs(rows: np.ndarray) -> list[tuple[slice, slice]]:
    """Runs of consecutive rows, as (positions in `rows`, rows)."""
    cuts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    return [
        (slice(start, end), slice(int(rows[start]), int(rows[start]) + end - start))
        for start, end in pairwise(cuts)
    ]


class BatchRows(Sampler[np.ndarray]):
    """Yields the rows of one batch after another, shuffled for each epoch where there is a seed.

    Under DDP each process takes every n-th row. In training the first rows are repeated at the end
    where n does not divide their number, because all processes must make equally many steps. The
    trainer needs `use_distributed_sampler=False`.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int | None = None,
        lengths: np.ndarray | None = None,
        drop_last: bool = False,
    ) -> None:
        """Keeps the order of `rows` where there is no seed.

        Args:
            rows: of the store.
            batch_size: rows per batch.
            seed: of the order.
            lengths: frames of every clip of the store, to bucket shuffled batches by length.
            drop_last: whether to leave out the rows that fill no whole batch.
        """
        self.rows, self.batch_size, self.seed, self.lengths = rows, batch_size, seed, lengths
        self.drop_last = drop_last
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch whose order is yielded; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[np.ndarray]:
        rank, world = _rank_and_world()
        rows = self._order(world)[rank::world]
        end = len(self) * self.batch_size if self.drop_last else len(rows)
        for start in range(0, end, self.batch_size):
            yield rows[start : start + self.batch_size]

    def __len__(self) -> int:
        rank, world = _rank_and_world()
        rows = len(self.rows)
        share = len(range(rank, rows, world)) if self.seed is None else -(-rows // world)
        return share // self.batch_size if self.drop_last else -(-share // self.batch_size)

    def _order(self, world: int) -> np.ndarray:
        """The rows of all processes: a process takes every n-th row of n consecutive batches."""
        if self.seed is None:
            return self.rows
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.rows)
        order = np.resize(order, -(-len(order) // world) * world)
        if self.lengths is None:
            return order
        return bucket_by_length(order, self.lengths[order], self.batch_size * world, rng)


def bucket_by_length(
    order: np.ndarray, lengths: np.ndarray, batch: int, rng: np.random.Generator
) -> np.ndarray:
    """Rearranges shuffled clips so that each batch has clips of similar lengths.

    Windows of many batches are sorted by length, then whole batches are shuffled: sequence
    bucketing (Khomenko et al. 2017, arXiv 1708.05604) in the form of torchtext's `pool`. Batches
    still differ between epochs, because the windows do. The clips after the last whole batch stay
    at the end.

    Args:
        order: the shuffled clips, [clips].
        lengths: their frames, [clips].
        batch: clips per batch of all processes together.
        rng: shuffles the batches.

    Returns:
        The same clips in another order.
    """
    batches = len(order) // batch
    whole = batches * batch
    window = max(1, min(_WINDOW, batches // _MIN_WINDOWS)) * batch
    by_length = np.lexsort((lengths[:whole], np.arange(whole) // window))
    shuffled = rng.permutation(order[by_length].reshape(batches, batch))
    return np.concatenate([shuffled.ravel(), order[whole:]])


def _rank_and_world() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
