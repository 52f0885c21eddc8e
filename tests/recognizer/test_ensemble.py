"""An ensemble is a recognizer, and its logits are the mean of its members'."""

import pytest
import torch

from asl.recognizer.ensemble import Ensemble


class Recognise(torch.nn.Module):
    def __init__(self, recognizer):
        super().__init__()
        self.recognizer = recognizer

    def forward(self, inputs):
        return self.recognizer.recognise(inputs)


@pytest.fixture
def members(build):
    return [
        build(model="lstm", scaler="standard", landmarks="hands"),
        build(model="cnn", scaler="body", landmarks="gislr118", features="gislr_1st"),
        build(model="conv_gru", scaler="none", landmarks="hands_pose", features="positions"),
    ]


@pytest.fixture
def ensemble(members):
    return Ensemble(members).eval()


def test_logits_are_the_mean_of_the_members_on_their_own_landmarks(members, ensemble, ragged):
    clips, lengths = ragged(543)
    expected = [member(clips[:, :, list(member.landmarks.indices)], lengths) for member in members]

    logits = ensemble(clips[:, :, list(ensemble.landmarks.indices)], lengths)

    torch.testing.assert_close(logits, sum(expected) / 3)


def test_padding_does_not_change_logits(ensemble, ragged):
    clips, lengths = ragged(len(ensemble.landmarks.indices))
    together = ensemble(clips, lengths)
    for clip, length, expected in zip(clips, lengths, together, strict=True):
        alone = ensemble(clip[None, :length], length[None])[0]
        torch.testing.assert_close(alone, expected, rtol=0, atol=1e-5)


def test_recognise_is_forward_on_the_landmarks_of_all_members(members, ensemble):
    clip = torch.rand(8, 543, 3)
    clip[2:5, 468:489] = torch.nan
    clips = clip[None, :, list(ensemble.landmarks.indices)]

    logits = ensemble(clips, torch.tensor([8]))

    torch.testing.assert_close(ensemble.recognise(clip), logits.softmax(-1)[0])
    rows = {row for member in members for row in member.landmarks.indices}
    assert rows == set(ensemble.landmarks.indices)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*were assigned during export")
def test_the_exported_graph_computes_what_the_ensemble_does(ensemble):
    recognise = Recognise(ensemble)
    frames = torch.export.Dim("frames", min=1)

    graph = torch.export.export(
        recognise, (torch.rand(37, 543, 3),), dynamic_shapes={"inputs": {0: frames}}
    ).module()

    for length in (1, 2, 30, 137):
        clip = torch.rand(length, 543, 3)
        clip[torch.rand(length, 543) < 0.3] = torch.nan
        torch.testing.assert_close(graph(clip), recognise(clip), rtol=0, atol=1e-6)


def test_a_confident_member_outweighs_an_uncertain_one(build):
    """Averaged probabilities would give the second sign .55."""
    uncertain, confident = build(), build()
    for member, bias in ((uncertain, [2.0, 0, 0, 0]), (confident, [0, 20.0, 0, 0])):
        last = member.head.layers[-1]
        torch.nn.init.zeros_(last.weight)
        last.bias.data = torch.tensor(bias)
    probabilities = Ensemble([uncertain, confident]).eval().recognise(torch.rand(5, 543, 3))
    assert probabilities[1] > 0.999


def test_members_of_other_signs_or_another_layout_are_refused(build):
    one, other = build(), build()
    other.signs = other.signs[::-1]
    for member in (other, build(landmarks="kinect20")):
        with pytest.raises(ValueError, match="same signs"):
            Ensemble([one, member])


def test_an_ensemble_may_be_a_member(members, build):
    clip = torch.rand(6, 543, 3)
    alone = build(model="gru")
    inner = Ensemble(members[:2])
    nested = Ensemble([inner, alone]).eval()
    logits = [member.recognise(clip).log() for member in (*members[:2], alone)]
    expected = ((logits[0] + logits[1]) / 2 + logits[2]).div(2).softmax(-1)
    torch.testing.assert_close(nested.recognise(clip), expected)
