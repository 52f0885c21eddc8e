"""An object from a mapping that names its class: `{"_target_": "asl….Cnn", "hidden": 64}`.

Such mappings are what configs resolve to, what checkpoints keep of a recognizer, and what a run's
config.yaml records; plain Python reads them again. Checkpoints and runs may come from strangers, so
a mapping names only what `CLASSES` and `FUNCTIONS` allow in its place, or what a package defines
that the user named (`allow_plugins`).
"""

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from asl.errors import UserError

TARGET = "_target_"
PLUGINS = "ASL_PLUGINS"  # environment variable, so that worker processes inherit it

# Where the classes and functions are defined that a mapping may name, by the mapping's place.
CLASSES = {
    "augment": ("asl.training.augment",),
    "features": ("asl.recognizer.preprocessing.features",),
    "handedness": ("asl.recognizer.preprocessing.handedness",),
    "impute": ("asl.recognizer.preprocessing.impute",),
    "head": ("asl.recognizer.heads",),
    "model": ("asl.recognizer.backbones",),
    "origin": ("asl.fetch",),
    "scaler": ("asl.recognizer.preprocessing",),
    "source": ("asl.clips.sources",),
}
FUNCTIONS = {
    "optimizer": ("asl.training.optimizer.build_optimizer",),
    "scaler": ("asl.recognizer.preprocessing.scalers.auto",),
    "source": (
        "asl.clips.sources.npy.described_npy",
        "asl.clips.sources.npz.described_npz",
        "asl.clips.synthetic.generator.synthetic_source",
    ),
    "split": ("asl.clips.splits",),
}

# Class paths in checkpoints and run configs of version 0.1, and what they are called now.
_SCALERS = "asl.recognizer.preprocessing.scalers"
MOVED_CLASSES = {
    "asl.recognizer.handedness.OneHanded": (
        "asl.recognizer.preprocessing.handedness.CanonicalHandedness"
    ),
    "asl.recognizer.head.Head": "asl.recognizer.heads.linear.LinearHead",
    "asl.recognizer.scalers.Fitted": f"{_SCALERS}.StatisticsScaler",
    "asl.recognizer.scalers.Unscaled": f"{_SCALERS}.Identity",
    "asl.recognizer.scalers.usual": f"{_SCALERS}.auto",
}
MOVED_MODULES = {
    "asl.clips.gislr": "asl.clips.sources.gislr",
    "asl.clips.npy": "asl.clips.sources.npy",
    "asl.clips.npz": "asl.clips.sources.npz",
    "asl.clips.synthetic": "asl.clips.synthetic.generator",
    "asl.recognizer.arcface": "asl.recognizer.heads.arcface",
    "asl.recognizer.cnn": "asl.recognizer.backbones.cnn",
    "asl.recognizer.conv_gru": "asl.recognizer.backbones.conv_gru",
    "asl.recognizer.conv_transformer": "asl.recognizer.backbones.conv_transformer",
    "asl.recognizer.features": "asl.recognizer.preprocessing.features",
    "asl.recognizer.handedness": "asl.recognizer.preprocessing.handedness",
    "asl.recognizer.head": "asl.recognizer.heads.linear",
    "asl.recognizer.recurrent": "asl.recognizer.backbones.recurrent",
    "asl.recognizer.scalers": "asl.recognizer.preprocessing.scalers",
    "asl.recognizer.skeleton": "asl.recognizer.preprocessing.skeleton",
    "asl.recognizer.transformer": "asl.recognizer.backbones.transformer",
}

# Values of options that were spelled otherwise: by class and option.
RENAMED_VALUES = {
    ("asl.recognizer.preprocessing.features.Features", "terms"): {"reach": "distances"},
}
PLACES = {"data": "source", "download": "origin"}
"""The places of config groups that have other names than these."""


def allow_plugins(packages: Sequence[str]) -> None:
    """Let mappings name what these packages define, in this process and those that it starts."""
    os.environ[PLUGINS] = ",".join(dict.fromkeys([*_plugins(), *packages]))


