"""From a trained recognizer to verified files for the phone: ONNX, then TFLite."""

import os
import sys
from types import ModuleType
from typing import Any

# Read when onnxruntime is imported: without it, it reports to its maker and leaves files in HOME.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class ExportError(Exception):
    """An export that must not be used; names the file, the clip and by how much it differs."""


class _Callable(ModuleType):
    """Makes `asl.export(run)` work, since this package has the name of that function."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from asl.api import export

        return export(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
