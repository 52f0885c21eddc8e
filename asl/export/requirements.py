"""The packages that an export needs beside the workbench's own."""

from importlib.util import find_spec

from asl.errors import UserError

NEEDED = ("onnx", "onnxruntime", "onnxscript", "onnx2tf", "tensorflow", "tf_keras")


def check_installed() -> None:
    """Raises UserError where packages that an export needs are absent."""
    if absent := [module for module in NEEDED if find_spec(module) is None]:
        raise UserError(
            f"asl export needs {', '.join(absent)}: pip install 'asl[export]' installs them"
        )
