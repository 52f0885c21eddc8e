"""The process that turns a recognizer into TFLite files: `python -m asl.export.litert_convert`.

Its arguments are a recognizer as `torch.save` writes it, and JSON that maps each variant to the
file to write. `asl.export.litert.to_tflite` starts it.
"""

import json
import sys
from pathlib import Path

import litert_torch
import torch
from torch import Tensor, nn

from asl.export import litert_lowerings
from asl.export.float16 import to_float16
from asl.export.litert_loops import outline
from asl.export.onnx import Recognise, made_up_clip
from asl.recognizer.recognizer import Recognizer


class Named(nn.Module):
    """Recognises, and names the result as the signature wants it."""

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.recognise = Recognise(recognizer)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """`outputs` [signs] of a clip [n, N, 3]."""
        return {"outputs": self.recognise(inputs)}


def to_tflite(recognizer: Recognizer, file: Path) -> None:
    """Write the float32 .tflite, `inputs` [n, N, 3] with n free -> `outputs` [signs]."""
    litert_lowerings.install()
    model = litert_torch.convert(
        Named(recognizer).eval(),
        sample_kwargs={"inputs": made_up_clip(37, recognizer.landmarks.layout.size)},
        dynamic_shapes={"inputs": {0: torch.export.Dim("n", min=1)}},
    )
    outline(model._exporter.module)
    model.export(str(file))


def main() -> None:
    """Convert the recognizer named by the first argument into the files named by the second."""
    recognizer = torch.load(sys.argv[1], weights_only=False)
    variants = json.loads(sys.argv[2])
    made = Path.cwd() / "model.tflite"
    to_tflite(recognizer, made)
    model = made.read_bytes()
    for variant, change in (("float32", bytes), ("float16", to_float16)):
        if variant in variants:
            Path(variants[variant]).write_bytes(change(model))


if __name__ == "__main__":
    main()
