"""The room that knows Hydra: where configs are, whether one makes sense, what it builds.

The library takes plain values. Commands have a composed config checked here as a whole, and hand
its parts on.
"""

import inspect
import os
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from hydra.errors import HydraException
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

import asl
from asl.errors import UserError

if typing.TYPE_CHECKING:
    from asl.recognizer.recognizer import Recognizer

PROJECT = Path(asl.__file__).resolve().parents[1]
CONF = PROJECT / "conf"

# The groups whose choices make a recognizer.
RECOGNIZER_GROUPS = ("landmarks", "handedness", "scaler", "features", "model", "head")

# What a group's constructor is given beside its config.
GIVEN = {
    "handedness": ("landmarks",),
    "scaler": ("landmarks",),
    "model": ("inputs",),
    "head": ("width", "signs"),
    "split": ("signs", "signers"),
    "optimizer": ("parameters", "steps"),
}


def raw_data(name: str) -> str:
    """A data set's folder: in $ASL_SHARED_DATA, data/raw, or shared/data beside the project."""
    shared = os.environ.get("ASL_SHARED_DATA")
    places = [Path(shared) / name] if shared else []
    places += [PROJECT / "data" / "raw" / name, PROJECT.parent / "shared" / "data" / name]
    return str(next((place for place in places if place.exists()), PROJECT / "data" / "raw" / name))


def register_resolvers() -> None:
    """Make `${project:PATH}` and `${raw_data:NAME}` known to configs."""
    OmegaConf.register_new_resolver("project", lambda path: str(PROJECT / path), replace=True)
    OmegaConf.register_new_resolver("raw_data", raw_data, replace=True)


