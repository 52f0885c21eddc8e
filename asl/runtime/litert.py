"""Opening a .tflite in LiteRT, TFLite's interpreter."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError, first_line
from asl.native import silent_stderr

Predictor = Callable[[np.ndarray], np.ndarray]
"""A clip, float32 [n, N, C] with NaN = not detected, to probabilities, float32 [signs]."""

Describer = Callable[[np.ndarray], dict[str, np.ndarray]]
"""A clip to all outputs of a file: by their names, float32 [size]."""

SERVING = "serving_default"
"""The signature of the GISLR competition: probabilities alone."""

RECOGNISE = "recognise"
"""The signature with all outputs. Files of other programs and of earlier versions lack it."""

OUTPUTS = ("outputs", "embedding", "unknown")
"""Outputs of `recognise`: probabilities [signs]; a vector of length 1 that is near those of like
clips; and in files that were calibrated, a score from 0 to 1 that the clip shows none of the
signs."""

_MOST_NUMBERS = 300_000  # of a frame


def load(path: str | Path, threads: int = 1) -> Predictor:
    """Open a .tflite of the GISLR competition's contract.

    Args:
        path: its signature is serving_default: inputs [n, N, C] -> outputs [signs]; C is 3 but for
            layouts with measured channels. Where n is fixed, clips of fewer frames are padded with
            frames of nothing.
        threads: of LiteRT.

    Returns:
        a function from clip to probabilities, which raises ValueError for a clip of another shape.

    Raises:
        UserError: there is no such file, it is not a TFLite file, or it has another signature.
    """
    describe = load_all(path, threads, SERVING)
    return lambda clip: describe(clip)["outputs"]


def load_all(path: str | Path, threads: int = 1, signature: str = RECOGNISE) -> Describer:
    """As `load`, for all outputs of the file.

    Args:
        path: of the file.
        threads: of LiteRT.
        signature: whose outputs are given; those of `serving_default` where the file lacks it.
    """
    if not os.path.isfile(path):  # Path.is_file raises where the name is too long
        raise UserError(f"{path}: there is no such file; `asl export` writes one")
    try:
        opened = interpreter(path, threads)
        known = signature in opened.get_signature_list()
        run = opened.get_signature_runner(signature if known else SERVING)
        inputs = run.get_input_details()["inputs"]
        landmarks, channels = map(int, inputs["shape"][1:])
        fixed = max(int(inputs["shape_signature"][0]), 0)  # -1 where it is free
        if landmarks < 1 or channels < 3 or landmarks * channels > _MOST_NUMBERS:
            raise ValueError(f"its inputs have {landmarks} landmarks of {channels} numbers")
        with silent_stderr():
            run(inputs=np.full((fixed or 1, landmarks, channels), np.nan, np.float32))["outputs"]
    except Exception as error:  # the file may be anybody's, and damaged
        raise UserError(
            f"{path}: not a TFLite file with the signature serving_default: "
            f"inputs [n, N, C] -> outputs [signs] ({first_line(error)})"
        ) from error

    def describe(clip: np.ndarray) -> dict[str, np.ndarray]:
        if clip.ndim != 3 or clip.shape[1:] != (landmarks, channels) or not len(clip):
            raise ValueError(
                f"has the shape {list(clip.shape)}, the model reads [n, {landmarks}, {channels}]"
            )
        padded = pad_frames(clip, fixed or len(clip))
        answers = run(inputs=np.ascontiguousarray(padded, np.float32))
        return {name: answers[name].reshape(-1) for name in OUTPUTS if name in answers}

    return describe


def pad_frames(clip: np.ndarray, frames: int) -> np.ndarray:
    """A clip `[n, N, C]` with frames of NaN at its end, `[frames, N, C]`.

    Raises:
        ValueError: it has more frames.
    """
    if len(clip) > frames:
        raise ValueError(f"has {len(clip)} frames, the model takes at most {frames}")
    missing = np.full((frames - len(clip), *clip.shape[1:]), np.nan, clip.dtype)
    return np.concatenate([clip, missing]) if len(missing) else clip


def load_fixed(path: str | Path, shape: Sequence[int], threads: int = 1) -> Predictor:
    """Open a .tflite for inputs of one shape; its tensors are allocated once, here.

    Args:
        path: a model with one input; its first output is taken.
        shape: of the input.
        threads: of LiteRT.

    Raises:
        ValueError, RuntimeError: it is not a TFLite file, or does not take this shape.
    """
    model = interpreter(path, threads)
    inputs = model.get_input_details()[0]["index"]
    outputs = model.get_output_details()[0]["index"]
    model.resize_tensor_input(inputs, shape)
    with silent_stderr():
        model.allocate_tensors()

    def predictor(clip: np.ndarray) -> np.ndarray:
        model.set_tensor(inputs, clip)
        model.invoke()
        return model.get_tensor(outputs)

    return predictor


def interpreter(path: str | Path, threads: int = 1) -> Any:
    """A LiteRT interpreter; raises ValueError or RuntimeError if the file is not TFLite."""
    from ai_edge_litert.interpreter import Interpreter

    with silent_stderr():
        return Interpreter(str(path), num_threads=threads)
