"""The process that turns an ONNX file into TFLite files: `python -m asl.export.backend.convert ONNX JSON`.

JSON maps each variant to the file to write. `asl.export.backend.tflite.to_tflite` starts it.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import onnx
import onnx2tf
import tensorflow as tf

from asl.export.backend import operators
from asl.export.passes.flatbuffer import with_exact_lstms
from asl.export.passes.float16 import to_float16


def to_keras(onnx_path: Path) -> Any:
    """The ONNX graph as a Keras model, every tensor in ONNX's axis order."""
    operators.install()
    # onnx2tf may write to the file that it reads.
    copy = shutil.copy(onnx_path, Path.cwd() / "model.onnx")
    return onnx2tf.convert(
        input_onnx_file_path=str(copy),
        output_folder_path=str(Path.cwd() / "onnx2tf"),
        keep_shape_absolutely_input_names=["inputs"],
        not_use_onnxsim=True,  # a program, sought on PATH; PyTorch has simplified the graph
        not_use_opname_auto_generate=True,
        disable_strict_mode=True,  # no search for axis orders by trial
        disable_model_save=True,
        verbosity="error",
    )


def save(model: Any, landmarks: int, directory: Path) -> None:
    """Save with the competition's signature: inputs [n, landmarks, 3] -> outputs [signs]."""

    class Recognise(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            # Not the model itself: Keras would save each of its layers' calls as well.
            self.weights = model.variables

        @tf.function(
            input_signature=[tf.TensorSpec([None, landmarks, 3], tf.float32, name="inputs")]
        )
        def __call__(self, inputs: Any) -> dict[str, Any]:
            return {"outputs": model(inputs)}

    module = Recognise()
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.__call__})


def to_tflite(directory: Path, dynamic: bool = False) -> bytes:
    """A SavedModel as a .tflite, its weights as float32, or as int8 with a range of their own."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if dynamic:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return with_exact_lstms(converter.convert())


def main() -> None:
    """Convert the file named by the first argument into the files named by the second."""
    onnx_path, variants = Path(sys.argv[1]), json.loads(sys.argv[2])
    landmarks = onnx.load(onnx_path).graph.input[0].type.tensor_type.shape.dim[1].dim_value
    saved = Path.cwd() / "saved_model"
    save(to_keras(onnx_path), landmarks, saved)
    if "dynamic" in variants:
        Path(variants["dynamic"]).write_bytes(to_tflite(saved, dynamic=True))
    if variants.keys() & {"float32", "float16"}:
        model = to_tflite(saved)
        for variant, change in (("float32", bytes), ("float16", to_float16)):
            if variant in variants:
                Path(variants[variant]).write_bytes(change(model))


if __name__ == "__main__":
    main()
