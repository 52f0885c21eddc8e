"""The second way to TFLite. Most of this is skipped where the extra `litert` is not installed."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from asl.errors import UserError
from asl.export import backends
from asl.export.export import export
from asl.predict import load

MODELS = ["lstm", "bilstm", "gru", "bigru", "transformer", "cnn", "conv_gru", "conv_transformer"]
RECURRENT = {"lstm", "bilstm", "gru", "bigru", "conv_gru"}

installed = pytest.mark.skipif(
    find_spec("litert_torch") is None, reason="the extra litert is not installed"
)


def test_an_unknown_backend_is_one_sentence(recognizer, clips, tmp_path):
    with pytest.raises(UserError, match=r"export\.backend=tfc: choose from onnx2tf, litert_torch$"):
        export(recognizer, tmp_path, list(clips.values()), list(clips), backend="tfc")
    assert not list(tmp_path.iterdir())


def test_where_litert_torch_is_absent_the_sentence_says_how_to_get_it(
    recognizer, clips, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        backends, "find_spec", lambda name: None if name == "litert_torch" else find_spec(name)
    )
    with pytest.raises(UserError) as raised:
        export(recognizer, tmp_path, list(clips.values()), list(clips), backend="litert_torch")
    assert str(raised.value) == (
        "export.backend=litert_torch needs litert_torch: "
        "pip install -e '.[export,litert]' installs them"
    )
    assert not list(tmp_path.iterdir())


def test_each_backend_needs_its_own_packages_only(monkeypatch):
    monkeypatch.setattr(
        backends, "find_spec", lambda name: None if name == "tensorflow" else object()
    )
    backends.check_installed("litert_torch")
    with pytest.raises(UserError, match=r"export\.backend=onnx2tf needs tensorflow: "):
        backends.check_installed("onnx2tf")


def agrees(recognizer, path, landmarks):
    recognise = load(path)
    for frames in (1, 2, 3, 30, 400):
        random = np.random.default_rng(frames)
        clip = random.normal(0.5, 0.2, (frames, landmarks, 3)).astype(np.float32)
        clip[random.random((frames, landmarks)) < 0.2] = np.nan
        for given in (clip, np.full_like(clip, np.nan)):
            with torch.inference_mode():
                wanted = recognizer.recognise(torch.from_numpy(given)).numpy()
            np.testing.assert_allclose(recognise(given), wanted, atol=1e-5)


@installed
@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("hidden", "frames", "more"),
    [
        (64, 64, {"terms": ("position", "lag1", "second")}),  # frames = hidden
        (40, 4, {"length": "last"}),  # frames = heads
        (40, 384, {"length": "all"}),  # frames = those of the clip
    ],
)
def test_every_backbone_at_any_length(
    recognizer_of, made_up, tmp_path, model, hidden, frames, more
):
    recognizer = recognizer_of(
        model, hidden, frames, landmarks="kinect20", coordinates="xy", **more
    )
    clips = made_up(20)
    variants = ["float32", "float16", "dynamic", "int8"]

    report = export(
        recognizer, tmp_path, list(clips.values()), list(clips), variants, backend="litert_torch"
    )

    agrees(recognizer, tmp_path / "model_float32.tflite", 20)
    assert set(report["not_made"]) == ({"int8"} if model in RECURRENT else set())
    assert set(report["latency"]) | set(report["not_made"]) == set(variants)
    assert "dynamic" not in report["not_offered"]


@installed
@pytest.mark.slow
def test_the_report_says_what_was_used(recognizer_of, made_up, tmp_path):
    recognizer, clips = recognizer_of("gru", 8, 8, landmarks="kinect20"), made_up(20)

    export(recognizer, tmp_path, list(clips.values()), list(clips), backend="litert_torch")

    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verified"]
    assert report["backend"].startswith("PyTorch -> litert-torch")
    assert "litert-torch" in report["versions"]
    assert not {"onnx2tf", "tensorflow"} & set(report["versions"])
    assert [hop["name"] for hop in report["hops"]] == ["onnx", "float32", "float16"]
    assert report["operators"]["float32"]["WHILE"] == 2
    assert "litert-torch" in (tmp_path / "report.md").read_text()
