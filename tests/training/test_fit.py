"""Whole training runs: resume, averaged weights, mixed precision, grace period."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from pytorch_lightning.loggers import Logger

from asl.clips.datamodule import ClipDataModule
from asl.clips.prepare import prepare
from asl.clips.sources.gislr import GislrSource
from asl.clips.splits import random, signer_holdout
from asl.clips.synthetic.generator import synthetic_source
from asl.config.plan import plan
from asl.evaluation.evaluate import metrics, predict_batches
from asl.runs.train import build
from asl.training.checkpoint import RENAMED_CALLBACKS, RENAMED_WEIGHTS, load_recognizer
from asl.training.divergence import Diverged
from asl.training.fit import FitResult, fit
from asl.training.module import SignClassifier


class History(Logger):
    """Keeps every epoch's metrics."""

    name = version = "history"

    def __init__(self):
        super().__init__()
        self.epochs = []

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.epochs.append(metrics)

    def __getitem__(self, name):
        return [epoch[name] for epoch in self.epochs if name in epoch]


@dataclass
class Run:
    fitted: FitResult | None
    data: ClipDataModule
    history: History = field(default_factory=History)


@pytest.fixture
def run(synthetic_store, tmp_path):
    """Trains like `asl train`, without MLflow."""
    signs, signers = synthetic_store.clip_signs, synthetic_store.clip_signers
    few = signer_holdout(signs, signers, test=["5"], val=["3", "4"])

    def run(*overrides, clips=None, name="run", resume=False):
        small = ["model=cnn", "model.hidden=16", "data.batch_size=8", "features.frames=16"]
        quiet = ["trainer.enable_progress_bar=false"]
        chosen = plan(*small, *quiet, *overrides)
        store, split = clips or (synthetic_store, few)
        classifier, data = build(chosen, store, split)
        done = Run(None, data)
        done.fitted = fit(
            classifier,
            data,
            directory=tmp_path / name,
            trainer=chosen.trainer,
            monitor=chosen.monitor,
            logger=done.history,
            resume=resume,
        )
        return done

    return run


@pytest.fixture
def interrupted(run, tmp_path, monkeypatch):
    """Interrupts a run named `interrupted` in its third epoch and returns its last checkpoint."""
    step = SignClassifier.training_step

    def interrupt(self, batch, number):
        if self.current_epoch == 2 and number == 1:
            raise KeyboardInterrupt
        return step(self, batch, number)

    def interrupted(*overrides):
        with monkeypatch.context() as patch:
            patch.setattr(SignClassifier, "training_step", interrupt)
            with pytest.raises(SystemExit):
                run(*overrides, name="interrupted")
        (path,) = (tmp_path / "interrupted").glob("last-*.ckpt")
        return path

    return interrupted


def test_an_epoch_is_logged_at_once(run):
    done = run("trainer.max_epochs=2")
    assert [epoch["epoch"] for epoch in done.history.epochs] == [0, 1]
    for epoch in done.history.epochs:
        assert {"train/loss", "train/f1", "val/loss", "val/f1", "val/accuracy_top5"} <= epoch.keys()


LATE = ["regularization.late_start=1", "regularization.grace_epochs=1"]


def test_the_norm_of_the_gradients_is_logged_as_it_is_before_clipping(run):
    first_step = ("trainer.max_epochs=1", "trainer.limit_train_batches=1")
    clips = ("null", "1e-3")
    runs = [run(*first_step, f"regularization.gradient_clip={clip}", name=clip) for clip in clips]
    (norm,), (of_clipped,) = (each.history["optimizer/gradient_norm"] for each in runs)
    assert of_clipped == pytest.approx(norm, rel=1e-5)
    assert norm > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        ["regularization.ema=0.9"],
        ["regularization.awp=0.1", *LATE],
        ["regularization.late_dropout=0.5", *LATE],
        ["regularization.r_drop=1"],
        ["regularization.mixup=0.5", "regularization.join=0.5", "regularization.swap_hands=0.3"],
        ["optimizer=ranger", "augment=gislr_1st", "head=arcface", "regularization.ghost_batch=3"],
    ],
    ids=lambda chosen: chosen[0],
)
def test_a_resumed_run_equals_an_uninterrupted_one(chosen, run, interrupted):
    overrides = ["trainer.max_epochs=4", *chosen]
    uninterrupted = run(*overrides, name="uninterrupted")
    interrupted(*overrides)
    resumed = run(*overrides, name="interrupted", resume=True)
    assert_equal(resumed, uninterrupted)


