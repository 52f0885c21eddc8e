"""Whole runs: resumed, averaged, judged while a regularizer settles."""

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
from asl.training.checkpoint import load_recognizer
from asl.training.fit import FitResult, fit
from asl.training.module import SignClassifier


class History(Logger):
    """Every epoch's metrics."""

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
    """Trains as `asl train` does, without MLflow."""
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


def test_an_epoch_is_logged_at_once(run):
    done = run("trainer.max_epochs=2")
    assert [epoch["epoch"] for epoch in done.history.epochs] == [0, 1]
    for epoch in done.history.epochs:
        assert {"train/loss", "train/f1", "val/loss", "val/f1", "val/accuracy_top5"} <= epoch.keys()


LATE = ["regularization.late_start=1", "regularization.grace_epochs=1"]


@pytest.mark.parametrize(
    "chosen",
    [
        ["regularization.ema=0.9"],
        ["regularization.awp=0.1", *LATE],
        ["regularization.late_dropout=0.5", *LATE],
        ["regularization.r_drop=1"],
        ["regularization.mixup=0.5", "regularization.join=0.5", "regularization.swap_hands=0.3"],
        ["optimizer=ranger", "augment=gislr_1st", "head=arcface"],
    ],
    ids=lambda chosen: chosen[0],
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(chosen, run, monkeypatch):
    overrides = ["trainer.max_epochs=4", *chosen]
    undisturbed = run(*overrides, name="undisturbed")

    def pull_the_plug(self, batch, number):
        if self.current_epoch == 2 and number == 1:
            raise KeyboardInterrupt
        return step(self, batch, number)

    step = SignClassifier.training_step
    with monkeypatch.context() as patch:
        patch.setattr(SignClassifier, "training_step", pull_the_plug)
        with pytest.raises(SystemExit):
            run(*overrides, name="interrupted")
    resumed = run(*overrides, name="interrupted", resume=True)

    for name in ("train/loss", "val/loss", "val/f1"):
        assert resumed.history[name] == undisturbed.history[name][2:]
    assert resumed.fitted.kept_epoch == undisturbed.fitted.kept_epoch
    one, other = (load_recognizer(each.fitted.checkpoint) for each in (undisturbed, resumed))
    for name, value in one.state_dict().items():
        assert value.equal(other.state_dict()[name]), name


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_the_kept_recognizer_is_the_one_that_was_judged(ema, run):
    done = run("trainer.max_epochs=3", "monitor=val/loss", f"regularization.ema={ema}")

    kept = load_recognizer(done.fitted.checkpoint)

    data = done.data
    predictions = predict_batches(kept, data.batches(data.split.val), data.store.signers)
    judged = done.history["val/loss"][done.fitted.kept_epoch]
    assert metrics(predictions, "")["loss"] == pytest.approx(judged, rel=1e-5)


def test_a_run_in_bfloat16_learns_and_keeps_float32(run):
    mixed = ["trainer=bf16", "trainer.accelerator=cpu", "trainer.max_epochs=1"]
    done = run(*mixed, "regularization.awp=0.1", "regularization.ema=0.9")
    assert math.isfinite(done.history["train/loss"][0])
    kept = load_recognizer(done.fitted.checkpoint)
    assert {p.dtype for p in kept.parameters()} == {torch.float32}


@pytest.mark.slow
def test_a_compiled_run_is_the_run(run):
    plain, compiled = (
        run(
            "trainer.max_epochs=2",
            "regularization=none",  # compiled dropout draws other numbers
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
    """Enough clips for training to show: 6 signs, 5 signers, 180 clips."""
    root = tmp_path_factory.mktemp("more") / "raw"
    synthetic_source(root, signs=6, signers=5, clips_per_sign=6)
    return prepare(GislrSource(root), root.parent / "store", name="synthetic")


@pytest.mark.slow
def test_a_dip_at_the_start_of_a_late_regularizer_is_survived(run, more_clips):
    """Without settling the run is stopped in the dip; with it, it climbs past its old best."""
    split = random(more_clips.clip_signs, more_clips.clip_signers, val_share=0.3)
    start, settle, patience = 6, 14, 3
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
    hasty, patient = (
        run(
            *overrides,
            f"regularization.grace_epochs={epochs}",
            clips=(more_clips, split),
            name=name,
        )
        for name, epochs in (("hasty", 0), ("patient", settle))
    )
    loss = patient.history["val/loss"]
    assert max(loss[start : start + settle]) > min(loss[:start]), "there is no dip to survive"
    assert hasty.fitted.epochs < start + settle, "nothing stopped it in the dip"
    assert patient.fitted.epochs > start + settle + patience
    assert patient.fitted.kept_epoch >= start + settle
    assert min(loss[start + settle :]) < min(hasty.history["val/loss"])
