"""What a composed config may hold: one check of it as a whole, before anything starts."""

import math
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError

from asl.clips.columns import ColumnChoice
from asl.clips.empty_frames import EmptyFrames
from asl.errors import UserError, first_line
from asl.signatures import faults as call_faults
from asl.targets import PLACES, TARGET, locate
from asl.training.regularization import Regularization

# What a group's class or function is given beside its config.
SUPPLIED = {
    "handedness": ("landmarks",),
    "impute": ("landmarks",),
    "scaler": ("landmarks",),
    "model": ("inputs", "landmarks", "places"),
    "head": ("width", "signs"),
    "split": ("signs", "signers", "columns"),
    "optimizer": ("parameters", "steps"),
}


class TrainerSettings(BaseModel):
    """The Trainer arguments that every run has; `+trainer.KEY=` passes others to Lightning."""

    model_config = ConfigDict(extra="allow")
    max_epochs: PositiveInt
    limit_train_batches: Annotated[float, Field(gt=0)] | PositiveInt
    compile: bool = False
    enable_progress_bar: bool


class DataSettings(BaseModel):
    """The part of `data=` that is the same for every source."""

    model_config = ConfigDict(extra="allow")
    name: str
    root: str
    store: str
    landmarks: str
    coordinates: typing.Literal["xyz", "xy"]
    dtype: typing.Literal["float32", "float16"]
    keep: str
    on_problem: typing.Literal["skip", "fail"]
    refuse_odd: bool
    columns: ColumnChoice | None
    batch_size: PositiveInt
    workers: Annotated[int, Field(ge=0)]
    bucket_by_length: bool
    drop_last: bool
    empty_frames: EmptyFrames


class RunSettings(BaseModel):
    """The scalars of conf/train.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    monitor: typing.Literal[
        "val/f1",
        "val/accuracy",
        "val/accuracy_top5",
        "val/precision",
        "val/recall",
        "val/loss",
        "val/smoothed_loss",
    ]
    test: bool
    init_from: str | None
    frozen_epochs: Annotated[int, Field(ge=0)]


class CrossvalSettings(RunSettings):
    """The scalars of conf/crossval.yaml."""

    seeds: PositiveInt
    folds: list[Annotated[int, Field(ge=0)]] | None
    workers: PositiveInt | None


class LeaderboardFolder(BaseModel):
    """The part `leaderboard` of conf/leaderboard.yaml."""

    model_config = ConfigDict(extra="forbid")
    dir: str | None


class LeaderboardSettings(BaseModel):
    """The settings of conf/leaderboard.yaml."""

    models: list[str] | None
    sets: list[str] | None
    baselines: list[str]
    settings: list[str]
    seeds: PositiveInt
    folds: list[Annotated[int, Field(ge=0)]] | None
    workers: PositiveInt | None
    leaderboard: LeaderboardFolder


class SweepSettings(BaseModel):
    """What `sweep=` may hold; the space itself `asl.sweeps.space` checks."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")] | None
    n_trials: PositiveInt | None
    sampler: typing.Literal["random", "grid", "tpe", "cmaes", "gp", "nsga2"]
    sampler_options: dict[str, Any]
    pruner: typing.Literal["none", "median", "hyperband", "halving", "patient", "threshold"]
    pruner_options: dict[str, Any]
    second_objective: typing.Literal["size", "latency"] | None
    folds: PositiveInt
    seeds: PositiveInt
    final_seeds: Annotated[int, Field(ge=0)]
    max_failures: PositiveInt
    workers: PositiveInt
    launcher: typing.Literal["local", "slurm", "submitit_local"]
    launcher_options: dict[str, Any]
    storage: str
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    fixed: list[str]
    space: dict[str, Any]


class SignSettings(BaseModel):
    """The part `evaluate` of conf/evaluate.yaml."""

    model_config = ConfigDict(extra="forbid")
    dir: str | None
    labels: str | None
    signs: dict[str, str] | None
    unknown_signs: typing.Literal["refuse", "leave_out"]


class EvaluateSettings(BaseModel):
    """The settings of conf/evaluate.yaml."""

    evaluate: SignSettings


class ShowSettings(BaseModel):
    """The scalars of conf/show.yaml."""

    clip: str | int | None
    out: str | None
    run: str | int | None
    tflite: str | None
    every: PositiveInt


Port = Annotated[int, Field(ge=0, lt=2**16)]


class PageSettings(BaseModel):
    """The scalars of conf/page.yaml."""

    run: str | int | None
    tflite: str | None
    build: str | int | None
    name: str | int | float | None
    threshold: Annotated[float, Field(ge=0, le=1)]
    port: Port | None


