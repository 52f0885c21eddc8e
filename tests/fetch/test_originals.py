"""`asl download data=words15|isl30|auslan95`, from a stand-in for GitHub with what is published."""

import csv
import io
import json
import re
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from asl.clips.sources.auslan import AuslanSource
from asl.clips.sources.gislr import GislrSource
from asl.clips.sources.npz import NpzSource
from asl.fetch.dataset import clips_digest

NAMES = "apurve, gautam, mahendra, parveen, Pradeep, pramod, prateek, rajat, rajkumar, shewta"
SIGNERS = NAMES.split(", ")


@pytest.fixture(autouse=True)
def like_github(stand_in):
    stand_in.resumable = False  # it packs an archive as it sends it, and names no length


def test_words_become_clips_of_the_competitions_format(
    shared_data, stand_in, home, download, tmp_path
):
    words = _some_words(shared_data, tmp_path / "expected")
    stand_in.body = _as_published(words)
    settings = [
        f"download.origin.url={stand_in.url}",
        f"download.origin.sha256={clips_digest(words)}",
        "download.origin.words=[can,a]",
        "download.origin.clips=2",
    ]
    status, out, err = download("words15", *settings)
    assert status == 0, err
    assert f"next: asl prepare data=words15 data.root={tmp_path}" in out
    downloaded = GislrSource(tmp_path / "words15")
    assert downloaded.signs == words.signs
    assert downloaded.listing() == words.listing()
    for entry in downloaded.listing().entries:
        np.testing.assert_array_equal(downloaded.read(entry).clip, words.read(entry).clip)

    asked = len(stand_in.requests)
    assert "there already" in download("words15", *settings)[1]
    assert len(stand_in.requests) == asked


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda files: files.pop("repo-c7/MP_Data/can/1/7.npy"), ["holds no MP_Data/can/1/7.npy"]),
        (
            lambda files: files.update({"repo-c7/MP_Data/can/1/7.npy": _npy(np.zeros(126))}),
            ["MP_Data/can/1/7.npy is not as expected"],
        ),
        (
            lambda files: files.update({"repo-c7/MP_Data/can/1/7.npy": _npy(np.ones(258))}),
            ["another sha256"],
        ),
    ],
)
def test_words_with_another_digest_are_refused(
    shared_data, stand_in, home, download, tmp_path, damage, words
):
    source = _some_words(shared_data, tmp_path / "expected")
    files = _published_files(source)
    damage(files)
    stand_in.body = _zip(files)
    status, _, err = download(
        "words15",
        f"download.origin.url={stand_in.url}",
        f"download.origin.sha256={clips_digest(source)}",
        "download.origin.words=[can,a]",
        "download.origin.clips=2",
    )
    assert status == 2
    assert all(word in err for word in words), err
    assert not (tmp_path / "words15").exists()
    assert not (tmp_path / "words15.download" / "repository.zip").exists()


def test_a_missing_commit_is_reported_without_retries(stand_in, home, download, tmp_path):
    stand_in.storage_refusal = 404
    status, _, err = download("words15", f"download.origin.url={stand_in.url}")
    assert status == 2
    assert "127.0.0.1 answered 404" in err
    assert len(stand_in.requests) == 1
    assert not list(tmp_path.glob("words15*"))


def test_skeletons_become_one_npz(shared_data, stand_in, home, download, tmp_path):
    with np.load(shared_data / "isl30" / "isl30.npz") as arrays:
        rows = np.flatnonzero(np.isin(arrays["sign"], ["born"]) & (arrays["repetition"] < 3))
        some = {name: arrays[name][rows] for name in arrays.files}
    (tmp_path / "expected").mkdir()
    np.savez(tmp_path / "expected" / "isl30.npz", **some)
    expected = NpzSource(tmp_path / "expected", file="isl30.npz", layout="kinect20")
    stand_in.body = _zip(_skeleton_files(some))
    settings = [
        f"download.origin.url={stand_in.url}",
        f"download.origin.sha256={clips_digest(expected)}",
        "download.origin.clips=20",
    ]
    status, _, err = download("isl30", *settings)
    assert status == 0, err
    downloaded = NpzSource(tmp_path / "isl30", file="isl30.npz", layout="kinect20")
    assert clips_digest(downloaded) == clips_digest(expected)

    shutil.rmtree(tmp_path / "isl30")
    archive = tmp_path / "by-hand.zip"
    archive.write_bytes(_zip(dict(list(_skeleton_files(some).items())[3:])))
    status, _, err = download("isl30", *settings, f"download.archive={archive}")
    assert status == 2
    assert "19 of 20 files named SIGN_SIGNER_REPETITION.txt" in err
    assert archive.exists()


