import copy
import json
import mmap
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from ai_edge_litert.interpreter import Interpreter
from torch import nn

import asl.export.export as exporting
from asl.config.plan import choices
from asl.errors import UserError
from asl.export import ExportError
from asl.export.calibration import Labelled, fit_answers
from asl.export.export import export
from asl.export.onnx.convert import ExportedForward
from asl.export.parity.compare import check_parity, compare
from asl.export.parity.contract import check_no_kept_state
from asl.export.parity.diagnosis import diagnose
from asl.export.passes.flatbuffer import pack, parse
from asl.export.passes.lstm import MAX_STEPS
from asl.export.prototypes import DEFAULT
from asl.export.tflite import Converted
from asl.export.variants import VARIANTS
from asl.paths import CONF
from asl.runtime.litert import load, load_all
from asl.targets import locate


@pytest.fixture(scope="module")
def exported(recognizer, clips, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("exported")
    export(recognizer, directory, clips)
    return directory


@pytest.fixture
def converted(exported, monkeypatch):
    """Exports take the files already made instead of converting again."""

    def to_onnx(recognizer, path):
        shutil.copy(exported / "model.onnx", path)

    def to_tflite(onnx_path, directory, variants, *_):
        names = {variant: f"model_{variant}.tflite" for variant in variants}
        copies = {v: Path(shutil.copy(exported / name, directory)) for v, name in names.items()}
        return Converted(copies, {})

    monkeypatch.setattr(exporting, "to_onnx", to_onnx)
    monkeypatch.setattr(exporting, "to_tflite", to_tflite)
    return to_tflite


def test_a_folder_with_everything_and_nothing_else(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "labels.json",
        "model.onnx",
        "model_float16.tflite",
        "model_float32.tflite",
        "report.json",
        "report.md",
    ]


def test_signature_of_the_competition(exported, recognizer):
    for path in exported.glob("*.tflite"):
        interpreter = Interpreter(str(path))
        assert interpreter.get_signature_list() == {
            "serving_default": {"inputs": ["inputs"], "outputs": ["outputs"]},
            "recognise": {"inputs": ["inputs"], "outputs": ["embedding", "outputs"]},
        }
        assert list(interpreter.get_input_details()[0]["shape_signature"]) == [-1, 543, 3]
        assert list(interpreter.get_output_details()[0]["shape"]) == [len(recognizer.signs)]


@pytest.mark.parametrize("frames", [1, 2, 3, 30, 400])
def test_any_number_of_frames_of_a_genuine_clip(exported, recognizer, shared_data, frames):
    from asl.clips.sources.gislr import read_clip

    sample = shared_data / "gislr_sample" / "train_landmark_files" / "22343" / "239181.parquet"
    clip = np.tile(read_clip(sample), (14, 1, 1))[:frames]
    run = Interpreter(str(exported / "model_float32.tflite")).get_signature_runner(
        "serving_default"
    )

    for given in (clip, np.full_like(clip, np.nan)):
        outputs = run(inputs=given)["outputs"]
        assert abs(outputs.sum() - 1) < 1e-5
        wanted = recognizer.recognise(torch.from_numpy(given)).detach().numpy()
        np.testing.assert_allclose(outputs, wanted, atol=1e-5)


def test_the_embedding_is_the_recognizers_and_costs_no_weights(exported, recognizer, clips):
    calibrated = copy.deepcopy(recognizer)
    real = Labelled(list(clips.values()), np.zeros(len(clips), int))
    calibrated.answers, _ = fit_answers(recognizer, real)
    describe = {name: load_all(exported / f"model_{name}.tflite") for name in TOLERANCES}
    for clip in clips.values():
        with torch.inference_mode():
            wanted = calibrated.describe(torch.from_numpy(clip))
        assert float(wanted["embedding"].norm()) == pytest.approx(1, abs=1e-3)
        for name, tolerance in TOLERANCES.items():
            said = describe[name](clip)
            np.testing.assert_allclose(said["embedding"], wanted["embedding"], atol=tolerance)
            np.testing.assert_allclose(said["outputs"], wanted["outputs"], atol=tolerance)
    model = parse((exported / "model_float32.tflite").read_bytes())
    weights = [each for each in model.buffers if each.data is not None and len(each.data) > 4096]
    assert len({each.data.tobytes() for each in weights}) == len(weights)


TOLERANCES = {"float32": 1e-4, "float16": 2e-2}


def test_a_wrong_embedding_is_caught(converted, recognizer, clips, tmp_path):
    others = dict(list(clips.items())[:3])  # centred on fewer clips than those of the files
    with pytest.raises(ExportError, match=r"^onnx: on clip '.*' the embedding is .* away from"):
        export(recognizer, tmp_path, others, ["float32"])
    assert not list(tmp_path.glob("*.tflite"))


def test_an_lstm_keeps_no_state(exported, clips):
    report = json.loads((exported / "report.json").read_text())
    assert report["operators"]["float32"]["LSTM"] == 2 * (64 + 1)
    for path in exported.glob("*.tflite"):
        check_no_kept_state(path.stem, path, clips["clip 0"])


@pytest.mark.slow
def test_an_lstm_that_counts_frames_is_not_clipped(recognizer_of, clips, tmp_path):
    """TensorFlow's converter clips fused cells at 10, which only trained networks reach."""
    counting = recognizer_of("lstm", hidden=8, frames=MAX_STEPS)  # so it stays one operator
    with torch.no_grad():
        for layer in counting.backbone.ahead:
            # Input and forget gates stay open, so the cell adds up what is near 1 or -1.
            layer.bias_ih_l0[:16] = 10
            layer.weight_ih_l0[:16] = 0
            layer.weight_hh_l0[:16] = 0
            layer.weight_ih_l0[16:24] *= 30
    made = tmp_path / "made"
    export(counting, made, clips, ["float32"])

    model = parse((made / "model_float32.tflite").read_bytes())
    for operator in model.subgraphs[0].operators:
        if hasattr(operator.builtinOptions, "cellClip"):
            operator.builtinOptions.cellClip = 10.0
    (tmp_path / "clipped.tflite").write_bytes(pack(model))
    ours, clipped = load(made / "model_float32.tflite"), load(tmp_path / "clipped.tflite")
    assert max(np.abs(ours(clip) - clipped(clip)).max() for clip in clips.values()) > 1e-3


def test_float16_is_smaller_and_treats_the_absurd_as_missing(exported, clips):
    wide, narrow = (exported / f"model_{v}.tflite" for v in ("float32", "float16"))
    assert narrow.stat().st_size < 0.65 * wide.stat().st_size
    # 1e5 is a coordinate, 1e7 is none: float16 knows neither number
    for far in (1e5, 1e7):
        clip = clips["clip 0"].copy()
        clip[::2, 490] = far
        np.testing.assert_allclose(load(narrow)(clip), load(wide)(clip), atol=2e-3)


def test_labels_travel_inside_and_beside(exported, recognizer):
    beside = json.loads((exported / "labels.json").read_text())
    assert beside["blend"] == asdict(DEFAULT)
    assert beside["signs"] == recognizer.signs
    assert beside["inputs"] == ["frames", 543, 3]
    assert beside["features"]["frames"] == 64
    for path in exported.glob("*.tflite"):
        with zipfile.ZipFile(path) as archive:
            assert json.loads(archive.read("labels.json")) == beside
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            assert Interpreter(model_content=mapped[:]).get_signature_list()


def test_report_says_what_was_proved(exported, clips):
    report = json.loads((exported / "report.json").read_text())
    assert report["verified"] is True
    assert [result["name"] for result in report["parity"]] == ["onnx", "float32", "float16"]
    assert report["parity"][1]["max_difference"] <= 1e-4
    assert report["parity"][1]["same_top"] == 1
    assert report["clips"]["real"] == len(clips)
    assert {"1 frame", "1000 frames", "nothing at all"} <= set(report["clips"]["edge_cases"])
    assert not any(name.startswith("CUSTOM") for name in report["operators"]["float32"])
    assert report["latency"]["float16"]["median"]["median_ms"] > 0
    assert report["latency"]["float16"]["longest"]["two_threads"]["p95_ms"] > 0
    assert report["best"] == "float16"
    markdown = (exported / "report.md").read_text()
    assert "Verified." in markdown
    assert "| float16 |" in markdown
    for name in ("float32", "float16"):
        assert f"{name} {VARIANTS[name].tolerance.difference:g}" in markdown
        assert VARIANTS[name].description in markdown


def forget(path, recognizer):
    """Zeros for the recurrent weights of a float16 file."""
    model = bytearray(path.read_bytes())
    for row in recognizer.backbone.ahead[0].weight_hh_l0.detach().numpy().astype(np.float16):
        place = model.find(row.tobytes())
        assert place > 0
        model[place : place + row.nbytes] = bytes(row.nbytes)
    path.write_bytes(model)


def test_a_wrong_weight_is_caught_and_named(converted, recognizer, clips, tmp_path, monkeypatch):
    def sabotaged(onnx_path, directory, variants, *_):
        copies = converted(onnx_path, directory, variants)
        forget(copies.files["float16"], recognizer)
        return copies

    monkeypatch.setattr(exporting, "to_tflite", sabotaged)
    (tmp_path / "model_float32.tflite").write_text("of an earlier export")
    (tmp_path / "notes.txt").write_text("the user's own")

    with pytest.raises(ExportError, match=r"^float16: .*(\d%|differs)"):
        export(recognizer, tmp_path, clips)

    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["notes.txt", "report.json", "report.md"]
    assert "Failed" in (tmp_path / "report.md").read_text()


def test_a_quantized_file_that_fails_is_kept_but_rejected(
    converted, exported, recognizer, clips, tmp_path, monkeypatch
):
    def sabotaged(onnx_path, directory, *_):
        copies = converted(onnx_path, directory, ["float32"])
        copies.files["dynamic"] = Path(
            shutil.copy(exported / "model_float16.tflite", directory / "model_dynamic.tflite")
        )
        forget(copies.files["dynamic"], recognizer)
        return copies

    monkeypatch.setattr(exporting, "to_tflite", sabotaged)
    report = export(recognizer, tmp_path, clips, ["float32", "dynamic"])

    assert report["verified"]
    assert report["best"] == "float32"
    assert "differs" in report["rejected"]["dynamic"]
    assert (tmp_path / "model_dynamic.tflite").is_file()
    assert "dynamic: rejected: " in (tmp_path / "report.md").read_text()


def test_other_weights_in_torch_are_caught(converted, recognizer_of, recognizer, clips, tmp_path):
    other = recognizer_of("lstm")
    with torch.no_grad():
        other.head.layers[-1].bias[0] += 0.01

    with pytest.raises(
        ExportError, match=r"^onnx: on clip '.*' .* differs from the recognizer's by"
    ):
        export(other, tmp_path, clips)

    assert not list(tmp_path.glob("model*"))


def test_the_next_export_removes_what_a_killed_one_left(converted, recognizer, clips, tmp_path):
    (tmp_path / ".export-killed").mkdir()
    (tmp_path / ".export-killed" / "model.onnx").write_bytes(b"half")
    export(recognizer, tmp_path, clips)
    assert not list(tmp_path.glob(".*"))


def test_two_exports_into_one_folder_are_refused(converted, recognizer, clips, tmp_path):
    with (
        exporting._scratch_in(tmp_path),
        pytest.raises(UserError, match=r"export\.dir=.*another asl export is at work"),
    ):
        export(recognizer, tmp_path, clips)


@pytest.mark.slow
@pytest.mark.parametrize("moved", [0, 5])
def test_an_export_killed_while_its_files_are_moved_leaves_no_report(
    moved, converted, recognizer, clips, tmp_path, monkeypatch
):
    """Neither its own nor an earlier export's beside other files."""
    export(recognizer, tmp_path, clips)
    steps, replace = iter(range(moved)), Path.replace

    def killed(path, target):
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        export(recognizer, tmp_path, clips)
    assert not (tmp_path / "report.json").exists()


def test_a_full_disk_leaves_the_earlier_export(converted, recognizer, clips, tmp_path, monkeypatch):
    export(recognizer, tmp_path, clips)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_write_reports", full)
    with pytest.raises(OSError, match="No space"):
        export(recognizer, tmp_path, clips)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_unknown_variant_is_one_sentence(recognizer, clips, tmp_path):
    with pytest.raises(UserError, match=r"export\.variants=int3: choose from float32, float16"):
        export(recognizer, tmp_path, clips, variants=["int3"])
    assert not list(tmp_path.iterdir())


def test_a_tie_is_not_a_disagreement_and_is_counted():
    wanted = np.array([[0.5, 0.5 - 1e-6], [0.9, 0.1]])
    result = compare(
        "float32", wanted, wanted[:, ::-1] * [[1, 1], [0, 1]] + [[0, 0], [0.9, 0]], ["a", "b"]
    )
    assert (result.ties, result.changed) == (1, ())
    check_parity(compare("float32", wanted, wanted, ["a", "b"]))


def test_a_difference_names_the_clip():
    wanted = np.array([[0.6, 0.4], [0.9, 0.1]])
    with pytest.raises(
        ExportError, match=r"^float32: on clip 'b' .* by 2\.00e-01, allowed is 1e-04"
    ):
        check_parity(compare("float32", wanted, wanted - [[0, 0], [0.2, 0]], ["a", "b"]))


def test_importing_the_room_is_light():
    script = "import sys, asl.export.tflite; print({'torch', 'tensorflow'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


MODELS = choices("model")


def test_every_network_of_the_configs_is_exported(recognizer_of):
    assert set(MODELS) == {path.stem for path in (CONF / "model").glob("*.yaml")}
    for model in MODELS:
        config = yaml.safe_load((CONF / "model" / f"{model}.yaml").read_text(encoding="utf-8"))
        assert type(recognizer_of(model, 40).backbone) is locate(config["_target_"], "model")


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("hidden", "frames", "more"),
    [
        (40, 40, {}),  # frames = hidden = features of a frame
        (40, 80, {}),  # frames = both directions' hidden
        (40, 20, {"terms": ("position", "lag1", "second")}),  # frames = landmarks
        (40, 4, {"length": "last"}),  # frames = heads
        (40, 1, {}),  # frames = clips in a batch
        (40, 384, {"length": "all"}),  # frames = those of the clip
    ],
)
def test_every_backbone_with_equal_axes(
    recognizer_of, tmp_path, model, hidden, frames, more, made_up
):
    recognizer = recognizer_of(
        model, hidden, frames, landmarks="kinect20", coordinates="xy", **more
    )
    clips = made_up(20)

    report = export(recognizer, tmp_path, clips, list(VARIANTS))

    assert report["verified"]
    exported = ExportedForward(recognizer).eval()
    assert diagnose(exported, tmp_path / "model.onnx", next(iter(clips.values()))) == ""
    recurrent = any(isinstance(module, nn.RNNBase) for module in recognizer.modules())
    assert set(report["not_converted"]) == ({"int8"} if recurrent else set())
    assert set(report["latency"]) | set(report["not_converted"]) == set(VARIANTS)
    assert "dynamic" not in report["rejected"]


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_fixed_number_of_frames_gives_a_clip_the_same_answer(
    recognizer_of, tmp_path, model, made_up
):
    """Each network, with every frame of a clip as a step: nothing of the padding may count."""
    recognizer = recognizer_of(model, 40, 384, landmarks="kinect20", length="all")
    report = export(recognizer, tmp_path, made_up(20), ["float32"], frames=64)
    by_name = {each["name"]: each for each in report["parity"]}
    fixed, free = by_name["float32_n64"], by_name["float32"]
    assert fixed["max_difference"] < 1e-5 + free["max_difference"]
    assert fixed["clips"] > 20  # edge cases, too
    assert (tmp_path / "model_float32_n64.tflite").is_file()


