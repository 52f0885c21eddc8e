"""submission.zip for Kaggle's competition Google – Isolated Sign Language Recognition."""

import json
import zipfile
from pathlib import Path

from asl.files import replacing
from asl.runtime.labels import LABELS

SUBMISSION = "submission.zip"
LAYOUT = "mediapipe_holistic"
SIGNS = 250
"""The competition's, in the order of their names, which is that of its label map."""

MAX_BYTES = 40e6
MAX_MS = 100.0
"""The competition's limits: model.tflite under 40 MB, under 100 ms per clip on average."""


def write_submission(tflite: Path, directory: Path) -> str:
    """Write submission.zip, with the file as model.tflite at its top, if Kaggle can read it.

    Args:
        tflite: an exported and verified file, so its signature is the competition's; labels inside.
        directory: for submission.zip.

    Returns:
        one sentence: what was written and whether Kaggle would score it, or why nothing was.
    """
    with zipfile.ZipFile(tflite) as archive:
        labels = json.loads(archive.read(LABELS))
    megabytes = tflite.stat().st_size / 1e6
    if labels["layout"] != LAYOUT:
        return f"no {SUBMISSION}: Kaggle's clips are {LAYOUT}, this model's {labels['layout']}"
    if tflite.stat().st_size >= MAX_BYTES:
        limit = MAX_BYTES / 1e6
        return f"no {SUBMISSION}: {tflite.name} has {megabytes:.2f} MB, Kaggle takes < {limit:.0f}"
    with (
        replacing(directory / SUBMISSION) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.write(tflite, "model.tflite")
    written = f"{directory / SUBMISSION} ({tflite.name}, {megabytes:.2f} MB)"
    signs = labels["signs"]
    if len(signs) != SIGNS or signs != sorted(signs):
        return f"{written}; its {len(signs)} signs are not Kaggle's {SIGNS}, which it would score"
    return written
