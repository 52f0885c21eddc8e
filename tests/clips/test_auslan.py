"""The reader of a glove's .sign files, and what comes after it for such clips."""

import os
import pickle
import tarfile

import numpy as np
import pytest

from asl.clips.eda import write_report
from asl.clips.film import Film, write_film
from asl.clips.prepare import prepare
from asl.clips.sources.arrays import ArrayForm
from asl.clips.sources.auslan import AuslanSource
from asl.clips.sources.base import BadClip
from asl.errors import UserError
from asl.runtime.clips import read_clip as any_clip

STATE = "0xFF, 0x0, 0x0, 0x3F"
NAMES = ["ann1/boy0", "ann1/go(to)1", "ann2/boy0", "ben1/boy10", "ben1/go(to)0"]


def sign_file(frames):
    """A file's text: frames of x, y, z, roll, thumb, fore, middle, ring."""
    lines = (
        ", ".join([f"{n:.6f}" for n in (*f[:4], -1, -1, *f[4:], f[-1])] + [STATE]) for f in frames
    )
    return "\n".join(lines) + "\n"


@pytest.fixture
def recorded():
    """Frames of each clip."""
    rng = np.random.default_rng(0)
    return {name: rng.integers(-99, 99, (9 + i, 8)) / 128 for i, name in enumerate(NAMES)}


@pytest.fixture
def folder(recorded, tmp_path):
    for name, frames in recorded.items():
        path = tmp_path / "raw" / "signs" / f"{name}.sign"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sign_file(frames))
    return tmp_path / "raw"


def test_a_file_is_a_clip_of_eight_channels(folder, recorded):
    source = AuslanSource(folder)
    listing = source.listing()
    assert source.signs == ["boy", "go(to)"]
    assert [(e.signer, e.sign) for e in listing.entries[:3]] == [
        ("ann", "boy"), ("ann", "go(to)"), ("ann", "boy"),
    ]  # fmt: skip
    assert listing.columns["session"] == ["ann1", "ann1", "ann2", "ben1", "ben1"]
    assert len({entry.sequence_id for entry in listing.entries}) == 5
    for entry, frames in zip(listing.entries, recorded.values(), strict=True):
        clip = source.read(entry).clip
        assert clip.dtype == np.float32
        np.testing.assert_array_equal(any_clip(folder / entry.path), clip)
        np.testing.assert_allclose(clip[:, 0], frames, atol=1e-6)


def test_the_archive_holds_the_same_clips_as_the_folder(folder, tmp_path):
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "signs.tar.xz", "w:xz") as archive:
        archive.add(folder / "signs", "signs")
    files, packed = AuslanSource(folder), AuslanSource(tmp_path / "packed")
    copy = pickle.loads(pickle.dumps(packed))
    pairs = zip(files.listing().entries, packed.listing().entries, strict=True)
    for one, other in pairs:
        assert one[1:4] == other[1:4]
        for reader in (packed, copy):
            np.testing.assert_array_equal(files.read(one).clip, reader.read(other).clip)
    store = prepare(packed, tmp_path / "store")
    assert store.read(0).shape == (9, 1, 8)
    assert store.columns["session"].tolist() == ["ann1", "ann1", "ann2", "ben1", "ben1"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no frames"),
        ("\n\n", "has no frames"),
        ("0, 0, 0\n", "frame 1 is not 15 numbers"),
        (sign_file([[0] * 8]) + "and so on\n", "frame 2 is not 15 numbers"),
        (sign_file([[0] * 8]).replace("0.000000", "half", 1), "frame 1 is not 15 numbers"),
        (sign_file([[0] * 7 + [np.inf]]), "not finite"),
        (sign_file([[0] * 7 + [np.nan]]), "not finite"),
        (sign_file([[1e300] + [0] * 7]), "infinite"),
    ],
)
def test_a_faulty_file_is_skipped_and_named(folder, tmp_path, text, reason):
    (folder / "signs/ann1/boy0.sign").write_text(text)
    with pytest.raises(BadClip, match=reason):
        any_clip(folder / "signs/ann1/boy0.sign")
    store = prepare(AuslanSource(folder), tmp_path / "store")
    problems = (tmp_path / "store" / "problems.csv").read_text()
    assert len(store) == 4
    assert "signs/ann1/boy0.sign" in problems
    assert reason in problems


