"""The optional packages that an export needs."""

from importlib.util import find_spec

from asl.errors import UserError

PACKAGES = ("onnx", "onnxruntime", "onnxscript", "onnx2tf", "tensorflow", "tf_keras")


def check_installed() -> None:
    """Raises UserError where packages that an export needs are absent."""
    if absent := [module for module in PACKAGES if find_spec(module) is None]:
        raise UserError(
            f"asl export needs {', '.join(absent)}: pip install 'asl[export]' installs them"
        )
