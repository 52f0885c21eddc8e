import numpy as np
import pytest

from asl.clips.npz import NpzSource
from asl.clips.prepare import prepare
from asl.errors import UserError


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "X": rng.normal(size=(4, 9, 20, 3)).astype(np.float32),
        "length": np.array([9, 3, 1, 5]),
        "sign": np.array(["yes", "no", "yes", "no"]),
        "participant_id": np.array([10, 10, 2, 2]),
        "repetition": np.array([1, 1, 1, 1]),
    }


def source(tmp_path, arrays, **options):
    np.savez(tmp_path / "clips.npz", **arrays)
    return NpzSource(tmp_path, **{"file": "clips.npz", "layout": "kinect20", **options})


def test_clips_are_cut_to_their_lengths(tmp_path, arrays):
    store = prepare(source(tmp_path, arrays), tmp_path / "store")
    assert store.layout.name == "kinect20"
    assert store.signs == ["no", "yes"]
    assert store.signers == ["2", "10"]
    assert store.frames.tolist() == [9, 3, 1, 5]
    assert store.clip_signs.tolist() == ["yes", "no", "yes", "no"]
    assert store.clips["sequence_id"].is_unique
    for row in range(4):
        np.testing.assert_array_equal(store.read(row), arrays["X"][row, : arrays["length"][row]])


def test_a_clip_without_frames_is_a_problem(tmp_path, arrays):
    arrays["length"][1] = 0
    store = prepare(source(tmp_path, arrays), tmp_path / "store")
    assert len(store) == 3
    assert "clips.npz:1,has 0 frames of 9,no" in (tmp_path / "store/problems.csv").read_text()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda a: a.pop("sign"), "has no array sign, only X, length"),
        (lambda a: a.update(X=a["X"][:, :, :19]), "layout kinect20 needs"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, arrays, spoil, sentence):
    spoil(arrays)
    with pytest.raises(UserError, match=sentence):
        prepare(source(tmp_path, arrays), tmp_path / "store")


def test_a_missing_file_and_an_unknown_layout(tmp_path, arrays):
    with pytest.raises(UserError, match=r"holds no clips\.npz"):
        NpzSource(tmp_path, file="clips.npz", layout="kinect20")
    with pytest.raises(UserError, match="layout=kinect: choose from mediapipe_holistic, kinect20"):
        source(tmp_path, arrays, layout="kinect")


def test_the_real_kinect_clips(shared_data):
    real = NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")
    entries, problems = real.listing()
    assert len(entries) == 2700
    assert len(real.signs) == 30
    assert not problems
    clip = real.read(entries[3]).clip
    assert np.isfinite(clip).all()
    assert clip[:, 0, 1].mean() > clip[:, 11, 1].mean()  # the head is above the hips: y is up
    assert real._array.shape == (2700, 189, 20, 3)
