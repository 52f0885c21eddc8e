import pickle
import subprocess
import sys

import numpy as np
import pytest

from asl.clips.prepare import prepare
from asl.clips.sources.npz import NpzSource, described_npz
from asl.errors import UserError
from asl.evaluation.predictions import Predictions, per_clip


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


def source(tmp_path, arrays, save=np.savez, **options):
    save(tmp_path / "clips.npz", **arrays)
    return NpzSource(tmp_path, **{"file": "clips.npz", "layout": "kinect20", **options})


def clips_of(source):
    return [source.read(entry).clip for entry in source.listing().entries]


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


def test_without_lengths_the_empty_end_is_cut_and_without_repetitions_clips_are_numbered(
    tmp_path, arrays
):
    for clip, frames in zip(arrays["X"], arrays.pop("length"), strict=True):
        clip[frames:] = -1
    arrays["X"][0, 0] = -1  # nothing seen at first: no end
    arrays["X"][1] = -1
    arrays["X"][2, 0, 4:6] = -1
    del arrays["repetition"]
    reader = source(tmp_path, arrays, missing=-1)
    store = prepare(reader, tmp_path / "store")
    assert store.frames.tolist() == [9, 1, 5]
    assert store.clips["sequence_id"].tolist() == ["yes-10-0", "yes-2-2", "no-2-3"]
    assert np.isnan(store.read(0)[0]).all()
    assert np.flatnonzero(np.isnan(store.read(1)[0]).all(axis=1)).tolist() == [4, 5]
    assert "clips.npz:1,shows nothing in any" in (tmp_path / "store/problems.csv").read_text()


