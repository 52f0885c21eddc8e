import numpy as np
import pytest

from asl.clips.sources.arrays import ArrayForm, open_described
from asl.clips.sources.base import BadClip
from asl.clips.sources.npy import NpySource
from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC

PARTS = MEDIAPIPE_HOLISTIC.parts


def form(**options):
    usual = {
        "layout": "mediapipe_holistic",
        "axes": "time, feature",
        "coordinates": "xyz",
        "landmarks": None,
        "missing": 0,
        "outer": ("time",),
    }
    return ArrayForm(**usual | options)


@pytest.fixture(scope="session")
def clip(synthetic_raw):
    """Six frames with all parts, some of them missing here and there."""
    from asl.clips.sources.gislr import read_clip

    hand = PARTS["right_hand"]
    clips = (read_clip(path) for path in sorted(synthetic_raw.rglob("*.parquet")))
    seen = (np.isfinite(clip[:, hand, 0]).all(1) for clip in clips)
    path, first = next(
        (path, int(start))
        for path, frames in zip(sorted(synthetic_raw.rglob("*.parquet")), seen, strict=True)
        for start in range(len(frames) - 5)
        if frames[start : start + 6].all()
    )
    clip = read_clip(path)[first : first + 6]
    assert not np.isnan(clip[:, PARTS["pose"]]).any()
    clip[1:3, PARTS["right_hand"]] = np.nan
    return clip


def flat(clip, *parts):
    return np.nan_to_num(np.concatenate([clip[:, PARTS[p]].reshape(6, -1) for p in parts], 1))


def only(clip, *rows):
    rows = np.concatenate(rows)
    kept = np.full_like(clip, np.nan)
    kept[:, rows] = clip[:, rows]
    return kept


def test_flat_frames_of_a_holistic_recorder(clip):
    """Pose with visibilities, face, left hand, right hand: 1,662 values, zeros for missing."""
    pose = np.dstack([clip[:, PARTS["pose"]], np.full((6, 33), 0.9)]).reshape(6, -1)
    values = np.hstack([pose, flat(clip, "face", "left_hand", "right_hand")])
    assert values.shape == (6, 1662)
    reader = form(landmarks=[{"pose": "xyzv"}, "face", "left_hand", "right_hand"])
    assert reader.misfit(values.shape, values.dtype) == ""
    np.testing.assert_array_equal(reader.read("clip", values).clip, clip)


def test_a_hand_missing_in_the_last_frames_does_not_shorten_the_clip(clip):
    clip = clip.copy()
    clip[4:, PARTS["right_hand"]] = np.nan
    values = flat(clip, "right_hand", "pose")
    read = form(landmarks=["right_hand", "pose"]).read("clip", values).clip
    np.testing.assert_array_equal(read, only(clip, PARTS["right_hand"], PARTS["pose"]))
    hand = form(landmarks=["right_hand"]).read("clip", flat(clip, "right_hand")).clip
    assert len(hand) == 4


def test_channels_first_without_z(clip):
    rows = [500, 501, *PARTS["left_hand"]]
    values = clip[:, rows][..., [1, 0]].transpose(2, 0, 1)  # y and x
    reader = form(
        axes=["coordinate", "time", "landmark"],
        coordinates="yx",
        landmarks=["pose 11-12", "left_hand"],
        missing="nan",
    )
    assert reader.misfit(values.shape, values.dtype) == ""
    read = reader.read("clip", values).clip
    np.testing.assert_array_equal(read[..., :2], only(clip, rows)[..., :2])
    assert np.isnan(read[..., 2]).all()


def test_landmarks_outside_the_layout_are_skipped(clip):
    values = np.concatenate([clip[:, :468], np.ones((6, 10, 3)), clip[:, 500:501]], axis=1)
    reader = form(axes="time, landmark, coordinate", landmarks=["face", "skip 10", 500])
    read = reader.read("clip", values).clip
    np.testing.assert_array_equal(read, only(clip, PARTS["face"], [500]))