def assert_equal(resumed, uninterrupted):
    for name in ("train/loss", "val/loss", "val/f1"):
        assert resumed.history[name] == uninterrupted.history[name][2:]
    assert resumed.fitted.kept_epoch == uninterrupted.fitted.kept_epoch
    one, other = (load_recognizer(each.fitted.checkpoint) for each in (uninterrupted, resumed))
    for name, value in one.state_dict().items():
        assert value.equal(other.state_dict()[name]), name


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_checkpoint_of_version_0_1_resumes_exactly(ema, run, interrupted):
    """There weights, callbacks and the averaged weights had other names."""
    overrides = ["trainer.max_epochs=4", "monitor=val/loss", f"regularization.ema={ema}"]
    uninterrupted = run(*overrides, name="uninterrupted")
    path = interrupted(*overrides)
    checkpoint = torch.load(path, weights_only=True)
    weights = checkpoint["state_dict"]
    if ema:
        average = {key.removeprefix("recognizer."): value for key, value in weights.items()}
        count = checkpoint.pop("averaging_state")["n_averaged"]
        weights = checkpoint.pop("current_model_state") | {"average.n_averaged": count}
        weights |= {f"average.module.{key}": value for key, value in average.items()}
        del checkpoint["callbacks"]["AveragedWeights"]
    for old, new in RENAMED_WEIGHTS.items():
        weights = {key.replace(new, old): value for key, value in weights.items()}
    checkpoint["state_dict"] = weights
    for old, new in RENAMED_CALLBACKS.items():
        states = checkpoint["callbacks"].items()
        checkpoint["callbacks"] = {key.replace(new, old): state for key, state in states}
    torch.save(checkpoint, path)

    resumed = run(*overrides, name="interrupted", resume=True)

    assert "recognizer.backbone.blocks.0.widen.weight" in weights
    assert_equal(resumed, uninterrupted)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_kept_recognizer_is_the_one_that_was_validated(ema, run):
    done = run("trainer.max_epochs=3", "monitor=val/loss", f"regularization.ema={ema}")

    kept = load_recognizer(done.fitted.checkpoint)

    data = done.data
    predictions = predict_batches(kept, data.batches(data.split.val), data.store.signers)
    validated = done.history["val/loss"][done.fitted.kept_epoch]
    assert metrics(predictions)["loss"] == pytest.approx(validated, rel=1e-5)


def test_the_epoch_may_be_chosen_by_the_smoothed_loss(run):
    """As the GISLR competition's first place does."""
    done = run("trainer.max_epochs=3", "monitor=val/smoothed_loss", "optimizer.lr=0.02")
    values = done.history["val/smoothed_loss"]
    assert done.fitted.monitored == pytest.approx(min(values))
    assert values[done.fitted.kept_epoch] == min(values)
    assert values != done.history["val/loss"]


@pytest.mark.parametrize("val", [["3", "4"], "none"])
def test_training_that_diverges_ends_at_once(val, run, synthetic_store):
    signs, signers = synthetic_store.clip_signs, synthetic_store.clip_signers
    clips = synthetic_store, signer_holdout(signs, signers, test=["5"], val=val)
    with pytest.raises(Diverged, match=r"diverged in epoch [123]: .*optimizer\.lr.*precision"):
        run("optimizer.lr=1e30", "optimizer.warmup=0", "trainer.max_epochs=3", clips=clips)


def test_a_run_whose_folder_was_moved_keeps_the_same_epoch(run, interrupted, tmp_path, monkeypatch):
    compute = SignClassifier._compute_metrics

    def best_in_epoch_1(self, split):
        loss = torch.tensor([1.0, 0.5, 3.0, 2.0][self.current_epoch])
        return compute(self, split) | ({"val/loss": loss} if split == "val" else {})

    monkeypatch.setattr(SignClassifier, "_compute_metrics", best_in_epoch_1)
    overrides = ["trainer.max_epochs=4", "monitor=val/loss"]
    interrupted(*overrides)
    (tmp_path / "interrupted").rename(tmp_path / "moved")
    fitted = run(*overrides, name="moved", resume=True).fitted
    assert (fitted.kept_epoch, fitted.checkpoint.parent) == (1, tmp_path / "moved")


def test_a_run_in_bfloat16_learns_and_keeps_float32(run):
    mixed = ["trainer=bf16", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
    done = run(*mixed, "regularization.awp=0.1", "regularization.ema=0.9")
    assert math.isfinite(done.history["train/loss"][0])
    kept = load_recognizer(done.fitted.checkpoint)
    assert {p.dtype for p in kept.parameters()} == {torch.float32}


@pytest.mark.slow
def test_compilation_does_not_change_a_run(run):
    plain, compiled = (
        run(
            "trainer.max_epochs=2",
            "regularization=none",  # compiled dropout draws other random numbers
            f"trainer.compile={compiled}",
            name=f"compiled={compiled}",
        )
        for compiled in (False, True)
    )
    for name in ("train/loss", "val/loss"):
        assert compiled.history[name] == pytest.approx(plain.history[name], rel=1e-2)
    load_recognizer(compiled.fitted.checkpoint)


@pytest.fixture
def more_clips(tmp_path_factory):
    """Enough clips to learn from: 6 signs, 5 signers, 180 clips."""
    root = tmp_path_factory.mktemp("more") / "raw"
    synthetic_source(root, signs=6, signers=5, clips_per_sign=6)
    return prepare(GislrSource(root), root.parent / "store", name="synthetic")


@pytest.mark.slow
def test_a_grace_period_bridges_the_dip_after_a_late_start(run, more_clips):
    """Without one the run is stopped in the dip; with one it exceeds its earlier best."""
    split = random(more_clips.clip_signs, more_clips.clip_signers, val_share=0.3)
    start, grace, patience = 6, 14, 3
    overrides = [
        "monitor=val/loss",
        "trainer.max_epochs=28",
        "model.hidden=32",
        "optimizer.lr=0.003",
        "optimizer.warmup=0",
        "regularization.awp=0.02",
        "regularization.late_dropout=0.8",
        f"regularization.late_start={start}",
        f"regularization.early_stopping={{patience: {patience}}}",
    ]
    without, bridged = (
        run(
            *overrides,
            f"regularization.grace_epochs={epochs}",
            clips=(more_clips, split),
            name=name,
        )
        for name, epochs in (("without", 0), ("bridged", grace))
    )
    loss = bridged.history["val/loss"]
    assert max(loss[start : start + grace]) > min(loss[:start]), "there is no dip"
    assert without.fitted.epochs < start + grace, "it was not stopped in the dip"
    assert bridged.fitted.epochs > start + grace + patience
    assert bridged.fitted.kept_epoch >= start + grace
    assert min(loss[start + grace :]) < min(without.history["val/loss"])
