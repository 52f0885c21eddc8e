"""The label map of a .tflite: the signs in the order of its outputs, and how it was made."""

import contextlib
import json
import zipfile
from pathlib import Path
from typing import Any

from asl.errors import UserError

LABELS = "labels.json"
"""A zip entry behind the model in the .tflite, and a file beside it."""

LABELS_TEXT = "labels.txt"
"""The signs alone, one per line, where TFLite's metadata expects them: a zip entry too."""


def read_labels(model_path: str | Path) -> list[str]:
    """The signs in the order of the outputs.

    They are read from labels.json or labels.txt in the file, else from labels.json beside it.

    Raises:
        UserError: there is no label map in either place.
    """
    if facts := read_facts(model_path):
        return list(facts["signs"])
    with contextlib.suppress(zipfile.BadZipFile, KeyError), zipfile.ZipFile(model_path) as archive:
        return archive.read(LABELS_TEXT).decode().splitlines()
    beside = Path(model_path).with_name(LABELS)
    if not beside.is_file():
        raise UserError(f"{model_path}: has no label map inside and no {LABELS} beside it")
    try:
        return list(json.loads(beside.read_text(encoding="utf-8"))["signs"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'{beside}: must be a JSON object with the list "signs"') from error


def read_facts(model_path: str | Path) -> dict[str, Any]:
    """The labels.json in a file: signs, inputs, preprocessing, run; empty if it has none."""
    with contextlib.suppress(zipfile.BadZipFile, KeyError), zipfile.ZipFile(model_path) as archive:
        return dict(json.loads(archive.read(LABELS)))
    return {}