class RegularizationSettings(BaseModel):
    """What `regularization=` may hold; dropouts reach the network by interpolation."""

    model_config = ConfigDict(extra="forbid")
    dropout: Annotated[float, Field(ge=0, lt=1)]
    head_dropout: Annotated[float, Field(ge=0, lt=1)]
    recurrent_dropout: Annotated[float, Field(ge=0, lt=1)]
    attention_dropout: Annotated[float, Field(ge=0, lt=1)]
    head_l1: Annotated[float, Field(ge=0)]
    head_l2: Annotated[float, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    join: Annotated[float, Field(ge=0, le=1)]
    swap_hands: Annotated[float, Field(ge=0, le=1)]
    mixup: Annotated[float, Field(ge=0, le=1)]
    mixup_alpha: Annotated[float, Field(gt=0)]
    r_drop: Annotated[float, Field(ge=0)]
    ema: Annotated[float, Field(ge=0, lt=1)]
    awp: Annotated[float, Field(ge=0)]
    late_dropout: Annotated[float, Field(ge=0, lt=1)]
    late_start: Annotated[int, Field(ge=0)]
    settle: Annotated[int, Field(ge=0)]
    gradient_clip: Annotated[float, Field(gt=0)] | None
    early_stopping: "EarlyStoppingSettings | None"


class EarlyStoppingSettings(BaseModel):
    """Stop after `patience` epochs in which the monitored value did not improve by `min_delta`."""

    model_config = ConfigDict(extra="forbid")
    patience: PositiveInt
    min_delta: Annotated[float, Field(ge=0)] = 0.0


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
    batch_size: PositiveInt
    workers: Annotated[int, Field(ge=0)]
    like_length: bool


class RunSettings(BaseModel):
    """The scalars of conf/train.yaml."""

    model_config = ConfigDict(extra="ignore")
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    monitor: typing.Literal[
        "val/f1", "val/accuracy", "val/accuracy_top5", "val/precision", "val/recall", "val/loss"
    ]
    test: bool


class CrossvalSettings(RunSettings):
    """The scalars of conf/crossval.yaml."""

    seeds: PositiveInt
    folds: list[Annotated[int, Field(ge=0)]] | None
    workers: PositiveInt | None


class SweepSettings(BaseModel):
    """What `sweep=` may hold; the space itself `asl.sweeps.space` checks."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern=r"^[\w.+-]+$")] | None
    n_trials: PositiveInt | None
    sampler: typing.Literal["random", "grid", "tpe", "cmaes", "gp", "nsga2"]
    sampler_options: dict[str, Any]
    pruner: typing.Literal["none", "median", "hyperband", "halving", "patient", "threshold"]
    pruner_options: dict[str, Any]
    against: typing.Literal["size", "latency"] | None
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


class PrepareSettings(BaseModel):
    """The scalars of conf/prepare.yaml."""

    model_config = ConfigDict(extra="ignore")
    workers: PositiveInt | None


GROUP_SCHEMAS: dict[str, type[BaseModel]] = {
    "regularization": RegularizationSettings,
    "trainer": TrainerSettings,
    "data": DataSettings,
    "sweep": SweepSettings,
}


def check(cfg: DictConfig, scalars: type[BaseModel] = RunSettings) -> None:
    """Check a composed config as a whole, before anything starts.

    Args:
        cfg: the config.
        scalars: the keys that stand in no group.

    Raises:
        UserError: with every fault, a line each.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(str(error).splitlines()[0]) from error
    found = list(faults(typing.cast("dict[str, Any]", plain), scalars))
    if found:
        raise UserError("\n".join(found))


def faults(plain: dict[str, Any], scalars: type[BaseModel] = RunSettings) -> Iterator[str]:
    """Every fault of a resolved config, each one sentence that names the key and the value."""
    yield from _schema_faults("", scalars, plain)
    for group, schema in GROUP_SCHEMAS.items():
        if group in plain:
            yield from _schema_faults(group, schema, plain[group])
    for key, node in _targets(plain):
        given = GIVEN.get(key, ())
        yield from _target_faults(key, node, given)


def _schema_faults(key: str, schema: type[BaseModel], value: object) -> Iterator[str]:
    try:
        schema.model_validate(value)
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
            if "_target_" in node:
                yield key, node
            yield from _targets(node, f"{key}.")


def _target_faults(key: str, node: dict[str, Any], given: Sequence[str]) -> Iterator[str]:
    try:
        target: Callable[..., Any] = get_method(node["_target_"])
    except (HydraException, ImportError, ValueError):
        yield f"{key}._target_={node['_target_']}: there is no such class or function"
        return
    parameters = inspect.signature(target).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    arguments = {name: value for name, value in node.items() if not name.startswith("_")}
    hints = typing.get_type_hints(
        target.__init__ if inspect.isclass(target) else target, include_extras=True
    )
    for name, value in arguments.items():
        if name not in parameters and not open_ended:
            known = ", ".join(p for p in parameters if p not in given)
            yield f"{key}.{name}={value}: there is no such option; choose from {known}"
        elif name in hints and not isinstance(value, dict):
            yield from _type_faults(f"{key}.{name}", hints[name], value)
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if required and name not in arguments and name not in given:
            yield f"{key}.{name}: a value is missing"


def _type_faults(key: str, hint: Any, value: object) -> Iterator[str]:
    try:
        TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reasons = {fault["msg"].removeprefix("Input should be ") for fault in error.errors()}
        yield f"{key}={value}: should be {', or '.join(sorted(reasons))}"
    except (PydanticSchemaGenerationError, PydanticUserError):
        return  # an annotation that pydantic can't judge, a callable or a module, say


def recognizer_spec(cfg: DictConfig) -> dict[str, Any]:
    """The plain values from which a recognizer can be built again; they travel in checkpoints."""
    plain = typing.cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    return {group: plain[group] for group in RECOGNIZER_GROUPS if group in plain}


def build(node: Mapping[str, Any], **given: Any) -> Any:
    """Call a node's `_target_` with its options and with what is given.

    Objects passed to `instantiate` itself Hydra would turn into configs.
    """
    return instantiate(dict(node), _partial_=True, _convert_="all")(**given)


def build_recognizer(spec: Mapping[str, Any], signs: Sequence[str]) -> "Recognizer":
    """Build the recognizer that a spec describes, with fresh weights.

    Args:
        spec: as `recognizer_spec` gives it, or an ensemble's, whose `members` are such specs.
        signs: in the order of the logits.

    Raises:
        UserError: if the spec names unknown landmarks.
    """
    from asl.landmarks import landmark_set
    from asl.recognizer.ensemble import Ensemble
    from asl.recognizer.recognizer import Recognizer

    if "members" in spec:
        return Ensemble([build_recognizer(member, signs) for member in spec["members"]])
    landmarks = landmark_set(spec["landmarks"]["name"])
    features = build(spec["features"], landmarks=landmarks)
    backbone = build(spec["model"], inputs=features.size(landmarks.size))
    # Recognizers from before there was a choice see clips as recorded.
    handedness = spec.get("handedness")
    return Recognizer(
        landmarks=landmarks,
        scaler=build(spec["scaler"], landmarks=landmarks),
        features=features,
        backbone=backbone,
        head=build(spec["head"], width=backbone.width, signs=len(signs)),
        signs=signs,
        handedness=build(handedness, landmarks=landmarks) if handedness else None,
    )