def test_a_gloves_files_are_kept_as_they_are(shared_data, stand_in, home, download, tmp_path):
    whole = AuslanSource(shared_data / "auslan95")
    published = {f"KernelProject-d28/{name}": text for name, text in some_signs(whole).items()}
    published["KernelProject-d28/code/path_kernel.py"] = b"no clip"
    for name, text in some_signs(whole).items():
        (tmp_path / "expected" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "expected" / name).write_bytes(text)
    stand_in.body = _zip(published)
    settings = [
        f"download.origin.url={stand_in.url}",
        f"download.origin.sha256={clips_digest(AuslanSource(tmp_path / 'expected'))}",
        "download.origin.files=16",
    ]
    status, out, err = download("auslan95", *settings)
    assert status == 0, err
    assert "16 clips, fetched and verified" in out
    downloaded = AuslanSource(tmp_path / "auslan95")
    assert downloaded.listing() == AuslanSource(tmp_path / "expected").listing()

    shutil.rmtree(tmp_path / "auslan95")
    archive = tmp_path / "by-hand.zip"
    archive.write_bytes(_zip(dict(list(published.items())[3:])))
    status, _, err = download("auslan95", *settings, f"download.archive={archive}")
    assert status == 2
    assert "13 of 16 files named signs/SIGNER SESSION/SIGN NUMBER.sign" in err


def some_signs(whole: AuslanSource) -> dict[str, bytes]:
    """The files of two signs in adam's sessions."""
    with tarfile.open(whole.root / "signs.tar.xz") as archive:
        members = [m for m in archive if re.search(r"/adam\d/(boy|yes)\d\.sign$", m.name)]
        return {member.name: archive.extractfile(member).read() for member in members}


@pytest.mark.parametrize("name", ["words15", "isl30", "auslan95"])
def test_the_real_clips_are_the_pinned_ones(shared_data, home, download, name):
    assert "there already, verified" in download(name, f"data.root={shared_data / name}")[1]


@pytest.mark.slow
def test_all_real_words_are_restored_from_their_publication(
    shared_data, stand_in, home, download, tmp_path
):
    stand_in.body = _as_published(GislrSource(shared_data / "words15"))
    status, _, err = download("words15", f"download.origin.url={stand_in.url}")
    assert status == 0, err
    downloaded = GislrSource(tmp_path / "words15").listing()
    assert downloaded == GislrSource(shared_data / "words15").listing()


@pytest.mark.slow
def test_all_real_skeletons_are_restored_from_their_publication(
    shared_data, stand_in, home, download
):
    with np.load(shared_data / "isl30" / "isl30.npz") as arrays:
        stand_in.body = _zip(_skeleton_files(dict(arrays)))
    status, _, err = download("isl30", f"download.origin.url={stand_in.url}")
    assert status == 0, err


def _some_words(shared_data, folder) -> GislrSource:
    """The first two clips of two words."""
    whole = shared_data / "words15"
    with (whole / "train.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["sign"] in ("a", "can")]
    rows = [row for row in rows if row["sequence_id"] in ("100000", "100001", "101000", "101001")]
    for row in rows:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(whole / row["path"], folder / row["path"])
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "sign_to_prediction_index_map.json").write_text(json.dumps({"a": 0, "can": 1}))
    return GislrSource(folder)


def _as_published(source: GislrSource) -> bytes:
    return _zip(_published_files(source))


def _published_files(source: GislrSource) -> dict[str, bytes]:
    """A frame's file: pose with visibility, left hand, right hand; zeros where not detected."""
    files = {"repo-c7/README.md": b"", "repo-c7/MP_Data/-/0/0.npy": b"no sign"}
    for entry in source.listing().entries:
        clip = np.nan_to_num(source.read(entry).clip.astype(np.float64))  # [T, 543, 3]
        visibility = np.full((len(clip), 33, 1), 0.5) * clip[:, 489:522].any((1, 2), keepdims=True)
        pose = np.concatenate([clip[:, 489:522], visibility], axis=2)
        parts = (pose, clip[:, 468:489], clip[:, 522:543])
        frames = np.concatenate([part.reshape(len(clip), -1) for part in parts], axis=1)
        number = int(entry.sequence_id) % 1000
        for index, frame in enumerate(frames):
            files[f"repo-c7/MP_Data/{entry.sign}/{number}/{index}.npy"] = _npy(frame)
    return files


def _skeleton_files(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    files = {"sign-language-master/README.md": b"", "sign-language-master/notes_1.txt": b"none"}
    columns = (arrays[name] for name in ("X", "length", "sign", "participant_id", "repetition"))
    for clip, length, sign, signer, repetition in zip(*columns, strict=True):
        lines = (" ".join(map(str, frame.ravel())) for frame in clip[:length])
        name = f"data/{sign}_{SIGNERS[signer - 1]}_{repetition}.txt"
        files[f"sign-language-master/{name}"] = "\n".join(lines).encode()
    return files


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return packed.getvalue()
