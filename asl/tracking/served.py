"""An exported .tflite as an MLflow model: one clip in, its signs out, over HTTP too.

MLflow copies this file, and nothing else of the workbench, into the model and runs it there. So it
imports nothing that `asl.tracking.registry` does not list among the model's requirements.
"""

import json
import threading
import zipfile
from typing import Any

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class SignModel(PythonModel):
    """The .tflite that is the model's artifact `tflite`; labels.json is inside it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the file."""
        from ai_edge_litert.interpreter import Interpreter

        path = context.artifacts["tflite"]
        self.recognise = Interpreter(path).get_signature_runner("serving_default")
        with zipfile.ZipFile(path) as archive:
            self.signs = json.loads(archive.read("labels.json"))["signs"]
        self.alone = threading.Lock()  # a server answers in several threads, LiteRT in one

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> list[dict[str, str | float]]:
        """All signs of a clip, the most probable first.

        Args:
            context: what `load_context` read.
            model_input: a clip, float32 [n, N, 3], NaN (in JSON null) = not detected.
            params: none.
        """
        if not len(model_input):
            raise ValueError("the clip has no frames")
        with self.alone:
            outputs = self.recognise(inputs=np.ascontiguousarray(model_input, np.float32))
            probabilities = outputs["outputs"].reshape(-1).tolist()
        found = sorted(zip(self.signs, probabilities, strict=True), key=lambda pair: -pair[1])
        return [{"sign": sign, "probability": probability} for sign, probability in found]


set_model(SignModel())