class RecordSettings(BaseModel):
    """The scalars of conf/record.yaml."""

    signs: list[str | int | float]
    signer: str | int
    out: str
    clips: PositiveInt
    seconds: Annotated[float, Field(ge=0.5, le=20)]
    port: Port | None


class RetrainSettings(BaseModel):
    """The scalars of conf/retrain.yaml."""

    run: str
    epochs: PositiveInt | None
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None


class PrepareSettings(BaseModel):
    """The scalars of conf/prepare.yaml."""

    workers: PositiveInt | None


class DownloadSettings(BaseModel):
    """The part of `download` that is the same for every data set."""

    archive: Path | None
    keep_archive: bool


def download_settings(cfg: DictConfig) -> DownloadSettings:
    """The settings of conf/download.yaml; raises UserError for a value that is unsound."""
    try:
        settings = DownloadSettings.model_validate(dict(cfg.download))
    except ValidationError as error:
        fault = error.errors()[0]
        reason = fault["msg"].removeprefix("Input should be ")
        key = f"download.{fault['loc'][0]}={fault['input']}"
        raise UserError(f"{key}: should be {reason}") from error
    if settings.archive and not settings.archive.expanduser().is_file():
        raise UserError(f"download.archive={settings.archive}: there is no such file")
    return settings


MISSING = "data.source.missing"

GROUP_SCHEMAS: dict[str, type] = {
    "regularization": Regularization,
    "trainer": TrainerSettings,
    "data": DataSettings,
    "sweep": SweepSettings,
}


def checked(cfg: DictConfig, scalars: type[BaseModel] = RunSettings) -> dict[str, Any]:
    """A composed config as plain values, Hydra's own part left out.

    Args:
        cfg: the config.
        scalars: the keys that stand in no group.

    Raises:
        UserError: with every fault, a line each.
    """
    try:
        keys = [str(key) for key in cfg if key != "hydra"]
        plain = typing.cast(
            "dict[str, Any]",
            OmegaConf.to_container(
                OmegaConf.masked_copy(cfg, keys), resolve=True, throw_on_missing=True
            ),
        )
    except OmegaConfBaseException as error:
        raise UserError(first_line(error)) from error
    if found := list(faults(plain, scalars)):
        raise UserError("\n".join(found))
    return plain


def faults(plain: dict[str, Any], scalars: type[BaseModel] = RunSettings) -> Iterator[str]:
    """Every fault of a resolved config, each one sentence that names the key and the value."""
    yield from _not_finite(plain)
    yield from _schema_faults("", scalars, plain)
    for group, schema in GROUP_SCHEMAS.items():
        if group in plain:
            yield from _schema_faults(group, schema, plain[group])
    for key, node in _targets(plain):
        yield from _target_faults(key, node)


def _not_finite(plain: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Numbers that are infinite or NaN; NaN may be what marks a landmark as not detected."""
    for name, value in plain.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _not_finite(value, f"{key}.")
        elif key != MISSING and isinstance(value, float) and not math.isfinite(value):
            yield f"{key}={value}: should be a finite number"


def _schema_faults(key: str, schema: type, value: object) -> Iterator[str]:
    try:
        TypeAdapter(schema).validate_python(value)
    except ValidationError as error:
        yield from _sentences(key, error)


def _sentences(key: str, error: ValidationError) -> Iterator[str]:
    by_key: dict[str, tuple[object, list[str]]] = {}
    for fault in error.errors():
        path = ".".join(str(part) for part in (key, *fault["loc"][:1]) if str(part))
        reason = fault["msg"].removeprefix("Input should be ").removeprefix("a valid ")
        by_key.setdefault(path, (fault["input"], []))[1].append(reason)
    for path, (value, reasons) in by_key.items():
        yield f"{path}={value}: should be {', or '.join(reasons)}"


def _targets(plain: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, node in plain.items():
        if isinstance(node, dict):
            key = f"{prefix}{name}"
            if TARGET in node:
                yield key, node
            yield from _targets(node, f"{key}.")


def _target_faults(key: str, node: dict[str, Any]) -> Iterator[str]:
    group = key.partition(".")[0]
    try:
        target = locate(node[TARGET], PLACES.get(group, group))
    except UserError as error:
        yield f"{key}.{error}"
        return
    options = {name: value for name, value in node.items() if not name.startswith("_")}
    for fault in call_faults(target, options, SUPPLIED.get(key, ())):
        where = f"{key}.{fault.name}"
        if fault.kind == "unknown":
            yield f"{where}={fault.value}: there is no such option; choose from {fault.reason}"
        elif fault.kind == "type":
            yield f"{where}={fault.value}: should be {fault.reason}"
        else:
            yield f"{where}: {fault.reason}"
