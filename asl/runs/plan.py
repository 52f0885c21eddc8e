"""A run as plain values: what `asl train` is going to do, decided once and checked.

A plan is made by `asl.config.plan` from overrides, by `plan_of_config` from what an earlier run
recorded, or by hand. It is frozen and can be pickled, so workers and trials are handed plans.
"""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from asl.clips.columns import ColumnChoice
from asl.clips.empty_frames import EmptyFrames
from asl.clips.prepare import Dtype, OnProblem
from asl.clips.sources.base import Source
from asl.clips.split import SIGNER, Split
from asl.recognizer.build import PARTS
from asl.targets import TARGET, factory
from asl.training.regularization import Regularization

# Where things lie and what is printed: no result differs by it.
NOT_A_CHOICE = (
    "tracking", "resume", "data.root", "data.store", "data.columns", "trainer.enable_progress_bar",
)  # fmt: skip
# Choices that are younger than version 0.1, and their defaults. A recorded config is without them,
# so that a study which that version began is found again.
DEFAULTS: dict[str, Any] = {
    "init_from": None,
    "frozen_epochs": 0,
    "impute": {TARGET: "asl.recognizer.preprocessing.impute.AsDetected"},
    "handedness.margin": 1.0,
    "regularization.consistency": 0.0,
    "regularization.ghost_batch": None,
    "features.measured": "all",
    "data.drop_last": False,
    "data.empty_frames": "keep",
    "model.init": "torch",
    "head.init": "torch",
}
RENAMED_IN_CONFIGS = {  # keys of config.yaml of version 0.1
    ("data", "like_length"): "bucket_by_length",
    ("regularization", "settle"): "grace_epochs",
}


@dataclass(frozen=True)
class DataPlan:
    """Where clips are and how they are packed and batched.

    Attributes:
        name: of the data set, as runs and models are tagged.
        source: makes the reader of its raw format.
        root: the raw data set's folder.
        store: the packed store's folder.
        dtype: `float32` or `float16`, of the packed coordinates.
        keep: `all`, or the landmark set that is packed.
        on_problem: `skip` unreadable clips, or `fail` at the first.
        refuse_odd: whether clips that are odd by themselves count as unreadable.
        columns: of the recordings, that are kept; those that the store has where None.
        batch_size: clips a batch.
        workers: processes that load batches.
        bucket_by_length: whether training batches hold clips of similar length.
        drop_last: whether an epoch leaves out the training clips that fill no whole batch.
        empty_frames: whether to `keep` or `drop` frames without any landmark of the set.
    """

    name: str
    source: Callable[[], Source]
    root: str
    store: Path
    dtype: Dtype = "float32"
    keep: str = "all"
    on_problem: OnProblem = "skip"
    refuse_odd: bool = False
    columns: ColumnChoice | None = None
    batch_size: int = 64
    workers: int = 0
    bucket_by_length: bool = False
    drop_last: bool = False
    empty_frames: EmptyFrames = "keep"


@dataclass(frozen=True)
class RunPlan:
    """A training run.

    Attributes:
        name: of the run; the tracker adds the first characters of its id.
        data: where its clips are.
        split: makes the split from `signs` and `signers`, arrays with one name a clip.
        recognizer: spec, as `asl.recognizer.build.build_recognizer` takes it.
        augment: makes the augmentations of training clips, by name, in their order.
        optimizer: makes optimizer and schedule from `parameters` and the number of `steps`.
        trainer: arguments of Lightning's Trainer.
        regularization: terms added to the loss, early stopping, gradient clipping.
        monitor: the validation metric by which the kept epoch is chosen.
        seed: of weights, batches and augmentation.
        test: whether the kept epoch is measured on the test clips.
        init_from: id or name of the run whose network training starts from; None for fresh weights.
        frozen_epochs: the first epochs, in which that network stays as it is.
        params: what the run shows as its parameters.
        tags: what else the run is tagged with.
        config: all of this as nested plain values, recorded as config.yaml.
        tracking: `uri` and `experiment` of the MLflow store; an address may hold a password.
    """

    name: str
    data: DataPlan
    split: Callable[..., Split]
    recognizer: Mapping[str, Any]
    optimizer: Callable[..., Any]
    trainer: Mapping[str, Any]
    augment: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    regularization: Regularization = field(default_factory=Regularization)
    monitor: str = "val/f1"
    seed: int = 0
    test: bool = True
    init_from: str | None = None
    frozen_epochs: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    tracking: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def study(self) -> str:
        """The named experiment, or else the model: what a group of such runs is called."""
        return str(self.params.get("experiment") or self.params.get("model") or self.name)


