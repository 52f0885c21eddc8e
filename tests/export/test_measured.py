"""A glove's recognizer as a file: inputs [n, 1, 8], and asl predict on a .sign file."""

import json

import numpy as np
import pytest
import torch

from asl.clips.sources.auslan import AuslanSource
from asl.config.plan import plan
from asl.export.export import export
from asl.recognizer.build import build_recognizer
from asl.runtime.litert import load
from asl.runtime.predict import predict

SIGNS = ["boy", "girl", "yes"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn", "bigru", "conv_transformer"])
def test_a_gloves_file_is_its_recognizer(model, shared_data, tmp_path):
    source = AuslanSource(shared_data / "auslan95")
    entries = [entry for entry in source.listing().entries if entry.sign in SIGNS][::9]
    clips = {entry.sequence_id: source.read(entry).clip for entry in entries}
    torch.manual_seed(0)
    chosen = plan("data=auslan95", f"model={model}", "model.hidden=16", "impute=linear")
    features = {**chosen.recognizer["features"], "measured": ["roll", "fore", "middle", "ring"]}
    recognizer = build_recognizer({**chosen.recognizer, "features": features}, SIGNS)
    recognizer.fit([(torch.from_numpy(c)[None], torch.tensor([len(c)])) for c in clips.values()])
    recognizer.eval()

    report = export(recognizer, tmp_path, clips, ["float32", "float16"])

    assert report["verified"]
    file = tmp_path / "model_float32.tflite"
    assert json.loads((tmp_path / "labels.json").read_text())["inputs"] == ["frames", 1, 8]
    assert b"Raw x, y, z, roll, thumb, fore, middle, ring of 1 landmark" in file.read_bytes()
    with pytest.raises(ValueError, match=r"the model reads \[n, 1, 8\]"):
        load(file)(np.zeros((4, 1, 3), np.float32))
    name, clip = next(iter(clips.items()))
    recording = tmp_path / f"{name}.sign"
    recording.write_text(
        "".join(
            ", ".join(map(str, [*f[:4], -1, -1, *f[4:], f[-1], "0x0", "0x0", "0x0", "0x0"])) + "\n"
            for f in clip[:, 0].tolist()
        )
    )
    predictions, problems = predict(file, [recording], 3)
    wanted = recognizer.recognise(torch.from_numpy(clip)).tolist()
    assert problems == {}
    assert dict(predictions[str(recording)]) == pytest.approx(
        dict(zip(SIGNS, wanted, strict=True)), abs=1e-4
    )
