"""A workbench for isolated sign recognition from body landmarks.

The public API is loaded when it is used:

    import asl

    run = asl.train(asl.plan("data=words15", "model=cnn", "split.test=[3]"))
    run.metrics["test/accuracy"]
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asl.api import (
        crossval,
        evaluate,
        export,
        find_runs,
        load_recognizer,
        make_split,
        open_store,
        plan,
        predict,
        train,
    )

__version__ = "0.2.0"

__all__ = [
    "crossval",
    "evaluate",
    "export",
    "find_runs",
    "load_recognizer",
    "make_split",
    "open_store",
    "plan",
    "predict",
    "train",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if name == "export":  # a room too: the module itself is callable
        return importlib.import_module("asl.export")
    return getattr(importlib.import_module("asl.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