def data_plan(data: Mapping[str, Any]) -> DataPlan:
    """The plan of a config's `data` group."""
    return DataPlan(
        name=data["name"],
        source=factory(data["source"], "source"),
        root=str(data["root"]),
        store=Path(data["store"]),
        dtype=data["dtype"],
        keep=data["keep"],
        on_problem=data["on_problem"],
        refuse_odd=data.get("refuse_odd", False),  # not in the configs of earlier runs
        columns=data.get("columns"),
        batch_size=data["batch_size"],
        workers=data["workers"],
        bucket_by_length=data["bucket_by_length"],
        drop_last=data.get("drop_last", False),
        empty_frames=data.get("empty_frames", "keep"),
    )


def plan_of_config(
    config: Mapping[str, Any],
    params: Mapping[str, Any],
    tracking: Mapping[str, str] | None = None,
) -> RunPlan:
    """The plan that a resolved config of `asl train` describes, an earlier version's too.

    Args:
        config: nested plain values, without interpolations.
        params: what was chosen in it.
        tracking: the MLflow store, where the config does not say.
    """
    config = current_config(config)
    data = data_plan(config["data"])
    study = params.get("experiment") or f"{params.get('model')}-{params.get('scaler')}"
    return RunPlan(
        name=f"{study}-{data.name}-s{config['seed']}",
        data=data,
        split=factory(config["split"], "split"),
        recognizer={part: config[part] for part in PARTS if part in config},
        optimizer=factory(config["optimizer"], "optimizer"),
        trainer=config["trainer"],
        augment={
            name: factory(node, "augment") for name, node in config.get("augment", {}).items()
        },
        regularization=Regularization.of(config["regularization"]),
        monitor=config["monitor"],
        seed=config["seed"],
        test=config["test"],
        init_from=config.get("init_from"),
        frozen_epochs=config.get("frozen_epochs", 0),
        params=dict(params),
        # Not part of what is recorded: an address may hold a password.
        config=_without_defaults({key: config[key] for key in config if key != "tracking"}),
        tracking=dict(config["tracking"] if tracking is None else tracking),
    )


def _without_defaults(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what is younger than version 0.1 and has its default."""
    for key, default in DEFAULTS.items():
        *groups, name = key.split(".")
        holder = config.get(groups[0], {}) if groups else config
        if name in holder and holder[name] == default:
            del holder[name]
    return config


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded config with its keys spelled as this version spells them."""
    current = copy.deepcopy(dict(config))
    for (group, old), new in RENAMED_IN_CONFIGS.items():
        if old in current.get(group, {}):
            current[group][new] = current[group].pop(old)
    current.setdefault("data", {}).setdefault("bucket_by_length", False)
    current["data"].setdefault("keep", "all")
    # Configs without this key, of before it was there, are of the same split.
    if (split := current.get("split", {})).get("by") == SIGNER:
        del split["by"]
    return current


def variation(
    plan: RunPlan,
    *,
    seed: int | None = None,
    fold: int | None = None,
    val: Sequence[str] | None = None,
    trainer: Mapping[str, Any] | None = None,
) -> RunPlan:
    """The same plan with another seed, fold of its split, validation signers or trainer options."""
    config = copy.deepcopy(dict(plan.config))
    split = dict(config.get("split", {}))
    params, make_split = dict(plan.params), plan.split
    if fold is not None:
        make_split, split["fold"] = partial(make_split, fold=fold), fold
        params["split.fold"] = fold
    if val is not None:
        make_split, split["val"] = partial(make_split, val=list(val)), list(val)
        params["split.val"] = list(val)
    name = plan.name
    if seed is not None:
        config["seed"] = params["seed"] = seed
        name = f"{name.removesuffix(f'-s{plan.seed}')}-s{seed}"
    config["split"] = split
    config["trainer"] = {**plan.trainer, **(trainer or {})}
    return replace(
        plan,
        name=name,
        split=make_split,
        trainer=config["trainer"],
        seed=plan.seed if seed is None else seed,
        params=params,
        config=config,
    )


def digest(identity: object) -> str:
    """A short hash of plain values, by which a group of runs is found again."""
    text = json.dumps(identity, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