@pytest.mark.slow
def test_the_file_of_fixed_frames_answers_as_the_free_one_on_real_clips(
    recognizer_of, words15_store, tmp_path
):
    store = words15_store
    recognizer = recognizer_of("cnn", 40)
    some = {str(row): store.read(row) for row in range(0, len(store), 50)}
    report = export(recognizer, tmp_path, some, ["float32", "float16"], frames=64)
    assert set(report["latency"]) == {"float32", "float16", "float32_n64", "float16_n64"}
    assert report["best"] in ("float32", "float16")
    free, fixed = (load(tmp_path / f"model_float32{end}.tflite") for end in ("", "_n64"))
    clips = [store.read(row) for row in range(len(store))]
    assert max(np.abs(free(clip) - fixed(clip)).max() for clip in clips) < 1e-5

    with pytest.raises(ValueError, match="has 65 frames, the model takes at most 64"):
        fixed(np.zeros((65, 543, 3), np.float32))
    inside = json.loads(zipfile.ZipFile(tmp_path / "model_float32_n64.tflite").read("labels.json"))
    assert inside["inputs"] == [64, 543, 3]
    export(recognizer, tmp_path, some, ["float32"])
    assert not list(tmp_path.glob("*_n64*"))


def test_frames_that_no_clip_fits_into_are_one_sentence(recognizer, clips, tmp_path, converted):
    with pytest.raises(UserError, match=r"export\.frames=0: choose a number from 1 up"):
        export(recognizer, tmp_path, clips, frames=0)
    with pytest.raises(UserError, match=r"export\.frames=2: every real clip .* is longer"):
        export(recognizer, tmp_path, clips, frames=2)
