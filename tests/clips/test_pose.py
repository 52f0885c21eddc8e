import io

import numpy as np
import pytest

from asl.clips.film import Film, write_film
from asl.clips.prepare import prepare
from asl.clips.sources.pose import PoseSource, pose_bytes, read_pose
from asl.errors import UserError
from asl.landmarks import KINECT20, MEDIAPIPE_HOLISTIC
from asl.runtime.clips import read_clip

pose_format = pytest.importorskip("pose_format", reason="pip install 'asl[pose]'")


def clip(frames: int = 4) -> np.ndarray:
    """Float32 [frames, 543, 3]; no face, and no right hand in the first frame."""
    values = np.random.default_rng(0).random((frames, 543, 3), np.float32)
    values[:, MEDIAPIPE_HOLISTIC.parts["face"]] = np.nan
    values[0, MEDIAPIPE_HOLISTIC.parts["right_hand"]] = np.nan
    return values


def test_a_clip_that_is_written_is_read_again(tmp_path):
    path = tmp_path / "a.pose"
    write_film(Film(clip(), MEDIAPIPE_HOLISTIC, "a clip"), path)
    np.testing.assert_allclose(read_pose(path), clip(), rtol=1e-5)
    np.testing.assert_allclose(read_clip(path), clip(), rtol=1e-5)


def test_points_go_by_their_names_and_pixels_become_shares(tmp_path):
    """A file as pose-format makes it: other components, another order, a part of the face."""
    header = pose_format.pose_header
    parts = [
        header.PoseHeaderComponent("POSE_WORLD_LANDMARKS", ["NOSE"], [], [], "XYZC"),
        header.PoseHeaderComponent("FACE_LANDMARKS", ["17", "472"], [], [], "XYZC"),
        header.PoseHeaderComponent("RIGHT_HAND_LANDMARKS", ["PINKY_TIP", "WRIST"], [], [], "XYZC"),
        header.PoseHeaderComponent("POSE_LANDMARKS", ["LEFT_EYE_INNER", "NOSE"], [], [], "XYZC"),
    ]
    values = np.arange(1, 22, dtype=np.float32).reshape(1, 1, 7, 3)
    confidence = np.array([[[1, 1, 1, 1, 0.5, 0.1, 0]]], np.float32)
    body = pose_format.numpy.NumPyPoseBody(25, values, confidence)
    file = io.BytesIO()
    size = header.PoseHeaderDimensions(640, 480)
    pose_format.Pose(header.PoseHeader(0.2, size, parts), body).write(file)
    path = tmp_path / "a.pose"
    path.write_bytes(file.getvalue())

    found = read_pose(path)
    named = {17: 1, 522 + 20: 3, 522: 4, 490: 5}  # raw row: point in the file
    for row, point in named.items():
        x, y, z = values[0, 0, point]
        np.testing.assert_allclose(found[0, row], [x / 640, y / 480, z], rtol=1e-6)
    assert set(np.flatnonzero(~np.isnan(found[0, :, 0]))) == set(named)


def test_a_folder_of_pose_files_is_a_data_set(tmp_path):
    for signer in ("ana", "ben"):
        for number in range(2):
            path = tmp_path / "raw" / signer / "hello" / f"{number}.pose"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(pose_bytes(clip(3 + number), MEDIAPIPE_HOLISTIC))
    (tmp_path / "raw/ana/hello/2.pose").write_bytes(b"")
    store = prepare(PoseSource(tmp_path / "raw"), tmp_path / "store", workers=1)
    assert store.clip_signers.tolist() == ["ana", "ana", "ben", "ben"]
    assert [len(store.read(row)) for row in range(4)] == [3, 4, 3, 4]
    problems = (tmp_path / "store/problems.csv").read_text("utf-8")
    assert "ana/hello/2.pose,is not a whole .pose file with a person" in problems


@pytest.mark.parametrize("cut", [3, 40, -1000, -1])
def test_a_truncated_file_is_no_clip(tmp_path, cut):
    path = tmp_path / "a.pose"
    path.write_bytes(pose_bytes(clip(), MEDIAPIPE_HOLISTIC)[:cut])
    with pytest.raises(ValueError, match=r"is not a whole \.pose file"):
        read_pose(path)


def test_other_programs_points_are_named(tmp_path):
    header = pose_format.pose_header
    part = header.PoseHeaderComponent("BODY_135", ["Nose"], [], [], "XYC")
    body = pose_format.numpy.NumPyPoseBody(25, np.ones((1, 1, 1, 2)), np.ones((1, 1, 1)))
    file = io.BytesIO()
    size = header.PoseHeaderDimensions(640, 480)
    pose_format.Pose(header.PoseHeader(0.2, size, [part]), body).write(file)
    path = tmp_path / "a.pose"
    path.write_bytes(file.getvalue())
    with pytest.raises(ValueError, match="has BODY_135, not MediaPipe Holistic's points"):
        read_pose(path)


def test_a_kinect_s_clip_has_no_pose_file():
    with pytest.raises(UserError, match="holds mediapipe_holistic, not kinect20"):
        pose_bytes(np.zeros((2, 20, 3), np.float32), KINECT20)
