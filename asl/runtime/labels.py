"""The label map of a .tflite: the signs in the order of its outputs, and how it was made."""

import json
import zipfile
from pathlib import Path
from typing import Any

from asl.errors import UserError, first_line
from asl.terminal import encodable

LABELS = "labels.json"
"""A zip entry behind the model in the .tflite, and a file beside it."""

LABELS_TEXT = "labels.txt"
"""The signs alone, one per line, where TFLite's metadata expects them: a zip entry too."""


_MOST_BYTES = 10_000_000  # of a label map: a small zip entry may unpack to any size


def read_labels(model_path: str | Path, labels: str | Path | None = None) -> list[str]:
    """The signs in the order of the outputs.

    Args:
        model_path: of the .tflite.
        labels: a file with them: a .json with a list of names, with an object that has such a list
            as "signs", or with an object from names to places, as the GISLR competition's
            sign_to_prediction_index_map.json; or text with a name a line. Where None, labels.json
            or labels.txt in the .tflite are read, else labels.json beside it.

    Raises:
        UserError: there is no label map, or it is none.
    """
    if labels is not None:
        return _from_file(Path(labels))
    if LABELS in (entries := _entries(model_path)):
        return _signs(f"{model_path}: its {LABELS}", entries[LABELS])
    if LABELS_TEXT in entries:
        return entries[LABELS_TEXT].decode("utf-8", "replace").splitlines()
    beside = Path(model_path).with_name(LABELS)
    if not beside.is_file():
        missing = f"has no label map inside and no {LABELS} beside it; --labels FILE names one"
        raise UserError(f"{model_path}: {missing}")
    return _from_file(beside)


def _from_file(path: Path) -> list[str]:
    try:
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise UserError(f"{path}: has {size:,} bytes, which no label map has")
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if path.suffix.lower() == ".json":
        return _signs(str(path), text)
    return text.decode("utf-8", "replace").splitlines()


def read_facts(model_path: str | Path) -> dict[str, Any]:
    """The labels.json in a file: signs, inputs, preprocessing, run.

    Empty where it has none, or one of a form that holds signs alone, as `read_labels` takes it.

    Raises:
        UserError: it is no JSON.
    """
    entries = _entries(model_path)
    facts = _json(f"{model_path}: its {LABELS}", entries[LABELS]) if LABELS in entries else {}
    return facts if isinstance(facts, dict) else {}


def read_threshold(model_path: str | Path) -> float | None:
    """The score `unknown` from which on a file names no sign; None where it does not say."""
    try:
        rejection = read_facts(model_path).get("rejection")
    except UserError:  # `read_labels` says so, where it is needed
        return None
    threshold = rejection.get("threshold") if isinstance(rejection, dict) else None
    # JSON has whole numbers of any size, which may be too large for a float.
    if isinstance(threshold, int | float) and 0 <= threshold <= 1:
        return float(threshold)
    return None


def _entries(model_path: str | Path) -> dict[str, bytes]:
    """The label maps in the zip behind a model; raises UserError where they are damaged."""
    try:
        if not zipfile.is_zipfile(model_path):
            return {}
        with zipfile.ZipFile(model_path) as archive:
            found = [info for info in archive.infolist() if info.filename in (LABELS, LABELS_TEXT)]
            if any(info.file_size > _MOST_BYTES for info in found):
                raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
            return {info.filename: archive.read(info) for info in found}
    except Exception as error:  # zipfile has no one exception for damage
        raise UserError(f"{model_path}: its label map cannot be read ({error})") from error


def _signs(where: str, text: bytes) -> list[str]:
    signs = _json(where, text)
    if isinstance(signs, dict) and isinstance(signs.get("signs"), list):
        signs = signs["signs"]
    if isinstance(signs, dict) and set(map(str, signs.values())) == set(
        map(str, range(len(signs)))
    ):
        signs = sorted(signs, key=lambda sign: int(signs[sign]))
    if not isinstance(signs, list) or not all(isinstance(sign, str) for sign in signs):
        forms = 'a list of names, an object with it as "signs", or one from names to 0, 1, 2, …'
        raise UserError(f"{where}: must be {forms}")
    return [encodable(sign) for sign in signs]


def _json(where: str, text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: is no JSON ({first_line(error)})") from error
