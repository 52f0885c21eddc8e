"""ONNX to TFLite: `python -m asl.export.backend.convert ONNX JSON`.

JSON maps each conversion, `float32` or `dynamic`, to the file to write.
`asl.export.backend.process.convert_onnx` starts it.

onnx2tf (1.28) is used for three things: it reads the ONNX graph, visits its nodes in order, and
collects what the operators return into a Keras model. It also has an operator for nearly every node
type of ONNX, so that a new network may use one that no network here uses yet. All operators that
the networks of conf/model/ use are in `asl.export.backend.operators`, since onnx2tf's own guess
which axis is which by the sizes. Its other steps are switched off below: simplification, names,
the search for axis orders by trial, and saving.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnx2tf
import tensorflow as tf

from asl.export.backend import operators


def to_keras(onnx_path: Path) -> Any:
    """The ONNX graph as a Keras model, every tensor in ONNX's axis order."""
    operators.install()
    # onnx2tf may write to the file that it reads.
    copy = shutil.copy(onnx_path, Path.cwd() / "model.onnx")
    return onnx2tf.convert(
        input_onnx_file_path=str(copy),
        output_folder_path=str(Path.cwd() / "onnx2tf"),
        keep_shape_absolutely_input_names=["inputs"],
        not_use_onnxsim=True,  # an external program; PyTorch has simplified the graph
        not_use_opname_auto_generate=True,
        disable_strict_mode=True,  # no search for axis orders by trial
        disable_model_save=True,
        verbosity="error",
    )


def save(model: Any, shape: Sequence[int | None], outputs: Sequence[str], directory: Path) -> None:
    """Save with one signature: inputs [n, N, C] -> the named outputs.

    Args:
        model: the Keras model.
        shape: of its inputs: n, None where it is free; landmarks; channels.
        outputs: names, in the model's order.
        directory: for the SavedModel.
    """

    class ServedModel(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            # Not the model itself: Keras would save each of its layers' calls as well.
            self.weights = model.variables

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="inputs")])
        def __call__(self, inputs: Any) -> dict[str, Any]:
            return dict(zip(outputs, tf.nest.flatten(model(inputs)), strict=True))

    module = ServedModel()
    tf.saved_model.save(module, str(directory), signatures={"serving_default": module.__call__})


def to_tflite(directory: Path, dynamic: bool) -> bytes:
    """A SavedModel as a .tflite: its weights in float32, or in int8 with dynamic ranges."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(directory))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if dynamic:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return bytes(converter.convert())


def main() -> None:
    """Convert the file named by the first argument into the files named by the second."""
    onnx_path, targets = Path(sys.argv[1]), json.loads(sys.argv[2])
    graph = onnx.load(onnx_path).graph
    # The size of a free axis is 0 in ONNX.
    shape = [dim.dim_value or None for dim in graph.input[0].type.tensor_type.shape.dim]
    saved = Path.cwd() / "saved_model"
    save(to_keras(onnx_path), shape, [output.name for output in graph.output], saved)
    for conversion, path in targets.items():
        Path(path).write_bytes(to_tflite(saved, dynamic=conversion == "dynamic"))


if __name__ == "__main__":
    main()
