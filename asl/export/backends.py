"""The ways from PyTorch to TFLite, and what each needs."""

from dataclasses import dataclass
from importlib.util import find_spec

from asl.errors import UserError, unknown


@dataclass(frozen=True)
class Backend:
    """A way from PyTorch to TFLite.

    Attributes:
        route: what the report says of it.
        needs: modules to import.
        extra: of pyproject.toml, which installs them.
        tools: the packages whose versions the report gives.
        quantized: variants that ai-edge-quantizer makes of float32.
    """

    route: str
    needs: tuple[str, ...]
    extra: str
    tools: tuple[str, ...]
    quantized: tuple[str, ...]


BACKENDS = {
    "onnx2tf": Backend(
        "ONNX -> onnx2tf, operators in ONNX's axis order -> TFLiteConverter",
        ("onnx2tf", "tensorflow", "tf_keras"),
        "export",
        ("onnx2tf", "tensorflow", "tf-keras"),
        ("int8",),
    ),
    "litert_torch": Backend(
        "PyTorch -> litert-torch, operators with a free number of frames",
        ("litert_torch",),
        "export,litert",
        ("litert-torch", "litert-converter"),
        ("dynamic", "int8"),
    ),
}

NEEDED = ("onnx", "onnxruntime", "onnxscript")
"""By both, for model.onnx."""


def check_installed(backend: str = "onnx2tf") -> None:
    """Raises UserError for an unknown backend, or where packages that it needs are absent."""
    if backend not in BACKENDS:
        raise unknown("export.backend", backend, BACKENDS)
    way = BACKENDS[backend]
    if absent := [module for module in (*NEEDED, *way.needs) if find_spec(module) is None]:
        raise UserError(
            f"export.backend={backend} needs {', '.join(absent)}: "
            f"pip install -e '.[{way.extra}]' installs them"
        )