def test_a_name_may_be_nan_and_a_clip_without_a_name_is_a_problem(tmp_path, arrays):
    arrays["sign"] = np.array(["nan", "no", "", "nan"])
    arrays["participant_id"] = np.array(["nan", "10", "10", ""])
    reader = source(tmp_path, arrays)
    assert reader.signs == ["nan", "no"]
    listing = reader.listing()
    assert [(entry.sign, entry.signer) for entry in listing.entries] == [("nan",) * 2, ("no", "10")]
    told = [(problem.path, problem.reason) for problem in listing.problems]
    assert told == [("clips.npz:2", "has no sign"), ("clips.npz:3", "has no signer")]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_other_axes_and_ways_to_save_are_the_same_clips(tmp_path, arrays, save, order):
    expected = clips_of(source(tmp_path, arrays))
    axes = ["clip", "coordinate", "time", "landmark"]
    turned = np.asarray(arrays["X"].transpose(0, 3, 1, 2), dtype=">f4", order=order)
    reader = source(tmp_path, arrays | {"X": turned}, save, axes=axes)
    for one, other in zip(clips_of(reader), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    # What a worker process is given reads the same, whether or not its maker has read.
    for one, other in zip(clips_of(pickle.loads(pickle.dumps(reader))), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_arrays_may_be_npy_files(tmp_path, arrays):
    expected = clips_of(source(tmp_path, arrays))
    np.save(tmp_path / "X.npy", arrays["X"].reshape(4, 9, 60))
    np.save(tmp_path / "y.npy", np.array([1.0, 0.0, 1.0, 7.0]))
    np.save(tmp_path / "frames.npy", arrays["length"])
    (tmp_path / "clips.yaml").write_text(
        "{layout: kinect20, axes: 'clip, time, feature', clips: X.npy, sign: y.npy,"
        " length: frames.npy, signer: none, signs: [no, 'yes']}".replace("[no", "['no'")
    )
    reader = described_npz(tmp_path)
    entries, problems, _ = reader.listing()
    assert reader.signs == ["no", "yes"]
    assert [entry.sign for entry in entries] == ["yes", "no", "yes"]
    assert {entry.signer for entry in entries} == {"?"}
    assert problems[0] == ("X.npy:3", "sign '7' is not in signs", False)
    assert problems[1].kept
    assert "split=random" in problems[1].reason
    for one, other in zip(clips_of(reader), expected[:3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_settings_differ_where_clips_differ(tmp_path, arrays):
    first = source(tmp_path, arrays).settings
    assert source(tmp_path, arrays).settings == first
    assert source(tmp_path, arrays, missing=0).settings != first
    assert source(tmp_path, arrays, coordinates="yxz").settings != first
    assert source(tmp_path, arrays, signer="repetition").settings == first
    arrays["length"][0] = 8
    assert source(tmp_path, arrays).settings != first


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda a: a.pop("sign"), "has no array sign, only X, length"),
        (lambda a: a.update(X=a["X"][:, :, :19]), r"\[4, 9, 19, 3\], but .* of kinect20 need"),
        (lambda a: a.update(X=a["X"][0]), r"X has the shape \[9, 20, 3\]"),
        (lambda a: a.update(X=a["X"][:, :0]), r"X has the shape \[4, 0, 20, 3\]"),
        (lambda a: a.update(X=a["X"].astype(str)), "X holds <U32, not numbers"),
        (lambda a: a.update(X=np.array([1, "a"], object)), "X holds Python objects, which are nev"),
        (
            lambda a: a.update(sign=np.array([1, "a"] * 2, object)),
            "sign holds Python objects, which",
        ),
        (lambda a: a.update(sign=np.eye(4)), r"sign has the shape \[4, 4\], but there are 4 clips"),
        (lambda a: a.update(sign=np.full(4, 0.5)), "sign holds float64, not names or whole"),
        (lambda a: a.update(length=a["length"][:3]), "length has the shape"),
    ],
)
def test_inconsistent_arrays_are_one_sentence(tmp_path, arrays, damage, sentence):
    damage(arrays)
    with pytest.raises(UserError, match=sentence):
        prepare(source(tmp_path, arrays), tmp_path / "store")


def test_a_missing_file_and_an_unknown_layout(tmp_path, arrays):
    with pytest.raises(UserError, match=r"holds no clips\.npz"):
        NpzSource(tmp_path, file="clips.npz", layout="kinect20")
    with pytest.raises(UserError, match="layout=kinect: choose from mediapipe_holistic, kinect20"):
        source(tmp_path, arrays, layout="kinect")
    with pytest.raises(UserError, match=r"X: say the \.npz file"):
        NpzSource(tmp_path, layout="kinect20")
    with pytest.raises(UserError, match="has no array frames, only"):
        source(tmp_path, arrays, length="frames")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_file_is_one_sentence_or_the_same_clips(tmp_path, arrays, save):
    expected = clips_of(source(tmp_path, arrays, save))
    whole = (tmp_path / "clips.npz").read_bytes()
    rng = np.random.default_rng(0)
    for cut in rng.integers(0, len(whole), 20).tolist():
        (tmp_path / "clips.npz").write_bytes(whole[:cut])
        with pytest.raises(UserError, match="clips"):
            clips_of(NpzSource(tmp_path, file="clips.npz", layout="kinect20"))
    middle = whole.index(b"NUMPY") if save is np.savez else 60
    (tmp_path / "clips.npz").write_bytes(whole[:middle] + b"!!!!!!!!" + whole[middle + 8 :])
    with pytest.raises(UserError, match=r"clips\.npz: "):
        clips_of(NpzSource(tmp_path, file="clips.npz", layout="kinect20"))
    assert len(expected) == 4


_READS_ALL = """
import sys, resource, numpy as np
from asl.clips.sources.npz import NpzSource
source = NpzSource(sys.argv[1], file="clips.npz", layout="kinect20")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for entry in source.listing().entries:
    source.read(entry)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_large_array_is_never_loaded_as_a_whole(tmp_path, arrays, save):
    count, megabytes = 1000, 1000 * 200 * 20 * 3 * 4 / 1e6
    arrays |= {"X": np.ones((count, 200, 20, 3), np.float32) * np.arange(20)[:, None]}
    arrays |= {key: np.resize(arrays[key], count) for key in arrays if key != "X"}
    save(tmp_path / "clips.npz", **arrays)
    done = subprocess.run(
        [sys.executable, "-c", _READS_ALL, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    unit = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss
    assert int(done.stdout) / unit < megabytes / 4


def test_the_real_kinect_clips(shared_data):
    real = NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")
    entries, problems, _ = real.listing()
    assert len(entries) == 2700
    assert len(real.signs) == 30
    assert not problems
    with np.load(shared_data / "isl30/isl30.npz") as arrays:
        padded, lengths = arrays["X"], arrays["length"]
    for entry in entries[::27]:
        clip, note = real.read(entry)
        np.testing.assert_array_equal(clip, padded[entry.row, : lengths[entry.row]])
        assert not note
    clip = real.read(entries[3]).clip
    assert clip[:, 0, 1].mean() > clip[:, 11, 1].mean()  # the head is above the hips: y is up


def test_a_clip_has_the_name_of_its_file_and_its_row(tmp_path, arrays):
    arrays["length"][1] = 0  # is skipped
    store = prepare(source(tmp_path, arrays), tmp_path / "store")
    assert store.clips["path"].tolist() == ["clips.npz:0", "clips.npz:2", "clips.npz:3"]
    scores, rows = np.zeros((2, 2), np.float32), np.array([1, 2])
    predictions = Predictions(scores, store.sign[rows], store.clip_signers[rows], rows, store.signs)
    named = per_clip(predictions, store)["clip"]
    assert named.tolist() == ["clips.npz:2", "clips.npz:3"]


def test_one_recording_under_two_names_is_reported(tmp_path, arrays):
    arrays["length"][2] = 2  # one frame alone would be odd
    arrays["X"][3], arrays["length"][3] = arrays["X"][0], arrays["length"][0]
    lines = []
    store = prepare(source(tmp_path, arrays), tmp_path / "store", echo=lines.append)
    assert len(store) == 4
    (row,) = (tmp_path / "store/problems.csv").read_text().splitlines()[1:]
    assert row == "clips.npz:3,has the content of 'clips.npz:0' of sign 'yes' of signer '10',yes"
    assert lines[1].startswith("1 odd files kept")
    assert "has the content of … of sign … of signer …" in lines[2]


def test_a_copy_of_an_odd_clip_is_reported_too(tmp_path, arrays):
    arrays["X"][3], arrays["length"][3] = arrays["X"][2], arrays["length"][2]
    prepare(source(tmp_path, arrays), tmp_path / "store")
    rows = (tmp_path / "store/problems.csv").read_text().splitlines()[1:]
    assert rows == [
        "clips.npz:2,has one frame,yes",
        "clips.npz:3,has one frame,yes",
        "clips.npz:3,has the content of 'clips.npz:2' of sign 'yes',yes",
    ]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_huge_coordinate_is_a_problem(tmp_path, arrays, dtype):
    arrays["X"][1, 0, 0] = 1e20
    store = prepare(source(tmp_path, arrays), tmp_path / "store", dtype=dtype)
    assert len(store) == 3
    assert f"too large for {dtype},no" in (tmp_path / "store/problems.csv").read_text()
