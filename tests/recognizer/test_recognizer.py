"""The contract of every choice of model, scaler, landmarks and features in conf/."""

import pytest
import torch
from omegaconf import OmegaConf

from asl.config.plan import choices
from asl.paths import CONF

MODELS, SCALERS = choices("model"), choices("scaler")
POOLED = [name for name in MODELS if "pool" in OmegaConf.load(CONF / "model" / f"{name}.yaml")]
CHOICES = [
    *({"model": name, "features": other} for name in MODELS for other in choices("features")),
    *({"model": name, "options": {"model": {"pool": "last"}}} for name in POOLED),
    *({"scaler": name} for name in SCALERS),
    *({"landmarks": name} for name in choices("landmarks") if name != "powerglove"),
    {"landmarks": "powerglove", "scaler": "clip"},
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_padding_does_not_change_logits(choice, build, ragged):
    recognizer = build(**choice)
    landmarks = recognizer.landmarks
    clips, lengths = ragged(len(landmarks.indices), len(landmarks.layout.channels))

    logits = recognizer(clips, lengths)

    assert logits.shape == (len(lengths), len(recognizer.signs))
    assert logits.isfinite().all()
    assert torch.equal(logits, recognizer(clips, lengths)), "evaluation is not deterministic"
    for clip, length, expected in zip(clips, lengths, logits, strict=True):
        alone = recognizer(clip[None, :length], length[None])[0]
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: "-".join(map(str, choice.values())))
def test_every_parameter_has_a_finite_gradient(choice, build, ragged):
    recognizer = build(**choice).train()
    landmarks = recognizer.landmarks
    clips, lengths = ragged(len(landmarks.indices), len(landmarks.layout.channels))

    recognizer(clips, lengths).square().sum().backward()

    for name, parameter in recognizer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("scaler", SCALERS)
def test_edge_case_clips_have_probabilities(model, scaler, build):
    recognizer = build(model=model, scaler=scaler)
    size = recognizer.landmarks.layout.size
    clip = torch.rand(3, size, 3)
    empty = torch.full((3, size, 3), torch.nan)
    point = empty.clone()
    point[1, recognizer.landmarks.indices[2]] = 0.5
    infinite = clip.clone()
    infinite[:, ::2] = torch.inf

    for edge_case in (
        clip[:1],
        clip[:2],
        empty,
        empty[:1],
        point,
        infinite,
        clip.sign() * 1e30,
    ):
        probabilities = recognizer.recognise(edge_case)
        assert probabilities.isfinite().all()
        assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_a_backbone_has_its_width_and_ignores_padding(model, build):
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


def test_recognise_is_forward_on_the_landmark_set(build):
    recognizer = build(landmarks="hands")
    clip = torch.rand(8, 543, 3)
    clips = clip[None, :, list(recognizer.landmarks.indices)]

    logits = recognizer(clips, torch.tensor([8]))

    torch.testing.assert_close(recognizer.recognise(clip), logits.softmax(-1)[0])


def test_fitted_statistics_are_part_of_the_weights(build):
    fitted, fresh = build(scaler="standard"), build(scaler="standard")
    for buffer in fresh.scaler.buffers():
        buffer.fill_(7.0)
    fresh.load_state_dict(fitted.state_dict())

    clip = torch.rand(5, 543, 3)

    assert torch.equal(fresh.recognise(clip), fitted.recognise(clip))