def test_calibrations_are_no_signs_and_other_names_are_problems(folder):
    for name in ("ann1/cal-full-up0.sign", "ann1/boy.sign", "Notes/boy0.sign"):
        (folder / "signs" / name).parent.mkdir(exist_ok=True)
        (folder / "signs" / name).write_text(sign_file([[0] * 8]))
    source = AuslanSource(folder)
    assert source.signs == ["boy", "go(to)"]
    assert len(source.listing().entries) == 5
    names = [problem.path for problem in source.listing().problems]
    assert names == ["signs/Notes/boy0.sign", "signs/ann1/boy.sign"]


def test_a_name_of_other_bytes_a_folder_and_a_link_cost_nothing_else(folder, tmp_path):
    (folder / "signs/ann1" / os.fsdecode(b"\xff0.sign")).write_text(sign_file([[0] * 8]))
    (folder / "signs/ann1/folder0.sign").mkdir()
    (folder / "signs/ann1/link0.sign").symlink_to("nowhere")
    store = prepare(AuslanSource(folder), tmp_path / "store")
    assert len(store) == 5
    problems = (tmp_path / "store" / "problems.csv").read_text()
    assert "signs/ann1/\\udcff0.sign,has a name that is not UTF-8; rename it" in problems
    assert "signs/ann1/link0.sign,there is no such file" in problems
    assert "folder0" not in problems


def test_no_files_and_a_torn_archive_are_answered_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.sign file and no signs\.tar\.xz"):
        AuslanSource(tmp_path)
    (tmp_path / "signs.tar.xz").write_bytes(b"\xfd7zXZ\x00 and no more")
    with pytest.raises(UserError, match=r"signs\.tar\.xz: cannot be unpacked"):
        AuslanSource(tmp_path)


def test_a_page_and_a_film_of_a_glove(folder, tmp_path):
    """Its hand is drawn as a dot; what only a body has is left out."""
    store = prepare(AuslanSource(folder), tmp_path / "store")
    page = write_report(store, tmp_path / "eda").read_text("utf-8")
    assert "powerglove" in page
    assert "Which hand signs" not in page
    for suffix in ("html", "png", "gif"):
        write_film(Film(store.read(0), store.layout, "boy"), tmp_path / f"clip.{suffix}")
    assert '"dots": ["#' in (tmp_path / "clip.html").read_text("utf-8")


def test_described_arrays_hold_measured_channels_after_the_coordinates():
    form = ArrayForm("powerglove", "time, landmark, coordinate", "xyz", None, "nan", ("time",))
    clip = np.random.default_rng(0).random((5, 1, 8), dtype=np.float32)
    assert form.misfit(clip.shape, clip.dtype) == ""
    assert "need [time, 1, 8]" in form.misfit((5, 1, 3), clip.dtype)
    np.testing.assert_array_equal(form.read("a", clip).clip, clip)
    turned = ArrayForm("powerglove", "time, feature", "zyx", None, "nan", ("time",))
    np.testing.assert_array_equal(turned.read("a", clip[:, 0]).clip[..., :3], clip[..., 2::-1])


def test_the_real_clips(shared_data):
    if not (shared_data / "auslan95").is_dir():
        pytest.skip("no auslan95 there")
    source = AuslanSource(shared_data / "auslan95")
    listing = source.listing()
    assert (len(listing.entries), len(source.signs)) == (6648, 95)
    signers = ["adam", "andrew", "john", "stephen", "waleed"]
    assert sorted({entry.signer for entry in listing.entries}) == signers
    assert len(set(listing.columns["session"])) == 18
    first = source.read(listing.entries[0]).clip
    assert first.shape[1:] == (1, 8)
    np.testing.assert_array_equal(first[0, 0, :3].round(1), 0)  # a clip begins where the hand rests
    assert [problem.path for problem in listing.problems] == ["signs/stephen4/wild1.sign"]
