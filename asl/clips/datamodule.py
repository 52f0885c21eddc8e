"""Batches of raw landmarks, straight from the store's memory map."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from asl.clips.splits import Split
from asl.clips.store import ClipStore
from asl.landmarks import LandmarkSet


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
    any number of workers and goes on exactly where an interrupted run stopped.
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
    ) -> None:
        """Takes the split's rows of the store, and of each clip the set's `indices`."""
        super().__init__()
        self.store, self.split, self.landmarks = store, split, landmarks
        self.batch_size, self.workers, self.seed = batch_size, workers, seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training clips."""
        return self.batches(self.split.train, seed=self.seed)

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """The validation clips in the store's order; no loader at all where there are none."""
        return self.batches(self.split.val) if len(self.split.val) else []

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test clips in the store's order."""
        return self.batches(self.split.test)

    def clips(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Whole clips, float32 [frames, layout.size, 3] each, NaN = not detected."""
        return [self.store.read(int(row)) for row in rows]

    def batches(self, rows: np.ndarray, seed: int | None = None) -> DataLoader[Batch]:
        """Any rows of the store, in their order; shuffled anew each epoch where there is a seed."""
        return DataLoader(
            ClipBatches(self.store, self.landmarks),
            sampler=BatchRows(rows, self.batch_size, seed),
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
        self.rows = np.array(landmarks.indices)

    def __getitem__(self, index: np.ndarray) -> Batch:
        lengths = self.store.frames[index]
        shape = (len(index), int(lengths.max()), len(self.rows), 3)
        clips = torch.full(shape, torch.nan)  # [B, T, P, 3]
        out = clips.numpy()
        for place, row in enumerate(index):
            out[place, : lengths[place]] = self.store.view(row).take(self.rows, axis=1)
        return Batch(
            clips=clips,
            lengths=torch.tensor(lengths),
            signs=torch.tensor(self.store.sign[index]),
            signers=torch.tensor(self.store.signer[index]),
            index=torch.tensor(index),
        )


class BatchRows(Sampler[np.ndarray]):
    """The rows of one batch after another.

    Under DDP each process takes every n-th row. In training the first rows come again at the end
    where the number does not divide, because processes must make equally many steps; so the
    trainer must be told `use_distributed_sampler=False`.
    """

    def __init__(self, rows: np.ndarray, batch_size: int, seed: int | None = None) -> None:
        """Shuffles anew each epoch where there is a seed."""
        self.rows, self.batch_size, self.seed = rows, batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch's order comes next; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[np.ndarray]:
        rows = self._mine()
        for start in range(0, len(rows), self.batch_size):
            yield rows[start : start + self.batch_size]

    def __len__(self) -> int:
        return -(-len(self._mine()) // self.batch_size)

    def _mine(self) -> np.ndarray:
        rank, world = _rank_and_world()
        if self.seed is None:
            return self.rows[rank::world]
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        return np.resize(order, -(-len(order) // world) * world)[rank::world]


def _rank_and_world() -> tuple[int, int]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()
