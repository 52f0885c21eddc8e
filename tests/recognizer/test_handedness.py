import pytest
import torch

from asl.config.plan import choices, plan
from asl.landmarks import LANDMARK_SETS
from asl.recognizer.build import build_recognizer
from asl.training.augment import Mirror


def recognizer(landmarks, *overrides):
    chosen = plan(f"landmarks={landmarks}", "model=cnn", "model.hidden=8", *overrides)
    torch.manual_seed(0)
    return build_recognizer(chosen.recognizer, ["a", "b", "c"]).eval()


BODIES = [each for each in LANDMARK_SETS.values() if each.layout.has_sides]


def clips(landmarks):
    torch.manual_seed(1)
    lengths = torch.tensor([20, 7, 3, 12])  # in a single frame both hands are inactive
    clips = torch.rand(4, 20, len(landmarks.indices), 3)
    clips[torch.rand(4, 20, len(landmarks.indices)) < 0.2] = torch.nan
    return clips, lengths


@pytest.mark.parametrize("landmarks", BODIES, ids=lambda each: each.name)
@pytest.mark.parametrize("scaler", ["body", "clip"])
def test_a_clip_and_its_mirror_image_have_equal_logits(landmarks, scaler):
    one = recognizer(landmarks.name, "handedness=mirror_left", f"scaler={scaler}")
    recorded, lengths = clips(landmarks)
    mirrored, _ = Mirror(p=1.0)(recorded, lengths, landmarks)

    torch.testing.assert_close(one(recorded, lengths), one(mirrored, lengths), rtol=0, atol=1e-5)
    as_recorded = recognizer(landmarks.name, f"scaler={scaler}")
    assert not torch.allclose(
        as_recorded(recorded, lengths), as_recorded(mirrored, lengths), atol=1e-3
    )


def test_a_right_handed_clip_stays_as_it_is():
    landmarks = LANDMARK_SETS["hands_pose"]
    recorded, lengths = clips(landmarks)
    recorded[:, :, list(landmarks.left_hand)] = torch.nan
    logits = recognizer("hands_pose", "handedness=mirror_left")(recorded, lengths)
    assert logits.equal(recognizer("hands_pose")(recorded, lengths))


@pytest.mark.parametrize("landmarks", BODIES, ids=lambda each: each.name)
def test_with_a_margin_only_clips_whose_left_side_clearly_does_more_are_mirrored(landmarks):
    recorded, lengths = (part[[0, 3]] for part in clips(landmarks))  # the long ones
    rows = landmarks.left_hand or tuple(a for a, b in enumerate(landmarks.mirror) if a < b)
    one = recognizer(landmarks.name, "handedness=mirror_left", "handedness.margin=1.5")
    as_recorded = recognizer(landmarks.name)
    assert one(recorded, lengths).equal(as_recorded(recorded, lengths))

    recorded[:, :, list(rows)] *= 3
    mirrored, _ = Mirror(p=1.0)(recorded, lengths, landmarks)
    left_handed, right_handed = one(recorded, lengths), one(mirrored, lengths)
    torch.testing.assert_close(left_handed, right_handed, rtol=0, atol=1e-5)
    assert not torch.allclose(as_recorded(recorded, lengths), left_handed, atol=1e-3)


def test_fitted_statistics_are_of_mirrored_clips():
    landmarks = LANDMARK_SETS["hands_pose"]
    recorded, lengths = clips(landmarks)
    mirrored, _ = Mirror(p=1.0)(recorded, lengths, landmarks)
    centres = []
    for seen in (recorded, mirrored):
        one = recognizer("hands_pose", "handedness=mirror_left", "scaler=standard")
        one.fit([(seen, lengths)])
        centres.append(one.scaler.centre)
    torch.testing.assert_close(centres[0], centres[1], rtol=0, atol=1e-5)


def test_a_spec_without_handedness_means_as_recorded():
    spec = dict(plan("model=cnn", "model.hidden=8").recognizer)
    del spec["handedness"]
    old = build_recognizer(spec, ["a", "b"])
    assert type(old.handedness).__name__ == "AsRecorded"
    assert choices("handedness") == ["mirror_left", "recorded"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["handedness=mirror_left"],
        ["handedness=mirror_left", "handedness.margin=1.5"],
        ["handedness=mirror_left", "landmarks=kinect20"],
        ["head=arcface"],
    ],
)
@pytest.mark.filterwarnings("ignore:.*were assigned during export")
def test_the_exported_graph_computes_what_the_recognizer_does(overrides):
    chosen = plan("model=cnn", "model.hidden=8", *overrides)
    exported = build_recognizer(chosen.recognizer, ["a", "b", "c"]).eval()
    size = exported.landmarks.layout.size

    class Recognise(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.recognizer = exported

        def forward(self, inputs):
            return self.recognizer.recognise(inputs)

    frames = torch.export.Dim("frames", min=1)
    graph = torch.export.export(
        Recognise(), (torch.rand(37, size, 3),), dynamic_shapes={"inputs": {0: frames}}
    ).module()
    for length in (1, 2, 3, 60):
        clip = torch.rand(length, size, 3)
        clip[torch.rand(length, size) < 0.3] = torch.nan
        torch.testing.assert_close(graph(clip), exported.recognise(clip), rtol=0, atol=1e-6)