def test_an_undeclared_fill_value_is_noted(clip):
    values = flat(clip, "left_hand", "pose", "right_hand")
    parts = ["left_hand", "pose", "right_hand"]
    note = form(landmarks=parts, missing="nan").read("", values).note
    assert note == "has landmarks at 0 in all coordinates, but missing=nan"
    assert not form(landmarks=parts).read("", values).note


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda v: v[:0], "has no frames"),
        (lambda v: v * 0, "shows nothing in any frame"),
        (lambda v: np.where(v > 0.5, np.inf, v), "has an infinite coordinate"),
        (lambda v: v.astype(float) * 1e300, "has an infinite coordinate"),
    ],
)
def test_an_invalid_clip_is_refused(clip, damage, reason):
    with pytest.raises(BadClip, match=reason):
        form(landmarks=["pose"]).read("clip", damage(flat(clip, "pose")))


@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ((6, 98), "f4", r"has the shape \[6, 98\], but axes=time, feature of .* need \[time, 99\]"),
        ((6, 33, 3), "f4", r"need \[time, 99\]"),
        ((6, 99), "U4", "holds <U4, not numbers"),
        ((6, 99), "c8", "holds complex64, not numbers"),
        ((6, 99), "O", "holds Python objects"),
    ],
)
def test_an_array_of_another_form_is_refused(shape, dtype, reason):
    import re

    assert re.search(reason, form(landmarks=["pose"]).misfit(shape, np.dtype(dtype)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"axes": "time, landmarks"}, "axes=time, landmarks: choose time, landmark, coordinate or"),
        ({"axes": ["clip", "time", "feature"]}, "axes=clip, time, feature: choose time"),
        ({"coordinates": "xz"}, "coordinates=xz: choose xyz or xy"),
        ({"coordinates": "xyw"}, "coordinates=xyw: choose"),
        ({"landmarks": ["legs"]}, r"landmarks=legs: choose from face \(0-467\), left_hand"),
        ({"landmarks": ["pose 30-33"]}, "landmarks=pose 30-33: choose"),
        ({"landmarks": [543]}, "landmarks=543: choose .* a row of 0-542"),
        ({"landmarks": ["skip"]}, "landmarks=skip: choose"),
        ({"landmarks": ["skip 3"]}, "names none of mediapipe_holistic"),
        ({"landmarks": ["pose", 500]}, "row 500 of mediapipe_holistic is there twice"),
        ({"landmarks": [{"pose": "xv"}]}, "landmarks: pose=xv: choose"),
        ({"landmarks": [{"pose": "xyz", "face": "xyz"}]}, "should be one part"),
        (
            {"axes": "time, landmark, coordinate", "landmarks": [{"pose": "xyzv"}]},
            "only in axes with feature",
        ),
        ({"missing": "never"}, "missing=never: should be a number or nan"),
        ({"layout": "openpose"}, "layout=openpose: choose from mediapipe_holistic, kinect20"),
    ],
)
def test_an_invalid_description_is_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        form(**options)


@pytest.mark.parametrize(
    ("text", "overrides", "sentence"),
    [
        (None, {}, r"clips\.yaml: there is no such file to say layout"),
        ("layout: kinect20", {}, r"clips\.yaml: must say files"),
        ("[1, 2]", {}, r"clips\.yaml: must hold keys and values"),
        ("layout: [", {}, r"clips\.yaml: is not YAML"),
        ("axis: [time]", {}, r"clips\.yaml: axis=\['time'\]: choose from layout, files, axes"),
        ("{layout: kinect20, files: 3}", {}, r"clips\.yaml: files=3: should be a valid string"),
        ("{layout: kinect20, files: a.csv, signs: [no]}", {}, r"signs=\[False\]: should be"),
        ("layout: kinect20", {"files": ["a"]}, r"data\.source\.files=\['a'\]: should be"),
        ("{layout: kinect20, files: a.csv, signs: [a, a]}", {}, "a is there more than once"),
    ],
)
def test_an_invalid_description_file_is_one_sentence(tmp_path, text, overrides, sentence):
    if text is not None:
        (tmp_path / "clips.yaml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        open_described(NpySource, tmp_path, overrides)


def test_arguments_override_the_file(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 20, 3)))
    (tmp_path / "clips.yaml").write_text("{layout: kinect20, files: 'no.csv', missing: 0}")
    reader = open_described(NpySource, tmp_path, {"files": "{sign}.npy", "missing": None})
    assert reader.signs == ["a"]
    assert reader.settings["missing"] == "0.0"
