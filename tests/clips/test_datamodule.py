import re
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from asl.clips.datamodule import BatchRows, ClipBatches, ClipDataModule
from asl.clips.prepare import prepare
from asl.clips.sources.gislr import GislrSource
from asl.clips.sources.npz import NpzSource
from asl.clips.splits import signer_holdout
from asl.errors import UserError
from asl.landmarks import landmark_set

# Lengths like the competition's: a median of 22 frames, 5 % above 135.
LENGTHS = np.random.default_rng(0).lognormal(np.log(22), 1.1, 20_000).clip(2, 537).astype(int)


@pytest.fixture
def split(synthetic_store):
    return signer_holdout(synthetic_store.clip_signs, synthetic_store.clip_signers)


def make(store, split, **options):
    return ClipDataModule(store, split, landmark_set("hands"), **{"batch_size": 6, **options})


def test_a_batch_holds_each_clip_and_nan_beyond_it(synthetic_store, split):
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


def test_each_loader_yields_its_rows_once(synthetic_store, split):
    data = make(synthetic_store, split)
    loaders = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    for loader, rows in zip(loaders, [split.train, split.val, split.test], strict=True):
        seen = np.concatenate([batch.index for batch in loader])
        assert len(loader) == -(-len(rows) // 6)
        np.testing.assert_array_equal(np.sort(seen), rows)


def test_training_leaves_out_what_fills_no_whole_batch(synthetic_store, split):
    data = make(synthetic_store, split, batch_size=7, drop_last=True)
    loader, whole = data.train_dataloader(), len(split.train) // 7
    assert len(split.train) % 7
    assert [len(batch.signs) for batch in loader] == [7] * whole
    assert len(loader) == whole
    seen = np.concatenate([batch.index for batch in data.val_dataloader()])
    np.testing.assert_array_equal(np.sort(seen), split.val)
    with pytest.raises(UserError, match=r"^data\.drop_last=true: .* fewer than a batch"):
        make(synthetic_store, split, batch_size=len(split.train) + 1, drop_last=True)


def test_frames_without_any_landmark_are_dropped_from_all_sets(tmp_path):
    clip = np.random.default_rng(0).random((4, 6, 543, 3), dtype=np.float32)
    hands = list(landmark_set("hands").own)
    clip[0, [0, 2, 3]] = np.nan
    clip[1][:, hands] = np.nan  # nothing of the set at all: it stays
    clip[2, 1, hands] = np.nan  # shoulders alone, which are no hands
    np.savez(tmp_path / "a.npz", X=clip, sign=[*"abab"], participant_id=[*"1123"])
    store = prepare(
        NpzSource(tmp_path, layout="mediapipe_holistic", file="a.npz"), tmp_path / "s", workers=1
    )
    rows, indices = np.arange(4), list(landmark_set("hands").indices)

    whole = ClipBatches(store, landmark_set("hands"))[rows]
    some = ClipBatches(store, landmark_set("hands"), "drop")[rows]

    assert whole.lengths.tolist() == [6] * 4
    assert some.lengths.tolist() == [3, 6, 5, 6]
    np.testing.assert_array_equal(some.clips[0, :3], clip[0][[1, 4, 5]][:, indices])
    assert some.clips[0, 3:].isnan().all()
    np.testing.assert_array_equal(some.clips[2, :5], clip[2][[0, 2, 3, 4, 5]][:, indices])
    np.testing.assert_array_equal(some.clips[3], clip[3][:, indices])


def test_without_validation_there_is_no_loader(synthetic_store):
    names = synthetic_store.clip_signs, synthetic_store.clip_signers
    assert make(synthetic_store, signer_holdout(*names, val="none")).val_dataloader() == []


def test_validation_and_test_clips_come_longest_first(synthetic_store, split):
    lengths = np.concatenate([b.lengths for b in make(synthetic_store, split).val_dataloader()])
    assert len(set(lengths)) > 1
    assert (np.diff(lengths) <= 0).all()


@pytest.mark.parametrize("bucket_by_length", [False, True])
def test_the_order_depends_on_seed_and_epoch_only(synthetic_store, split, bucket_by_length):
    def order(seed, epoch, workers=0):
        options = {
            "batch_size": 2,
            "seed": seed,
            "workers": workers,
            "bucket_by_length": bucket_by_length,
        }
        loader = make(synthetic_store, split, **options).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return np.concatenate([batch.index for batch in loader]).tolist()

    assert order(0, 3) == order(0, 3) == order(0, 3, workers=2)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


@pytest.mark.parametrize("name", ["hands", "hands_pose", "gislr118"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_batch_equals_the_clips_as_read(synthetic_raw, split, tmp_path, dtype, name):
    store = prepare(GislrSource(synthetic_raw), tmp_path / "store", dtype=dtype)
    landmarks = landmark_set(name)
    batch = next(iter(ClipDataModule(store, split, landmarks).test_dataloader()))
    assert batch.clips.dtype == torch.float32
    for clip, length, row in zip(batch.clips, batch.lengths, batch.index, strict=True):
        whole = store.read(int(row))
        np.testing.assert_array_equal(clip[:length], whole[:, list(landmarks.indices)])


def test_a_store_of_a_landmark_subset_gives_the_same_batches(
    synthetic_raw, synthetic_store, tmp_path
):
    store = prepare(GislrSource(synthetic_raw), tmp_path / "store", keep="gislr118")
    rows = np.arange(6)
    for name in ("gislr118", "hands"):
        some, all_ = (ClipBatches(s, landmark_set(name))[rows] for s in (store, synthetic_store))
        np.testing.assert_array_equal(some.clips, all_.clips)
    with pytest.raises(UserError, match="not among them"):
        ClipBatches(store, landmark_set("hands_pose"))


@pytest.mark.parametrize(("seed", "lengths"), [(None, None), (0, None), (0, LENGTHS)])
def test_ddp_processes_share_the_batches(monkeypatch, seed, lengths):
    seen = []
    for rank in range(3):
        monkeypatch.setattr("asl.clips.datamodule._rank_and_world", lambda rank=rank: (rank, 3))
        rows = BatchRows(np.arange(20), 4, seed, lengths)
        batches = list(rows)
        assert len(batches) == len(rows)
        seen.append(batches)
    everything = np.concatenate([batch for batches in seen for batch in batches])
    assert set(everything) == set(range(20))
    if seed is None:
        assert len(everything) == 20
    else:
        assert {len(batches) for batches in seen} == {2}


def test_bucketed_batches_have_little_padding_and_differ_between_epochs():
    def batches(epoch, lengths):
        rows = BatchRows(np.arange(len(LENGTHS)), 64, 0, lengths)
        rows.set_epoch(epoch)
        return list(rows)

    def padding(epoch):
        return sum(len(b) * LENGTHS[b].max() for b in batches(epoch, LENGTHS)) / LENGTHS.sum()

    first, second = batches(0, LENGTHS), batches(1, LENGTHS)
    np.testing.assert_array_equal(np.sort(np.concatenate(first)), np.arange(len(LENGTHS)))
    assert max(padding(0), padding(1)) < 1.25
    random = sum(len(b) * LENGTHS[b].max() for b in batches(0, None)) / LENGTHS.sum()
    assert random > 3
    # The batches come in no order of length, and other clips meet in the next epoch.
    longest = [LENGTHS[batch].max() for batch in first]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3
    batch_of = np.empty(len(LENGTHS), int)
    for number, batch in enumerate(second):
        batch_of[batch] = number
    together = [np.bincount(batch_of[batch]).max() for batch in first]
    assert np.median(together) < 64 / 4


def test_ddp_processes_have_clips_of_similar_length_at_the_same_step(monkeypatch):
    longest = []
    for rank in range(2):
        monkeypatch.setattr("asl.clips.datamodule._rank_and_world", lambda rank=rank: (rank, 2))
        rows = BatchRows(np.arange(len(LENGTHS)), 32, 0, LENGTHS)
        longest.append([LENGTHS[batch].max() for batch in rows])
    one, other = np.array(longest)[:, :-1]
    assert np.median(np.abs(one - other) / one) < 0.1


def test_an_epoch_does_not_load_the_store_into_memory(words15_store):
    def own_memory():
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024

    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells a process's own memory from mapped files")
    names = words15_store.clip_signs, words15_store.clip_signers
    data = ClipDataModule(words15_store, signer_holdout(*names), landmark_set("hands_pose"))
    next(iter(data.train_dataloader()))
    before = own_memory()
    for _ in data.train_dataloader():
        pass
    size = sum(path.stat().st_size for path in (words15_store.directory / "shards").iterdir())
    assert size > 100e6
    assert own_memory() - before < 0.1 * size


class Listener(pl.LightningModule):
    """Learns nothing, and records the clips of each epoch."""

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
@pytest.mark.parametrize("bucket_by_length", [False, True])
def test_a_resumed_training_sees_the_batches_of_an_uninterrupted_one(
    synthetic_store, split, tmp_path, bucket_by_length
):
    def data():
        return make(synthetic_store, split, batch_size=2, bucket_by_length=bucket_by_length)

    whole = listen(data(), tmp_path / "whole", 4)
    assert len({tuple(order) for order in whole.values()}) == 4
    start = listen(data(), tmp_path / "part", 2)
    rest = listen(data(), tmp_path / "rest", 4, tmp_path / "part/last.ckpt")
    assert start | rest == whole


def test_whole_clips(synthetic_store, split):
    clips = make(synthetic_store, split).clips(split.val[:2])
    np.testing.assert_array_equal(clips[1], synthetic_store.read(int(split.val[1])))
