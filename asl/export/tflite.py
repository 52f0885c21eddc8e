"""From ONNX to TFLite files: one conversion, parsed once, and packed once for each variant."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from asl.export.backend.process import convert_onnx
from asl.export.passes.flatbuffer import parse
from asl.export.passes.int8 import NotQuantizedError
from asl.export.passes.lstm import exact_lstms
from asl.export.passes.metadata import write_tflite
from asl.export.passes.signatures import separate_signatures
from asl.export.variants import VARIANTS, Calibration, file_name, fixed


class Converted(NamedTuple):
    """The files that were written.

    Attributes:
        files: variant to .tflite.
        not_converted: variant to the reason why the model's operators do not allow it.
    """

    files: dict[str, Path]
    not_converted: dict[str, str]


def to_tflite(
    onnx_path: Path,
    directory: Path,
    variants: Sequence[str],
    labels: Mapping[str, Any] | None = None,
    calibration: Calibration = tuple,
    frames: int | None = None,
) -> Converted:
    """Convert an ONNX recognizer to TFLite, one file per variant: model_<variant>.tflite.

    Args:
        onnx_path: as `asl.export.onnx.convert.to_onnx` writes it: `inputs` [n, N, 3], `outputs`
            [signs], `embedding` [width].
        directory: for the files; it exists.
        variants: of `asl.export.variants.VARIANTS`.
        labels: what the files say of themselves, `asl.export.passes.metadata.labels`; nothing
            where None.
        calibration: reads the training clips that `int8` takes its ranges from.
        frames: that the graph reads, where they are not free; the files are named after them.

    Raises:
        ExportError: the conversion failed.
    """
    conversions = dict.fromkeys(VARIANTS[variant].conversion for variant in variants)
    models = {}
    for name, tflite in convert_onnx(onnx_path, list(conversions)).items():
        models[name] = parse(tflite)
        exact_lstms(models[name])
    converted = Converted({}, {})
    for name in variants:
        variant, full_name = VARIANTS[name], fixed(name, frames) if frames else name
        path = directory / file_name(full_name)
        try:
            model = variant.build(copy.deepcopy(models[variant.conversion]), calibration)
        except NotQuantizedError as error:
            converted.not_converted[full_name] = str(error)
            continue
        separate_signatures(model)
        write_tflite(model, path, labels)
        converted.files[full_name] = path
    return converted
