"""A layout with measured channels: what a scaler and features make of them."""

import pytest
import torch

from asl.config.plan import plan
from asl.errors import UserError
from asl.landmarks import landmark_set
from asl.recognizer.build import build_recognizer

GLOVE = landmark_set("powerglove")
MEASURED = len(GLOVE.layout.measured)


def recognizer(*overrides):
    torch.manual_seed(0)
    chosen = plan("data=auslan95", "model=cnn", "model.hidden=8", *overrides).recognizer
    return build_recognizer(chosen, ["boy", "girl"])


def clips(count=6):
    torch.manual_seed(1)
    clips = torch.rand(count, 20, 1, 3 + MEASURED)
    clips[..., 3:] *= torch.arange(1.0, MEASURED + 1)  # each channel in a unit of its own
    lengths = torch.tensor([20, 7, 3, 12, 20, 1])
    for clip, length in zip(clips, lengths, strict=True):
        clip[length:] = torch.nan
    return clips, lengths


@pytest.mark.parametrize("scaler", ["clip", "none", "standard"])
def test_measured_channels_have_one_scale_with_any_scaler(scaler):
    one = recognizer(f"scaler={scaler}", "features=positions", "features.length=all")
    recorded, lengths = clips()
    one.fit([(recorded[:4], lengths[:4]), (recorded[4:], lengths[4:])])

    steps, mask = one.steps(recorded, lengths)

    bends = steps[mask][:, 3:]
    torch.testing.assert_close(bends.mean(0), torch.zeros(MEASURED), atol=1e-5, rtol=0)
    torch.testing.assert_close(bends.std(0, correction=0), torch.ones(MEASURED))


def test_where_a_hand_is_does_not_change_how_its_bends_are_seen():
    one = recognizer("scaler=clip", "features=positions")
    recorded, lengths = clips()
    one.fit([(recorded, lengths)])
    moved = recorded.clone()
    moved[..., :3] = 3 * moved[..., :3] + 1

    torch.testing.assert_close(one.steps(recorded, lengths), one.steps(moved, lengths))
    bent = recorded.clone()
    bent[..., 3:] += 1
    assert not torch.allclose(one.steps(recorded, lengths)[0], one.steps(bent, lengths)[0])


def test_statistics_travel_with_the_weights():
    fitted, fresh = recognizer("scaler=clip"), recognizer("scaler=clip")
    recorded, lengths = clips()
    fitted.fit([(recorded, lengths)])
    assert not torch.equal(fresh.measured.centre, fitted.measured.centre)
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.eval()(recorded, lengths), fitted.eval()(recorded, lengths))


def test_features_take_the_channels_that_are_named():
    whole = recognizer("features=positions", "features.frames=20")
    some = recognizer("features=positions", "features.frames=20", "features.measured=[ring,roll]")
    flat = recognizer("features=positions", "features.frames=20", "data.coordinates=xy")
    recorded, lengths = clips()

    (all_of_it, _), (chosen, _), (in_plane, _) = (
        one.steps(recorded, lengths) for one in (whole, some, flat)
    )

    assert all_of_it.shape[-1] == 3 + MEASURED
    torch.testing.assert_close(chosen, all_of_it[..., [0, 1, 2, 7, 3]])
    torch.testing.assert_close(in_plane, all_of_it[..., [0, 1, 3, 4, 5, 6, 7]])


def test_missing_channels_are_filled_as_coordinates_are():
    one = recognizer("scaler=none", "features=positions", "features.length=all", "impute=linear")
    recorded = torch.zeros(1, 5, 1, 3 + MEASURED)
    recorded[0, :, 0, 4] = torch.tensor([0.0, torch.nan, torch.nan, 3.0, 4.0])

    steps, _ = one.steps(recorded, torch.tensor([5]))

    assert steps[0, :, 4].tolist() == pytest.approx([0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("scaler=body", "powerglove has no shoulders to centre a clip on"),
        ("scaler=gislr_1st", "powerglove has no lip to centre a clip on"),
        ("scaler=skeleton", "scaler=skeleton: powerglove measures no bones"),
        ("scaler=hands", "powerglove has no"),
        ("handedness=mirror_left", "handedness=mirror_left: powerglove shows one hand"),
        ("features=distances", "features.terms=distances: landmarks=powerglove has no two points"),
        ("features.measured=[little]", "features.measured=little: choose from all, roll, thumb"),
    ],
)
def test_what_a_glove_lacks_is_said_in_one_sentence(override, sentence):
    with pytest.raises(UserError, match=sentence.replace("[", r"\[")) as refusal:
        recognizer(override)
    assert "\n" not in str(refusal.value)


def test_a_body_has_no_measured_channel_to_name():
    with pytest.raises(UserError, match=r"features\.measured=roll: choose from all"):
        build_recognizer(plan("features.measured=[roll]").recognizer, ["boy", "girl"])


def test_a_gloves_usual_scaler_keeps_how_far_the_hand_goes():
    one = recognizer("features=positions", "features.length=all")
    recorded, lengths = clips()
    recorded[1, ..., :3] *= 0.1
    one.fit([(recorded, lengths)])

    steps, _ = one.steps(recorded, lengths)

    small, large = steps[1, :7, :3].std(0).mean(), steps[0, :, :3].std(0).mean()
    assert small < 0.3 * large


def test_places_of_a_landmark_include_its_measured_channels():
    one = recognizer("features=motion")
    (places,) = one.features.places(1)
    assert sorted(places) == list(range(one.features.size(1)))
