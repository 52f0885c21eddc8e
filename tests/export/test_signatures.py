"""The signature of the competition, and one with all outputs, of one graph."""

import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tfl

from asl.export import ExportError
from asl.export.parity.contract import check_contract
from asl.export.passes.flatbuffer import pack, parse
from asl.export.passes.signatures import join_signatures, outputs_of, separate_signatures
from asl.runtime.litert import interpreter, load, load_all


@pytest.fixture
def two_outputs(tiny_tflite, tmp_path):
    """A file of the converter's: one signature, its outputs in the order of their names."""
    path = tiny_tflite(tmp_path / "model.tflite")
    model = parse(path.read_bytes())
    model.signatureDefs[0].outputs.append(tfl.TensorMapT(name=b"embedding", tensorIndex=2))
    model.subgraphs[0].outputs = [2, 3]
    return path, model


def test_the_competition_sees_one_output_and_others_see_all(two_outputs):
    path, model = two_outputs
    separate_signatures(model)
    path.write_bytes(pack(model))
    opened = interpreter(path)
    assert [each["name"] for each in opened.get_output_details()] == ["outputs"]
    assert opened.get_signature_list()["serving_default"]["outputs"] == ["outputs"]
    clip = np.random.default_rng(0).random((9, 543, 3), dtype=np.float32)
    said = load_all(path)(clip)
    np.testing.assert_allclose(said["embedding"], clip.mean((0, 1)), atol=1e-5)
    np.testing.assert_array_equal(said["outputs"], load(path)(clip))
    check_contract("two outputs", path, clip, 3)


def test_the_newer_interface_opens_the_file(two_outputs):
    """It wants every signature to name all outputs of its graph; browsers have no other."""
    from ai_edge_litert.compiled_model import CompiledModel

    path, model = two_outputs
    separate_signatures(model)
    path.write_bytes(pack(model))
    opened = CompiledModel.from_file(str(path))
    assert opened.get_signature_list().keys() == {"serving_default", "recognise"}
    assert len(opened.create_output_buffers(0)) == 1


def test_separated_signatures_are_joined_again(two_outputs):
    _, model = two_outputs
    before = copy.deepcopy(model)
    separate_signatures(model)
    join_signatures(parsed := parse(pack(model)))
    assert outputs_of(parsed) == outputs_of(before)
    assert len(parsed.subgraphs) == 1
    assert len(parsed.subgraphs[0].operators) == len(before.subgraphs[0].operators)


@pytest.mark.parametrize("fault", ["signatures", "outputs"])
def test_a_file_of_other_signatures_or_outputs_is_refused(two_outputs, fault):
    path, model = two_outputs
    if fault == "outputs":
        separate_signatures(model)
        model.subgraphs[0].outputs = [3, 2]
    path.write_bytes(pack(model))
    with pytest.raises(ExportError, match=r"faulty: (has the signatures|its first graph)"):
        check_contract("faulty", path, np.zeros((2, 543, 3), np.float32), 3)


def test_a_file_with_the_competitions_signature_alone_gives_probabilities(tiny_tflite, tmp_path):
    path = tiny_tflite(tmp_path / "model.tflite")
    clip = np.zeros((2, 543, 3), np.float32)
    assert load_all(path)(clip).keys() == {"outputs"}
