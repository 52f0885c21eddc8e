"""A recognizer as an ONNX graph with a free number of frames."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from asl.export import ExportError
from asl.export.onnx.recurrent import TRANSLATIONS, replace_recurrent_layers
from asl.export.parity.diagnosis import diagnose
from asl.export.variants import ONNX_TOLERANCE
from asl.landmarks import Layout
from asl.recognizer.recognizer import Recognizer
from asl.runtime.litert import pad_frames

OPSET = 20  # the first with Gelu as one operator
LENGTHS = (1, 2, 3, 30, 137)  # frames at which the exported graph is tried


class ExportedForward(nn.Module):
    """A copy of a recognizer whose forward is `describe`: torch.export traces forward only.

    In the copy, recurrent layers are replaced by their exportable form.

    Args:
        recognizer: to be exported.
        padded: whether frames at the end of a clip without any landmark are padding.
    """

    def __init__(self, recognizer: Recognizer, padded: bool = False) -> None:
        super().__init__()
        self.padded = padded
        self.recognizer = copy.deepcopy(recognizer)
        replace_recurrent_layers(self.recognizer)

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs for a clip `[n, N, C]`: probabilities `[signs]`, embedding `[width]`."""
        return tuple(self.recognizer.describe(inputs, padded=self.padded).values())


def to_onnx(recognizer: Recognizer, path: Path, frames: int | None = None) -> None:
    """Write `recognizer.describe` as ONNX: `inputs` [n, N, C], n free -> `outputs` and others.

    The graph is then run at several lengths: PyTorch can freeze a free axis without any error.

    Args:
        recognizer: on the CPU, in evaluation mode.
        path: the file to write.
        frames: a fixed n, of which those at the end without any landmark do not count; None: free.

    Raises:
        ExportError: the graph cannot be made, does not run at some length, or differs from the
            recognizer.
    """
    layout = recognizer.landmarks.layout
    with torch.inference_mode():
        names = list(recognizer.describe(random_clip(1, layout)))
    with _quiet():
        try:
            program = torch.onnx.export(
                ExportedForward(recognizer, padded=frames is not None).eval(),
                (random_clip(frames or 37, layout),),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=None if frames else {"inputs": {0: torch.export.Dim("n", min=1)}},
                input_names=["inputs"],
                output_names=names,
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
        except Exception as error:  # the exporter's own classes are many and private
            raise ExportError(f"PyTorch could not export the model to ONNX: {error}") from error
    assert program is not None
    program.save(path)
    _check_lengths(recognizer, path, layout, frames)


def _check_lengths(
    recognizer: Recognizer, path: Path, layout: Layout, fixed: int | None = None
) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for frames in (n for n in LENGTHS if n <= (fixed or n)):
        clip = random_clip(frames, layout)
        inputs = pad_frames(clip.numpy(), fixed or frames)
        try:
            (probabilities,) = session.run(["outputs"], {"inputs": inputs})
        except Exception as error:
            raise ExportError(
                f"The ONNX graph does not run on a clip of {frames} frames: {error}"
            ) from error
        with torch.inference_mode():
            expected = recognizer.recognise(clip).numpy()
        difference = float(np.abs(probabilities - expected).max())
        if not difference <= ONNX_TOLERANCE.difference:
            exported = ExportedForward(recognizer, padded=fixed is not None).eval()
            where = diagnose(exported, path, inputs)
            raise ExportError(
                f"onnx: differs from PyTorch by {difference:.1e} on a clip of {frames} frames. "
                f"{where}".rstrip()
            )


def random_clip(frames: int, layout: Layout) -> Tensor:
    """A clip [frames, landmarks, C] of random numbers, a fifth of its landmarks missing."""
    generator = torch.Generator().manual_seed(frames)
    clip = torch.rand(frames, layout.size, len(layout.channels), generator=generator)
    clip[torch.rand(frames, layout.size, generator=generator) < 0.2] = torch.nan
    return clip


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's progress and its warnings about optional packages."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
