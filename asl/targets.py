"""An object from a mapping that names its class: `{"_target_": "asl….Cnn", "hidden": 64}`.

Such mappings are what configs resolve to, what checkpoints keep of a recognizer, and what a run's
config.yaml records; plain Python reads them again.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from asl.errors import UserError

TARGET = "_target_"

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


def locate(path: str) -> Callable[..., Any]:
    """The class or function of a dotted path, a moved one at its present place.

    Raises:
        UserError: there is no such module, or nothing of that name in it.
    """
    module, _, name = current_path(path).rpartition(".")
    try:
        target = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{TARGET}={path}: there is no such class or function") from error
    if not callable(target):
        raise UserError(f"{TARGET}={path}: is no class or function")
    return target


def current_path(path: str) -> str:
    """A class path of an older version as this version spells it."""
    if path in MOVED_CLASSES:
        return MOVED_CLASSES[path]
    module, _, name = path.rpartition(".")
    return f"{MOVED_MODULES.get(module, module)}.{name}"


def factory(node: Mapping[str, Any]) -> "partial[Any]":
    """The class that a mapping names with the options that it gives, to be called with the rest."""
    options = {
        key: current_value(node[TARGET], key, value) for key, value in node.items() if key != TARGET
    }
    return partial(locate(node[TARGET]), **options)


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
