"""A folder of videos is a data set, and each video is looked at once."""

import os
import shutil

import numpy as np
import pytest

pytest.importorskip("cv2")

from asl.clips.prepare import prepare
from asl.clips.sources.base import BadClip
from asl.clips.sources.gislr import write_clip
from asl.clips.sources.video import VideoSource
from asl.errors import UserError
from asl.video import extract
from asl.video.decode import BadVideo
from asl.video.extract import Extraction


@pytest.fixture
def folder(tmp_path):
    """Videos of two signers; what stands in them is how many frames a landmarker sees."""
    for frames, name in enumerate(["ana/hello/1", "ana/hello/2", "ben/hello/1"], start=8):
        path = tmp_path / "raw" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(frames))
    (tmp_path / "raw/ben/hello/2.mp4").write_text("")
    return tmp_path


@pytest.fixture
def seen(monkeypatch):
    """The videos that the landmarker has looked at, by name and arguments."""
    calls = []

    def extracted(path, **options):
        calls.append((path.parts[-3], path.stem, *options.values()))
        if not path.read_text():
            raise BadVideo(path, "is empty (0 bytes)")
        frames = int(path.read_text())
        clip = np.random.default_rng(frames).random((frames, 543, 3), dtype=np.float32)
        note = "breaks off after 10 of 20 frames" if frames == 10 else ""
        return Extraction(clip, 30.0, note)

    monkeypatch.setattr(extract, "extract", extracted)
    return calls


def read_all(folder, **options):
    """Clips, or the reasons why there are none."""
    source = VideoSource(folder / "raw", clips=folder / "landmarks", **options)
    readings = []
    for entry in source.listing().entries:
        try:
            readings.append(source.read(entry))
        except BadClip as problem:
            readings.append(problem.reason)
    return readings


def test_each_video_is_a_clip_and_a_faulty_one_has_a_reason(folder, seen):
    first, second, third, fault = read_all(folder)
    assert [len(first.clip), len(second.clip), len(third.clip)] == [8, 9, 10]
    assert third.note == "breaks off after 10 of 20 frames"
    assert fault == "is empty (0 bytes)"
    source = VideoSource(folder / "raw", clips=folder / "landmarks")
    assert [(entry.signer, entry.sign) for entry in source.listing().entries] == [
        *[("ana", "hello")] * 2,
        *[("ben", "hello")] * 2,
    ]


def test_a_video_is_looked_at_again_only_where_something_changed(folder, seen):
    before = read_all(folder)
    seen.clear()
    again = read_all(folder)
    assert seen == [("ben", "1", False, 30.0), ("ben", "2", False, 30.0)]  # odd, and faulty
    np.testing.assert_array_equal(again[0].clip, before[0].clip)
    replaced = folder / "raw/ana/hello/1.mp4"
    replaced.write_text("5")
    os.utime(replaced, (1e9, 1e9))  # by an older file
    assert len(read_all(folder)[0].clip) == 5
    seen.clear()
    read_all(folder, mirror=True, fps=None)
    assert seen[0] == ("ana", "1", True, None)


def test_a_name_of_other_bytes_is_a_problem_of_its_own(folder, seen):
    (folder / "raw/ana/hello" / os.fsdecode(b"\xff.mp4")).write_text("9")
    store = prepare(VideoSource(folder / "raw", clips=folder / "landmarks"), folder / "store")
    assert len(store) == 3
    problems = (folder / "store/problems.csv").read_text("utf-8")
    assert "ana/hello/\\udcff.mp4,has a name that is not UTF-8; rename it" in problems


def test_a_name_too_long_for_its_landmarks_is_a_problem_of_its_own(folder, seen):
    for letters in (118, 120, 125):
        (folder / "raw/ana/hello" / f"{'é' * letters}.mp4").write_text("9")
    store = prepare(VideoSource(folder / "raw", clips=folder / "landmarks"), folder / "store")
    assert len(store) == 4
    problems = (folder / "store/problems.csv").read_text("utf-8")
    for letters in (120, 125):
        assert f"{'é' * letters}.mp4,has too long a name" in problems


def test_a_full_disk_ends_the_search_and_keeps_what_was_found(folder, seen, monkeypatch):
    """Otherwise each further video would be looked at in vain, and skipped."""
    source = VideoSource(folder / "raw", clips=folder / "landmarks")

    def full(path, clip):
        if len(clip) == 9:
            raise OSError(28, "No space left on device")
        write_clip(path, clip)

    with monkeypatch.context() as patch:
        patch.setattr("asl.clips.sources.video.write_clip", full)
        with pytest.raises(UserError, match=r"No space left on device.* repeat the command"):
            prepare(source, folder / "store", workers=1)
    assert [call[:2] for call in seen] == [("ana", "1"), ("ana", "2")]
    seen.clear()
    assert len(prepare(source, folder / "store", workers=1)) == 3
    assert ("ana", "1") not in [call[:2] for call in seen]


def test_a_mistake_is_one_sentence(folder):
    with pytest.raises(UserError, match=r"data\.source\.fps=0: choose a number above 0"):
        VideoSource(folder / "raw", clips=folder, fps=0)
    with pytest.raises(UserError, match=r"holds no \.mov file"):
        VideoSource(folder / "raw", clips=folder, files="{signer}/{sign}/{sequence}.mov")


@pytest.mark.slow
def test_real_videos_become_a_store(tmp_path, shared_data):
    from asl.video.models import are_there

    videos = shared_data / "videos"
    if not are_there() or not videos.is_dir():
        pytest.skip("no models of MediaPipe, or no videos")
    for name in ("hoy", "yo"):
        path = tmp_path / "raw/ana" / name / "1.mp4"
        path.parent.mkdir(parents=True)
        shutil.copy(videos / f"{name}_001.mp4", path)
    (tmp_path / "raw/ana/yo/2.mp4").write_bytes(b"no video")
    source = VideoSource(tmp_path / "raw", clips=tmp_path / "landmarks", fps=5)
    store = prepare(source, tmp_path / "store", workers=1)
    assert store.signs == ["hoy", "yo"]
    assert 9 <= len(store.read(0)) <= 11  # 64 frames at 30 a second
    problems = (tmp_path / "store/problems.csv").read_text("utf-8")
    assert 'ana/yo/2.mp4,"is no video that can be decoded' in problems
    assert len(list((tmp_path / "landmarks").rglob("*.parquet"))) == 2
