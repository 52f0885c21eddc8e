"""Batches of raw landmarks, straight from the store's memory map."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.landmarks import LandmarkSet

# Batches that are sorted together: more pad less, fewer mix better. torchtext's `pool` takes 100,
# transformers' LengthGroupedSampler 50 and never more than a quarter of the clips, as here.
_WINDOW, _LEAST_WINDOWS = 50, 4
# Up to so many runs of neighbouring landmarks, copying runs is faster than picking landmarks.
_FEW_RUNS = 8


class Batch(NamedTuple):
    """Clips of different lengths, padded to the longest.

    Attributes:
        clips: float32 [B, T, P, 3], NaN where not detected and beyond a clip's length.
        lengths: frames of each clip, int64 [B].
        signs: labels, int64 [B].
        signers: index into the store's signers, int64 [B].
        index: rows of the store, int64 [B].
    """

    clips: Tensor
    lengths: Tensor
    signs: Tensor
    signers: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a batch


class ClipDataModule(pl.LightningDataModule):
    """A split of a store as batches.

    The training order is a function of the seed and the epoch alone, so that it is the same with
    any number of workers and goes on exactly where an interrupted run stopped. All other batches
    hold clips in the order of their lengths, because a padded frame costs as much as a real one.
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
    ) -> None:
        """Takes the split's rows of the store, and of each clip the set's `indices`.

        Args:
            store: the clips.
            split: who is trained on, who is tested.
            landmarks: what batches hold of each clip.
            batch_size: clips a batch.
            workers: processes that load batches; none where 0.
            seed: of the training order.
            bucket_by_length: training batches of clips of like length, see `in_like_length`.
        """
        super().__init__()
        self.store, self.split, self.landmarks = store, split, landmarks
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.bucket_by_length = bucket_by_length

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training clips."""
        return self.batches(self.split.train, seed=self.seed)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """The validation clips, the longest first; no loader at all where there are none."""
        return self.batches(self.split.val) if len(self.split.val) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test clips, the longest first."""
        return self.batches(self.split.test)

    def clips(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Whole clips, float32 [frames, layout.size, 3] each, NaN = not detected."""
        return [self.store.read(int(row)) for row in rows]

    def batches(self, rows: np.ndarray, seed: int | None = None) -> DataLoader[Batch]:
        """Any rows of the store, the longest first; shuffled anew each epoch where given a seed."""
        frames = self.store.frames
        if seed is None:
            rows = rows[np.argsort(-frames[rows], kind="stable")]
        lengths = frames if self.bucket_by_length else None
        return DataLoader(
            ClipBatches(self.store, self.landmarks),
            sampler=BatchRows(rows, self.batch_size, seed, lengths),
            batch_size=None,  # the sampler gives whole batches
            num_workers=self.workers,
            # Else every new iterator draws from the global generator, and a resumed run, which
            # makes one more of them, would draw other dropouts than an undisturbed one.
            generator=torch.Generator().manual_seed(0),
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


class ClipBatches(Dataset[Batch]):
    """A store, indexed by the rows of a whole batch."""

    def __init__(self, store: ClipStore, landmarks: LandmarkSet) -> None:
        """Batches hold the set's `indices` of each clip."""
        self.store = store
        self.rows = store.rows(np.array(landmarks.indices))
        self.runs = _runs(self.rows)

    def __getitem__(self, index: np.ndarray) -> Batch:
        lengths = self.store.frames[index]
        shape = (len(index), int(lengths.max()), len(self.rows), 3)
        clips = np.full(shape, np.nan, self.store.dtype)  # [B, T, P, 3]
        for clip, row, length in zip(clips, index.tolist(), lengths.tolist(), strict=True):
            self._copy(self.store.view(row), clip[:length])
        return Batch(
            clips=torch.from_numpy(clips).float(),  # all at once: torch is the faster to widen
            lengths=torch.from_numpy(lengths),
            signs=torch.from_numpy(self.store.sign[index]),
            signers=torch.from_numpy(self.store.signer[index]),
            index=torch.from_numpy(index),
        )

    def _copy(self, clip: np.ndarray, out: np.ndarray) -> None:
        if len(self.runs) > _FEW_RUNS:
            # Without a mode, numpy would fill a buffer first lest an error spoil `out`.
            np.take(clip, self.rows, axis=1, out=out, mode="clip")
            return
        for place, rows in self.runs:
            out[:, place] = clip[:, rows]


def _runs(rows: np.ndarray) -> list[tuple[slice, slice]]:
    """Rows that lie side by side, as (positions in `rows`, rows)."""
    cuts = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    return [
        (slice(start, end), slice(int(rows[start]), int(rows[start]) + end - start))
        for start, end in pairwise(cuts)
    ]


class BatchRows(Sampler[np.ndarray]):
    """The rows of one batch after another.

    Under DDP each process takes every n-th row. In training the first rows come again at the end
    where the number does not divide, because processes must make equally many steps; so the
    trainer must be told `use_distributed_sampler=False`.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int | None = None,
        lengths: np.ndarray | None = None,
    ) -> None:
        """Shuffles anew each epoch where there is a seed.

        Args:
            rows: of the store.
            batch_size: rows a batch.
            seed: of the order; that of `rows` where None.
            lengths: of every clip of the store, for shuffled batches of clips of like length.
        """
        self.rows, self.batch_size, self.seed, self.lengths = rows, batch_size, seed, lengths
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch's order comes next; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[np.ndarray]:
        rank, world = _rank_and_world()
        rows = self._order(world)[rank::world]
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    def __len__(self) -> int:
        rank, world = _rank_and_world()
        rows = len(self.rows)
        mine = len(range(rank, rows, world)) if self.seed is None else -(-rows // world)
        return -(-mine // self.batch_size)

    def _order(self, world: int) -> np.ndarray:
        """All processes' rows: a process's batch is every n-th row of n batches in a row."""
        if self.seed is None:
            return self.rows
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.rows)
        order = np.resize(order, -(-len(order) // world) * world)
        if self.lengths is None:
            return order
        return in_like_length(order, self.lengths[order], self.batch_size * world, rng)


def in_like_length(
    order: np.ndarray, lengths: np.ndarray, batch: int, rng: np.random.Generator
) -> np.ndarray:
    """Rearranges shuffled clips so that each batch has clips of like length.

    Windows of many batches are sorted by length, then whole batches are shuffled: sequence
    bucketing (Khomenko et al. 2017, arXiv 1708.05604) in the form of torchtext's `pool`. Which
    clips meet in a batch still changes every epoch, for the windows do; what is over after the
    last whole batch stays as it was drawn, in a batch of its own at the end.

    Args:
        order: the clips as they were shuffled, [clips].
        lengths: their frames, [clips].
        batch: clips a batch, those of all processes together.
        rng: shuffles the batches.

    Returns:
        The same clips in another order.
    """
    batches = len(order) // batch
    whole = batches * batch
    window = max(1, min(_WINDOW, batches // _LEAST_WINDOWS)) * batch
    by_length = np.lexsort((lengths[:whole], np.arange(whole) // window))
    shuffled = rng.permutation(order[by_length].reshape(batches, batch))
    return np.concatenate([shuffled.ravel(), order[whole:]])


def _rank_and_world() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
