import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from asl.clips.datamodule import BatchRows, ClipDataModule
from asl.clips.splits import signer_holdout
from asl.landmarks import landmark_set


@pytest.fixture
def split(synthetic_store):
    return signer_holdout(synthetic_store.clip_signs, synthetic_store.clip_signers)


def make(store, split, **options):
    return ClipDataModule(store, split, landmark_set("hands"), **{"batch_size": 6, **options})


def test_a_batch_holds_each_clip_and_nothing_beyond_it(synthetic_store, split):
    data = make(synthetic_store, split)
    batch = next(iter(data.train_dataloader()))
    rows = list(landmark_set("hands").indices)
    assert batch.clips.shape == (6, int(batch.lengths.max()), 48, 3)
    assert batch.clips.dtype == torch.float32
    for clip, length, row in zip(batch.clips, batch.lengths, batch.index, strict=True):
        np.testing.assert_array_equal(clip[:length], synthetic_store.read(int(row))[:, rows])
        assert torch.isnan(clip[length:]).all()
    np.testing.assert_array_equal(batch.signs, synthetic_store.sign[batch.index])
    np.testing.assert_array_equal(batch.signers, synthetic_store.signer[batch.index])


def test_each_loader_gives_its_rows_once(synthetic_store, split):
    data = make(synthetic_store, split)
    loaders = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    for loader, rows in zip(loaders, [split.train, split.val, split.test], strict=True):
        seen = np.concatenate([batch.index for batch in loader])
        assert len(loader) == -(-len(rows) // 6)
        np.testing.assert_array_equal(np.sort(seen), rows)
    np.testing.assert_array_equal(seen, split.test)


def test_without_validation_there_is_no_loader(synthetic_store):
    names = synthetic_store.clip_signs, synthetic_store.clip_signers
    assert make(synthetic_store, signer_holdout(*names, val="none")).val_dataloader() == []


def test_the_order_depends_on_seed_and_epoch_only(synthetic_store, split):
    def order(seed, epoch, workers=0):
        loader = make(synthetic_store, split, seed=seed, workers=workers).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return np.concatenate([batch.index for batch in loader]).tolist()

    assert order(0, 3) == order(0, 3) == order(0, 3, workers=2)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_half_precision_on_disk_loads_as_single(synthetic_raw, split, tmp_path):
    from asl.clips.gislr import GislrSource
    from asl.clips.prepare import prepare

    store = prepare(GislrSource(synthetic_raw), tmp_path / "half", dtype="float16")
    batch = next(iter(make(store, split).test_dataloader()))
    rows = list(landmark_set("hands").indices)
    assert batch.clips.dtype == torch.float32
    first = batch.clips[0, : batch.lengths[0]]
    np.testing.assert_array_equal(first, store.read(int(batch.index[0]))[:, rows])


@pytest.mark.parametrize("seed", [None, 0])
def test_processes_share_the_batches(monkeypatch, seed):
    seen = []
    for rank in range(3):
        monkeypatch.setattr("asl.clips.datamodule._rank_and_world", lambda rank=rank: (rank, 3))
        rows = BatchRows(np.arange(20), 4, seed)
        batches = list(rows)
        assert len(batches) == len(rows)
        seen.append(batches)
    everything = np.concatenate([batch for batches in seen for batch in batches])
    assert set(everything) == set(range(20))
    if seed is None:
        assert len(everything) == 20
    else:
        assert {len(batches) for batches in seen} == {2}


class Listener(pl.LightningModule):
    """Learns nothing, and remembers which clips it was shown in which epoch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: dict[int, list[int]] = {}

    def training_step(self, batch, _):
        self.shown.setdefault(self.current_epoch, []).extend(batch.index.tolist())
        return self.weight * 1.0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters())


def listen(data, folder, epochs, resume=None):
    listener = Listener()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, save_last=True)],
    )
    trainer.fit(listener, data, ckpt_path=resume)
    return listener.shown


@pytest.mark.filterwarnings("ignore")
def test_a_resumed_training_sees_what_it_would_have_seen(synthetic_store, split, tmp_path):
    whole = listen(make(synthetic_store, split), tmp_path / "whole", 4)
    assert len({tuple(order) for order in whole.values()}) == 4
    start = listen(make(synthetic_store, split), tmp_path / "part", 2)
    rest = listen(make(synthetic_store, split), tmp_path / "rest", 4, tmp_path / "part/last.ckpt")
    assert start | rest == whole


def test_whole_clips(synthetic_store, split):
    clips = make(synthetic_store, split).clips(split.val[:2])
    np.testing.assert_array_equal(clips[1], synthetic_store.read(int(split.val[1])))
