"""What every choice of model, scaler, landmarks and features has to keep."""

import pytest
import torch

from asl.paths import CONF

MODELS = ["lstm", "bilstm", "gru", "bigru", "transformer", "cnn", "conv_gru", "conv_transformer"]
SCALERS = [
    *("none", "minmax", "standard", "robust", "clip", "body", "hands", "clip_minmax", "gislr_1st"),
    "skeleton",
]
LANDMARKS = ["hands_pose", "hands", "gislr118", "kinect20", "kinect20_upper"]
FEATURES = ["positions", "motion", "differences", "distances", "gislr_1st"]
MEASURED = {"skeleton": "kinect20"}  # scalers that need lengths in space
CHOICES = [
    *({"model": name, "features": features} for name in MODELS for features in FEATURES),
    *({"model": name, "options": {"model": {"pool": "last"}}} for name in MODELS),
    *({"scaler": name, "landmarks": MEASURED.get(name, "hands_pose")} for name in SCALERS),
    *({"landmarks": name} for name in LANDMARKS),
]


@pytest.mark.parametrize(
    ("group", "tested"),
    [("model", MODELS), ("scaler", SCALERS), ("landmarks", LANDMARKS), ("features", FEATURES)],
)
def test_no_config_is_left_out_of_these_tests(group, tested):
    configs = {path.stem for path in (CONF / group).glob("*.yaml")}
    # usual is whichever of the others the data set names, or its landmarks suit.
    assert configs - {"auto"} == set(tested)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_contract(choice, build, ragged):
    recognizer = build(**choice)
    clips, lengths = ragged(len(recognizer.landmarks.indices))

    logits = recognizer(clips, lengths)

    assert logits.shape == (len(lengths), len(recognizer.signs))
    assert logits.isfinite().all()
    assert torch.equal(logits, recognizer(clips, lengths)), "evaluation is not deterministic"
    for clip, length, expected in zip(clips, lengths, logits, strict=True):
        alone = recognizer(clip[None, :length], length[None])[0]
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_it_can_learn(choice, build, ragged):
    recognizer = build(**choice).train()
    clips, lengths = ragged(len(recognizer.landmarks.indices))

    recognizer(clips, lengths).square().sum().backward()

    for name, parameter in recognizer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scaler", SCALERS)
def test_edge_case_clips_have_probabilities(model, scaler, build):
    recognizer = build(model=model, scaler=scaler, landmarks=MEASURED.get(scaler, "hands_pose"))
    size = recognizer.landmarks.layout.size
    clip = torch.rand(3, size, 3)
    nothing = torch.full((3, size, 3), torch.nan)
    point = nothing.clone()
    point[1, recognizer.landmarks.indices[2]] = 0.5
    infinite = clip.clone()
    infinite[:, ::2] = torch.inf

    for edge_case in (
        clip[:1],
        clip[:2],
        nothing,
        nothing[:1],
        point,
        infinite,
        clip.sign() * 1e30,
    ):
        probabilities = recognizer.recognise(edge_case)
        assert probabilities.isfinite().all()
        assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_backbone_says_its_width_and_sees_no_padding(model, build):
    backbone = build(
        model=model, options={"features": {"frames": 12, "coordinates": "xyz"}}
    ).backbone
    inputs = 3 * 75 * 3
    steps = torch.randn(2, 12, inputs)
    mask = torch.arange(12) < torch.tensor([12, 5])[:, None]

    summary = backbone(steps, mask)
    other = backbone(torch.where(mask[:, :, None], steps, 99.0), mask)

    assert summary.shape == (2, backbone.width)
    torch.testing.assert_close(summary, other, rtol=0, atol=1e-5)


def test_recognise_is_forward_on_the_chosen_landmarks(build):
    recognizer = build(landmarks="hands")
    clip = torch.rand(8, 543, 3)
    chosen = clip[None, :, list(recognizer.landmarks.indices)]

    logits = recognizer(chosen, torch.tensor([8]))

    torch.testing.assert_close(recognizer.recognise(clip), logits.softmax(-1)[0])


def test_what_is_fitted_travels_with_the_weights(build):
    fitted, fresh = build(scaler="standard"), build(scaler="standard")
    for buffer in fresh.scaler.buffers():
        buffer.fill_(7.0)
    fresh.load_state_dict(fitted.state_dict())

    clip = torch.rand(5, 543, 3)

    assert torch.equal(fresh.recognise(clip), fitted.recognise(clip))
