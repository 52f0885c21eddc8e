"""Video files as people have them: each has one clear outcome."""

import os
import struct
from pathlib import Path

import pytest

pytest.importorskip("cv2")

from asl.video.decode import BadVideo, open_video, read


def frames(path: Path, fps: float | None = None) -> list:
    return list(read(open_video(path), fps))


def test_all_frames_are_read_in_colour_and_order(film):
    pictures = frames(film(frames=6))
    assert [picture.shape for picture in pictures] == [(48, 64, 3)] * 6
    means = [picture[30:].mean() for picture in pictures]
    assert means == sorted(means)


def test_of_60_frames_a_second_every_second_one_is_read(film):
    path = film(frames=12, rate=60)
    assert open_video(path).rate == 60
    assert len(frames(path, fps=30)) == 6
    assert len(frames(path)) == 12
    assert len(frames(path, fps=0.1)) == 1
    assert len(frames(film("slow.mp4", frames=12, rate=25), fps=30)) == 12


def test_a_phones_upright_video_is_upright(film):
    path = film(size=(64, 48))
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    (picture, *_) = frames(path)
    assert picture.shape == (64, 48, 3)
    assert picture[:12, -12:].mean() > 200  # the corner, turned by 90° clockwise


def test_a_name_of_other_bytes_and_a_folder_get_one_sentence(film, tmp_path):
    path = film().rename(tmp_path / os.fsdecode(b"\xff.mp4"))
    with pytest.raises(BadVideo, match="has a name that is not UTF-8; rename it"):
        frames(path)
    with pytest.raises(BadVideo, match="there is no such file"):
        frames(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty (0 bytes)"),
        (b"no video at all" * 99, "is no video that can be decoded, or a broken one"),
        (None, "there is no such file"),
    ],
)
def test_what_is_no_video_gets_one_sentence(tmp_path, content, reason, capfd):
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadVideo) as caught:
        frames(path)
    assert str(caught.value) == f"{path}: {reason}"
    assert capfd.readouterr().err == ""


def test_a_torn_video_gets_one_sentence(film, capfd):
    path = film(frames=30, size=(320, 240))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(BadVideo, match="is no video that can be decoded, or a broken one"):
        frames(path)
    assert capfd.readouterr().err == ""
