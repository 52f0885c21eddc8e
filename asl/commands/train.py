"""asl train: one run, from a config to numbers in MLflow; with -m, a run for every job."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from asl.commands.hydra import run_with_hydra
from asl.commands.multirun import PARENT, Multirun, ended_in_any_case
from asl.errors import UserError

if TYPE_CHECKING:
    from filelock import FileLock

    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.landmarks import LandmarkSet
    from asl.tracking.run import TrackedRun
    from asl.training.augment import Augmentation
    from asl.training.fit import AfterEpoch, FitResult
    from asl.training.module import SignClassifier
    from asl.training.regularization import Regularization

DDP_RUN = "ASL_DDP_RUN"  # the run whose extra data-parallel processes these are
GROUPS = (
    "data", "split", "landmarks", "handedness", "scaler", "features", "model", "head",
    "regularization", "augment", "optimizer", "trainer", "experiment",
)  # fmt: skip
# Where things lie and what is printed: no run differs by it.
NOT_A_CHOICE = ("tracking.", "hydra.", "data.root", "data.store", "trainer.enable_progress_bar")


@dataclass(frozen=True)
class Trained:
    """A finished run, the metrics of its kept epoch, and why it was pruned, if it was."""

    run_id: str
    name: str
    metrics: dict[str, float]
    pruned: str | None = None


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    with ended_in_any_case():
        run_with_hydra(_train, "train", arguments)


def _train(cfg: DictConfig) -> float | None:
    if cfg.resume:
        trained = resume(cfg)
    else:
        trained = train(cfg, chosen_params(cfg), parent=os.environ.get(PARENT))
    return trained.metrics.get(cfg.monitor)


def chosen_params(cfg: DictConfig, hydra: DictConfig | None = None) -> dict[str, Any]:
    """What a person chose: the choice in every group, overridden leaves, the seed.

    Args:
        cfg: the composed config.
        hydra: Hydra's own part of it; the running command's where None.
    """
    own = hydra or HydraConfig.get()
    choices = {g: own.runtime.choices[g] for g in GROUPS if own.runtime.choices.get(g)}
    leaves = {}
    for override in own.overrides.task:
        key, _, _ = override.lstrip("+").partition("=")
        if "." in key and not key.startswith(NOT_A_CHOICE):
            leaves[key] = OmegaConf.select(cfg, key)
    return {**choices, "landmarks": cfg.landmarks.name, **leaves, "seed": cfg.seed}


def train(
    cfg: DictConfig,
    params: Mapping[str, Any],
    parent: str | None = None,
    tags: Mapping[str, str] | None = None,
    store: "ClipStore | None" = None,
    after_epoch: "AfterEpoch | None" = None,
    pictures: bool = True,
    begun: Callable[[str], None] | None = None,
) -> Trained:
    """Train a run from a composed config.

    Args:
        cfg: as conf/train.yaml composes it.
        params: what to show as the run's parameters.
        parent: id of the run that this one belongs under.
        tags: what else the run is about.
        store: the clips of `data=`, where they are open already.
        after_epoch: see `asl.training.fit.fit`; by it the run may be pruned.
        pictures: whether its results are drawn, too.
        begun: told the run's id as soon as there is one.
    """
    from asl.commands.parts import fitting_landmarks, make_split, open_store, tracker
    from asl.config import PROJECT, check
    from asl.tracking.record import provenance_tags
    from asl.tracking.run import tracked_run

    check(cfg)
    store = store or open_store(cfg.data)
    split = make_split(cfg.split, store)
    fitting_landmarks(cfg.landmarks.name, store)
    study = params.get("experiment") or f"{params.get('model')}-{params.get('scaler')}"
    name = f"{study}-{cfg.data.name}-s{cfg.seed}"
    described = {
        "kind": "train",
        "data": cfg.data.name,
        "data.fingerprint": store.fingerprint,
        "split": split.protocol,
        "signer_independent": str(split.test_signer_independent).lower(),
        "val_protocol": split.val_protocol,
        **provenance_tags(PROJECT),
        **(tags or {}),
    }
    if DDP_RUN in os.environ:
        return _help(cfg, store, split, os.environ[DDP_RUN])
    with tracked_run(tracker(cfg.tracking), name, described, parent) as run:
        if begun:
            begun(run.id)
        return _carry_out(cfg, params, store, split, run, False, after_epoch, pictures)


def resume(cfg: DictConfig) -> Trained:
    """Go on with the run that `resume=` names; raises UserError where it cannot be done."""
    changed = {}
    for override in HydraConfig.get().overrides.task:
        key, _, _ = override.partition("=")
        if key.startswith("trainer."):
            changed[key] = OmegaConf.select(cfg, key)
        elif key != "resume" and not key.startswith("tracking."):
            raise UserError(
                f"{override}: a resumed run keeps its choices; only trainer.* may change"
            )
    return go_on_with(cfg.tracking, cfg.resume, changed)


def go_on_with(
    tracking: DictConfig,
    run_id: str,
    changed: Mapping[str, Any],
    store: "ClipStore | None" = None,
    after_epoch: "AfterEpoch | None" = None,
    pictures: bool = True,
) -> Trained:
    """Go on with an interrupted run: same config, optimizer, schedule, epoch and random state.

    Args:
        tracking: where runs are kept.
        run_id: id or name of the run.
        changed: keys of its config that get other values.
        store: the clips that it was trained with, where they are open already.
        after_epoch: see `asl.training.fit.fit`; by it the run may be pruned.
        pictures: whether its results are drawn, too.

    Raises:
        UserError: there is no such run, it is finished, or its data set has changed.
    """
    from asl.commands.parts import make_split, open_store, tracker
    from asl.tracking.find import find_run, run_config
    from asl.tracking.run import tracked_run

    store_of_runs = tracker(tracking)
    found = find_run(store_of_runs, run_id, key="resume")
    if found.status == "FINISHED":
        raise UserError(f"resume={run_id}: this run is finished; `asl evaluate run=…` measures it")
    started = OmegaConf.create(run_config(store_of_runs, found.run_id))
    assert isinstance(started, DictConfig)
    started.tracking = tracking
    for key, value in changed.items():
        OmegaConf.update(started, key, value)
    store = store or open_store(started.data)
    if store.fingerprint != found.tags["data.fingerprint"]:
        raise UserError(f"resume={run_id}: the data has changed since; start the run anew")
    split = make_split(started.split, store)
    with tracked_run(store_of_runs, found.name, {}, resume=found.run_id) as run:
        return _carry_out(started, found.params, store, split, run, True, after_epoch, pictures)


def _carry_out(
    cfg: DictConfig,
    params: Mapping[str, Any],
    store: "ClipStore",
    split: "Split",
    run: "TrackedRun",
    go_on: bool,
    after_epoch: "AfterEpoch | None",
    pictures: bool,
) -> Trained:
    import shutil

    from asl.tracking.logger import EpochLogger
    from asl.training.fit import Pruned

    classifier, data = _build(cfg, store, split)
    if not go_on:
        _record_start(cfg, params, store, split, run, classifier)
    _say_start(run, split, classifier)
    os.environ[DDP_RUN] = str(run.work)
    try:
        fitted = _fit(cfg, classifier, data, run.work, EpochLogger(run), go_on, after_epoch)
    except Pruned as why:
        run.client.set_tag(run.id, "pruned", str(why))
        shutil.rmtree(run.work, ignore_errors=True)  # not there before the first checkpoint
        return Trained(run.id, run.name, {}, str(why))
    except (KeyboardInterrupt, SystemExit):
        print(f"interrupted; go on with: asl train resume={run.id}", file=sys.stderr)
        raise
    finally:
        del os.environ[DDP_RUN]
    metrics = _record_results(cfg, store, split, run, fitted, pictures)
    shutil.rmtree(run.work)
    _say_end(run, split, metrics)
    return Trained(run.id, run.name, metrics)


def _build(cfg: DictConfig, store: "ClipStore", split: "Split") -> tuple["SignClassifier", Any]:
    """Everything that is trained, built after seeding so that a seed names the weights too."""
    import pytorch_lightning as pl

    from asl.clips.datamodule import ClipDataModule
    from asl.config import build, build_recognizer, recognizer_spec
    from asl.training.module import SignClassifier

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    spec = recognizer_spec(cfg)
    recognizer = build_recognizer(spec, store.signs)
    data = ClipDataModule(
        store,
        split,
        recognizer.landmarks,
        batch_size=cfg.data.batch_size,
        workers=cfg.data.workers,
        seed=cfg.seed,
        bucket_by_length=cfg.data.bucket_by_length,
    )
    recognizer.fit((batch.clips, batch.lengths) for batch in data.batches(split.train))
    classifier = SignClassifier(
        recognizer=recognizer,
        augment=augmentation(cfg, recognizer.landmarks),
        make_optimizer=lambda parameters, steps: build(
            cfg.optimizer, parameters=parameters, steps=steps
        ),
        regularization=regularization(cfg),
        spec=spec,
    )
    return classifier, data


def regularization(cfg: DictConfig) -> "Regularization":
    """What `regularization=` adds to the loss, its dropouts and the like left to the network."""
    from dataclasses import fields

    from asl.training.regularization import Regularization

    # A resumed run may have begun before there was all of this to choose.
    chosen = {f.name: cfg.regularization.get(f.name, f.default) for f in fields(Regularization)}
    return Regularization(**chosen)


def augmentation(cfg: DictConfig, landmarks: "LandmarkSet") -> "Augmentation":
    """The operations of `augment=`, in the order in which the config has them."""
    from asl.config import build
    from asl.training.augment import Augmentation

    return Augmentation({name: build(node) for name, node in cfg.augment.items()}, landmarks)


def _fit(
    cfg: DictConfig,
    classifier: "SignClassifier",
    data: Any,
    work: Any,
    logger: Any,
    go_on: bool,
    after_epoch: "AfterEpoch | None" = None,
) -> "FitResult":
    from asl.training.fit import fit

    stopping = cfg.regularization.early_stopping
    return fit(
        classifier,
        data,
        directory=work,
        trainer=OmegaConf.to_container(cfg.trainer, resolve=True),  # type: ignore[arg-type]
        monitor=cfg.monitor,
        early_stopping=OmegaConf.to_container(stopping) if stopping else None,  # type: ignore[arg-type]
        gradient_clip=cfg.regularization.gradient_clip,
        logger=logger,
        resume=go_on,
        after_epoch=after_epoch,
    )


def _help(cfg: DictConfig, store: "ClipStore", split: "Split", work: str) -> Trained:
    """Train as one of the extra processes of a data-parallel run, which the first one records."""
    from pathlib import Path

    classifier, data = _build(cfg, store, split)
    _fit(cfg, classifier, data, Path(work), False, go_on=False)
    return Trained("", "", {})


def _record_start(
    cfg: DictConfig,
    params: Mapping[str, Any],
    store: "ClipStore",
    split: "Split",
    run: "TrackedRun",
    classifier: "SignClassifier",
) -> None:
    from asl.tracking.record import environment, log_metrics, record_data, record_params

    record_params(run, params)
    record_data(run, cfg.data.name, store.fingerprint, cfg.data.root, split.protocol)
    # Without tracking: a server's address may hold a password.
    recorded = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "tracking"])
    resolved = OmegaConf.to_yaml(recorded, resolve=True)
    run.client.log_text(run.id, resolved, "config.yaml")
    run.client.log_dict(run.id, environment(), "environment.json")
    run.client.log_dict(run.id, {"notes": split.notes}, "split_notes.json")
    log_metrics(run, {"parameters": sum(_parameters(classifier).values())})


def _record_results(
    cfg: DictConfig,
    store: "ClipStore",
    split: "Split",
    run: "TrackedRun",
    fitted: "FitResult",
    pictures: bool,
) -> dict[str, float]:
    """Measure the kept epoch; its numbers come last, so MLflow's table shows them."""
    from asl.commands.results import record_results
    from asl.tracking.record import log_metrics
    from asl.training.checkpoint import load_recognizer

    recognizer = load_recognizer(fitted.checkpoint)
    measured = record_results(
        run, recognizer, store, split, cfg.data.batch_size, cfg.test, pictures
    )
    log_metrics(run, measured, step=fitted.epochs)
    facts = {
        "kept_epoch": fitted.kept_epoch,
        "epochs": fitted.epochs,
        "fit_seconds": fitted.seconds,
    }
    log_metrics(run, facts)
    run.client.log_artifact(run.id, str(fitted.checkpoint), "checkpoints")
    return measured


