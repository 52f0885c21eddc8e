"""The models of MediaPipe's legacy Holistic, taken once from its wheel and run by LiteRT.

MediaPipe 0.10.21 is the last release whose wheel contains them (Apache License 2.0); later ones
report their use to their maker. Nothing of MediaPipe but these files is used, and nothing here
touches the network but `fetch`, for which pip does.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError
from asl.files import replacing_in
from asl.native import silent_stderr
from asl.paths import PROJECT

FOLDER = PROJECT / "data" / "models" / "mediapipe-0.10.21"
FETCH = "asl landmarks --get-models"

_RELEASE = "mediapipe==0.10.21"
_WHEEL = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
# The models are the same in every wheel; this one is named so that one checksum can be pinned.
_PLATFORM = ["--python-version=3.11", "--implementation=cp", "--abi=cp311"]
_PLATFORM += ["--platform=manylinux_2_28_x86_64", "--only-binary=:all:", "--no-deps"]

_MODELS = {
    "pose_detection/pose_detection.tflite": (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
    ),
    "pose_landmark/pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
    "holistic_landmark/hand_recrop.tflite": (
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d"
    ),
    "hand_landmark/hand_landmark_full.tflite": (
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"
    ),
    "face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
    "face_landmark/face_landmark.tflite": (
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
    ),
}
"""Path under `mediapipe/modules/` in the wheel, and SHA-256."""


class Model:
    """A .tflite file with one picture as its input.

    Args:
        name: of the file, without its ending.
        folder: where it lies.

    Raises:
        UserError: it is not there, or not the file that MediaPipe 0.10.21 has.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        from ai_edge_litert.interpreter import Interpreter

        path = str(_checked(name, folder))
        with silent_stderr():
            self._model: Any = Interpreter(path, num_threads=1)
            self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]["index"]
        self._outputs = [each["index"] for each in self._model.get_output_details()]

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        """The outputs, float32, for a picture, float32 [side, side, 3]."""
        self._model.set_tensor(self._input, picture[None])
        self._model.invoke()
        return [self._model.get_tensor(index) for index in self._outputs]


def _checked(name: str, folder: Path) -> Path:
    path = folder / f"{name}.tflite"
    if not path.is_file():
        raise UserError(f"{path}: there is no such model; `{FETCH}` fetches it")
    wanted = next(digest for member, digest in _MODELS.items() if Path(member).name == path.name)
    if hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
        raise UserError(f"{path}: is not MediaPipe 0.10.21's; `{FETCH}` replaces it")
    return path


def are_there(folder: Path = FOLDER) -> bool:
    """Whether all models lie in the folder, unchecked."""
    return all((folder / Path(member).name).is_file() for member in _MODELS)


def fetch(wheel: Path | None = None, folder: Path = FOLDER) -> list[Path]:
    """Puts the models into a folder.

    Args:
        wheel: of MediaPipe 0.10.21, for any system; None to let pip download one (35 MB).
        folder: made if need be.

    Returns:
        The files.

    Raises:
        UserError: pip cannot get the wheel, or it does not hold the models of that release.
    """
    with tempfile.TemporaryDirectory() as scratch:
        found = wheel or _downloaded(Path(scratch))
        with replacing_in(folder) as unpacked:
            for name, content in _members(found):
                (unpacked / name).write_bytes(content)
    return [folder / Path(member).name for member in _MODELS]


def _downloaded(folder: Path) -> Path:
    """The wheel, by pip with the user's own settings of it, which checks the checksum."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{_RELEASE} --hash=sha256:{_WHEEL}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", *_PLATFORM]
    done = subprocess.run(
        [*command, f"--dest={folder}", f"--requirement={wanted}"], stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        reason = (errors or lines[-1:] or ["no reason given"])[0]
        raise UserError(
            f"pip can't download {_RELEASE} ({reason}); with a wheel of it at hand: {FETCH}=WHEEL"
        )
    return next(folder.glob("*.whl"))


def _members(wheel: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member, digest in _MODELS.items():
                content = archive.read(f"mediapipe/modules/{member}")
                if hashlib.sha256(content).hexdigest() != digest:
                    raise UserError(f"{wheel}: its {member} is not that of {_RELEASE}")
                yield Path(member).name, content
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{wheel}: is no wheel of {_RELEASE} ({error})") from error