def _plugins() -> list[str]:
    return [name for name in os.environ.get(PLUGINS, "").split(",") if name]


def locate(path: str, place: str) -> Callable[..., Any]:
    """The class or function of a dotted path, a moved one at its present place.

    Args:
        path: its module and name.
        place: a key of `CLASSES` or `FUNCTIONS`: what the class or function is used as.

    Raises:
        UserError: it is not allowed in this place, in which case its module is not imported; there
            is no such module, or nothing of that name in it.
    """
    path = current_path(str(path))
    module, _, name = path.rpartition(".")
    classes = (*CLASSES.get(place, ()), *_plugins())
    functions = (*FUNCTIONS.get(place, ()), *_plugins())
    refusal = UserError(
        f"{TARGET}={path}: is not allowed here; choose what {' or '.join(classes or functions)} "
        "defines, or name the package of your own class with plugins=[PACKAGE]"
    )
    if not _within(path, (*classes, *functions)):
        raise refusal
    try:
        target = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{TARGET}={path}: there is no such class or function") from error
    if not callable(target):
        raise UserError(f"{TARGET}={path}: is no class or function")
    # A module also has the names that it imports, subprocess.run perhaps.
    defined = f"{getattr(target, '__module__', '')}.{name}"
    if not _within(defined, classes if isinstance(target, type) else functions):
        raise refusal
    return target


def _within(path: str, places: Sequence[str]) -> bool:
    return any(f"{path}.".startswith(f"{place}.") for place in places)


def current_path(path: str) -> str:
    """A class path of an older version as this version spells it."""
    if path in MOVED_CLASSES:
        return MOVED_CLASSES[path]
    module, _, name = path.rpartition(".")
    return f"{MOVED_MODULES.get(module, module)}.{name}"


def factory(node: Mapping[str, Any], place: str) -> "partial[Any]":
    """The class that a mapping names with the options that it gives, to be called with the rest.

    Raises:
        UserError: it names no class, or one that is not allowed in this place (see `locate`).
    """
    if not isinstance(node, Mapping) or TARGET not in node:
        raise UserError(f"{place}: names no class with {TARGET}")
    options = {
        key: current_value(node[TARGET], key, value) for key, value in node.items() if key != TARGET
    }
    try:
        return partial(locate(node[TARGET], place), **options)
    except UserError as error:
        raise UserError(f"{place}.{error}") from error


def current_value(path: str, option: str, value: Any) -> Any:
    """The value of a class's option, which an older version may have recorded, spelled as today."""
    renamed = RENAMED_VALUES.get((current_path(path), option))
    if renamed is None:
        return value
    return [renamed.get(item, item) for item in value]


def describe(make: "Callable[..., Any] | Mapping[str, Any]") -> dict[str, Any]:
    """The mapping that `factory` turns into this class, function or partial of one."""
    if isinstance(make, Mapping):
        return dict(make)
    function, options = (make.func, make.keywords) if isinstance(make, partial) else (make, {})
    return {TARGET: f"{function.__module__}.{function.__qualname__}", **options}


def former_spelling(values: Any) -> Any:
    """Nested plain values with class paths and option values as version 0.1 spelled them."""
    if isinstance(values, list):
        return [former_spelling(value) for value in values]
    if not isinstance(values, Mapping):
        return values
    former = {key: former_spelling(value) for key, value in values.items()}
    if path := values.get(TARGET):
        former[TARGET] = _former_path(path)
        for (owner, option), renamed in RENAMED_VALUES.items():
            if path == owner and option in values:
                old = {new: name for name, new in renamed.items()}
                former[option] = [old.get(item, item) for item in values[option]]
    return former


def _former_path(path: str) -> str:
    classes = {new: old for old, new in MOVED_CLASSES.items()}
    if path in classes:
        return classes[path]
    module, _, name = path.rpartition(".")
    modules = {new: old for old, new in MOVED_MODULES.items()}
    return f"{modules.get(module, module)}.{name}"