def _parameters(classifier: "SignClassifier") -> dict[str, int]:
    recognizer = classifier.recognizer
    return {
        part: sum(p.numel() for p in getattr(recognizer, part).parameters() if p.requires_grad)
        for part in ("scaler", "features", "backbone", "head")
    }


def _say_start(run: "TrackedRun", split: "Split", classifier: "SignClassifier") -> None:
    counts = _parameters(classifier)
    parts = ", ".join(f"{part} {count:,}" for part, count in counts.items() if count)
    sizes = (
        f"{len(split.train)} training, {len(split.val)} validation, {len(split.test)} test clips"
    )
    lines = [
        f"run {run.name} ({run.id})",
        f"split: {split.protocol}; validation: {split.val_protocol}; {sizes}",
        *split.notes,
        f"parameters: {sum(counts.values()):,} ({parts})",
    ]
    print("\n".join(lines), file=sys.stderr)


def _say_end(run: "TrackedRun", split: "Split", metrics: Mapping[str, float]) -> None:
    for name in ("val", "test"):
        shown = [
            f"{metric.removeprefix(f'{name}/')} {value:.4f}"
            for metric, value in metrics.items()
            if metric.startswith(f"{name}/")
        ]
        if shown:
            protocol = split.val_protocol if name == "val" else split.protocol
            print(f"{name} ({protocol}): {', '.join(shown)}")
    print(f"run: {run.name}  id: {run.id}  (asl export run={run.id})")


class ParentRun(Multirun):
    """A multirun of trainings: one MLflow run that says which of its children is the best."""

    def opened(self, config: DictConfig) -> "tuple[str, FileLock]":
        """A new run; those that were killed get their end."""
        from asl.config import PROJECT
        from asl.tracking.multirun import end_killed, open_locked
        from asl.tracking.record import provenance_tags, without_tracking

        for name in end_killed(self.tracker):
            print(f"{name} had been killed, and says so now", file=sys.stderr)
        self._monitor = config.monitor
        overrides = without_tracking(config.hydra.overrides.task)
        return open_locked(self.tracker, overrides, provenance_tags(PROJECT))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Close the run."""
        self.close("FINISHED")

    def close(self, status: str) -> None:
        """Give the run its end, with the best of its children on it."""
        from asl.tracking.multirun import record_best

        best = record_best(self.tracker, self.run_id, self._monitor)
        Path(self._lock.lock_file).unlink()
        super().close(status)
        print(f"multirun: {self.run_id}{best}  (compare: asl ui)")
