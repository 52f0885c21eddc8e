"""Integers where a product has weights, floats where raw coordinates are."""

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from asl.export.export import export
from asl.export.passes.flatbuffer import operator_names, parse
from asl.export.passes.int8 import NotQuantizedError, to_int8
from asl.runtime.litert import load


@pytest.fixture(scope="module")
def exported(recognizer_of, made_up, tmp_path_factory):
    recognizer = recognizer_of("cnn", 64, 20, landmarks="kinect20", coordinates="xy")
    clips, directory = made_up(20), tmp_path_factory.mktemp("int8")
    report = export(recognizer, directory, clips, ["int8", "float32"])
    return directory, report


@pytest.mark.slow
def test_int8_is_smaller_and_agrees(exported):
    _, report = exported
    assert report["not_converted"] == {}
    assert "int8" not in report["rejected"]
    assert report["bytes"]["model_int8.tflite"] < 0.6 * report["bytes"]["model_float32.tflite"]
    parity = next(each for each in report["parity"] if each["name"] == "int8")
    assert len(parity["changed"]) <= 0.05 * parity["clips"]
    assert parity["mean_difference"] < 0.02


@pytest.mark.slow
def test_products_with_weights_are_of_integers_and_preprocessing_is_not(exported):
    model = parse((exported[0] / "model_int8.tflite").read_bytes())
    assert len(model.subgraphs) == 2  # of the signatures serving_default and recognise
    names = operator_names(model)
    for graph in model.subgraphs:
        kinds = {}
        for operator in graph.operators:
            name = names[operator.opcodeIndex]
            kinds.setdefault(name, []).append(graph.tensors[operator.inputs[0]].type)
        assert schema.TensorType.INT8 in kinds["FULLY_CONNECTED"]
        for name in ("BATCH_MATMUL", "SELECT_V2", "DIV", "SOFTMAX"):
            assert set(kinds[name]) <= {schema.TensorType.FLOAT32, schema.TensorType.BOOL}


@pytest.mark.slow
def test_setting_logging_up_anew_leaves_the_callers_stderr_open(exported):
    script = f"""
import io, logging.config, sys
sys.stderr = mine = io.TextIOWrapper(io.BytesIO())  # as in a notebook
from pathlib import Path
from asl.export.passes.int8 import _quantizer
_quantizer(Path({str(exported[0] / "model_float32.tflite")!r}).read_bytes())
sys.stderr = io.StringIO()
logging.config.dictConfig({{"version": 1}})
print(mine.closed)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.slow
@pytest.mark.parametrize("frames", [1, 3, 500])
def test_int8_reads_clips_of_any_length(exported, frames):
    recognise = load(exported[0] / "model_int8.tflite")
    assert abs(recognise(np.full((frames, 20, 3), np.nan, np.float32)).sum() - 1) < 1e-3


def test_a_model_that_cannot_be_quantized_says_why(tiny_tflite, tmp_path):
    with pytest.raises(NotQuantizedError, match="no weight of 1024 values"):
        to_int8(parse(tiny_tflite(tmp_path / "tiny.tflite").read_bytes()), [])
