"""`asl download data=gislr`, against a stand-in for Kaggle that Kaggle's own client talks to."""

import io
import json
import logging
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from asl.clips.sources.gislr import GislrSource
from asl.fetch import unzip as unzip_module

KEY = "c0ffee-secret-key-0123456789"
SIGNATURE = "signed-secret-0123456789"
BLOCK = 1 << 16  # what a break may cost
USAGE = namedtuple("USAGE", "total used free")


def test_the_competition_is_downloaded_and_a_second_call_does_nothing(
    stand_in, competition, user, download, tmp_path, synthetic_raw
):
    stand_in.body = competition
    status, out, err = download("gislr")
    assert status == 0, err
    source = GislrSource(tmp_path / "gislr")
    assert source.listing() == GislrSource(synthetic_raw).listing()
    for entry in source.listing().entries:
        assert (source.root / entry.path).read_bytes() == (synthetic_raw / entry.path).read_bytes()
    last = out.splitlines()[-1]
    assert str(tmp_path / "gislr") in last
    assert last.endswith(f"asl prepare data=gislr data.root={tmp_path / 'gislr'}")
    assert (tmp_path / "gislr.download" / "asl-signs.zip").read_bytes() == competition

    asked = stand_in.asked
    status, out, _ = download("gislr")
    assert (status, stand_in.asked) == (0, asked)
    assert "there already, verified" in out


def test_keep_archive_false_deletes_the_archive_now_or_later(
    stand_in, competition, user, download, tmp_path
):
    stand_in.body = competition
    assert download("gislr", "download.keep_archive=false")[0] == 0
    assert not (tmp_path / "gislr.download").exists()
    shutil.rmtree(tmp_path / "gislr")
    assert "download.keep_archive=false removes it" in download("gislr")[1]
    assert download("gislr", "download.keep_archive=false")[0] == 0
    assert not (tmp_path / "gislr.download").exists()
    assert (tmp_path / "gislr" / "train.csv").exists()


@pytest.mark.parametrize("keep", ["true", "false"])
def test_the_users_own_archive_stays_wherever_it_is(
    stand_in, competition, user, download, tmp_path, keep
):
    kept = tmp_path / "gislr.download" / "asl-signs.zip"
    kept.parent.mkdir()
    kept.write_bytes(competition)
    mine = f"download.archive={kept}", f"download.keep_archive={keep}"
    assert download("gislr", *mine)[0] == 0
    assert download("gislr", *mine)[0] == 0  # the clips are in their place already
    assert kept.read_bytes() == competition
    assert stand_in.asked == 0


def test_another_archive_does_not_delete_the_fetched_one(
    stand_in, competition, user, download, tmp_path
):
    stand_in.body = competition
    assert download("gislr")[0] == 0
    shutil.rmtree(tmp_path / "gislr")
    copy = shutil.copy(tmp_path / "gislr.download" / "asl-signs.zip", tmp_path / "mine.zip")
    assert download("gislr", f"download.archive={copy}")[0] == 0
    assert (tmp_path / "gislr.download" / "asl-signs.zip").read_bytes() == competition


def test_a_broken_connection_is_resumed_at_its_last_byte(
    stand_in, competition, user, download, tmp_path
):
    stand_in.body, stand_in.cuts = competition, [100_000, 150_000]
    status, _, err = download("gislr")
    assert status == 0, err
    first, second, third = stand_in.by_asl
    assert first.start == 0
    assert 100_000 - BLOCK < second.start <= 100_000
    assert second.start + 150_000 - BLOCK < third.start <= second.start + 150_000
    assert third.sent == len(competition) - third.start


def test_a_later_call_resumes_the_download(stand_in, competition, user, download, tmp_path):
    stand_in.body, stand_in.cuts = competition, [100_000, 0, 0]
    status, _, err = download("gislr")
    assert status == 2
    assert "same command to go on" in err
    assert not (tmp_path / "gislr").exists()
    assert download("gislr")[0] == 0
    assert 100_000 - BLOCK < stand_in.by_asl[-1].start <= 100_000
    assert sum(request.sent for request in stand_in.by_asl) < len(competition) + BLOCK


def test_a_file_that_changed_on_the_server_is_fetched_from_its_start(
    stand_in, competition, user, download, monkeypatch
):
    stand_in.body, stand_in.cuts = b"x" * len(competition), [100_000, 0, 0]
    assert download("gislr")[0] == 2
    stand_in.body, stand_in.tag = competition, '"two"'
    with monkeypatch.context() as little:
        little.setattr(shutil, "disk_usage", lambda _: USAGE(90e9, 40e9, 50e9))
        assert download("gislr")[0] == 2  # of the old file no byte may be taken for the new one's
    status, _, err = download("gislr")
    assert status == 0, err
    assert stand_in.by_asl[-1].start == 0


def test_a_damaged_archive_is_removed_and_leaves_no_data_set(
    stand_in, competition, user, download, tmp_path
):
    at = len(competition) // 2
    stand_in.body = competition[:at] + bytes([competition[at] ^ 255]) + competition[at + 1 :]
    status, _, err = download("gislr")
    assert status == 2
    assert "damaged" in err
    assert "fetches it anew" in err
    assert not (tmp_path / "gislr").exists()
    stand_in.body, stand_in.tag = competition, '"two"'
    assert download("gislr")[0] == 0


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (401, ["key is not accepted", "kaggle.com/settings"]),
        (403, ["accept its rules", "kaggle.com/competitions/asl-signs/rules"]),
    ],
)
def test_a_refusal_names_the_remedy(stand_in, user, download, tmp_path, refusal, words):
    stand_in.refusal = refusal
    status, out, err = download("gislr")
    assert status == 2
    assert len(err.strip().splitlines()) == 1, err
    assert all(word in err for word in words), err
    assert KEY not in out + err


def test_missing_credentials_are_one_sentence_with_instructions(stand_in, home, download):
    status, out, err = download("gislr")
    assert (status, stand_in.asked) == (2, 0)
    assert len((out + err).strip().splitlines()) == 1
    for word in ("kaggle.com/settings", "KAGGLE_API_TOKEN", "kaggle.json", "rules"):
        assert word in err
    assert not list(home.rglob("*"))


def test_an_invalid_key_is_reported_but_not_shown(stand_in, home, download, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "“quoted-secret”")
    status, out, err = download("gislr")
    assert (status, stand_in.asked) == (2, 0)
    assert "copy it anew" in err
    assert "quoted-secret" not in out + err
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    (home / ".kaggle").mkdir()
    (home / ".kaggle" / "kaggle.json").write_text('{"key": "half-a-secret')
    status, out, err = download("gislr")
    assert status == 2
    assert "kaggle.json: can't be read" in err
    assert "half-a-secret" not in out + err


@pytest.mark.parametrize("where", [".kaggle", ".config/kaggle", "elsewhere"])
def test_kaggle_json_is_found(stand_in, competition, home, download, monkeypatch, where):
    (home / where).mkdir(parents=True)
    (home / where / "kaggle.json").write_text(json.dumps({"username": "me", "key": KEY}))
    if where == "elsewhere":
        monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(home / where))
    stand_in.body = competition
    assert download("gislr")[0] == 0


def test_an_access_token_is_enough(stand_in, competition, home, download, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", f"{KEY}\n")
    stand_in.body = competition
    assert download("gislr")[0] == 0


def test_a_disk_too_small_is_reported_before_the_download(
    stand_in, competition, user, download, tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: USAGE(90e9, 40e9, 50e9))
    stand_in.body = competition
    status, _, err = download("gislr")
    assert status == 2
    assert "57.0 GB are needed" in err
    assert "50.0 GB free" in err
    assert not (tmp_path / "gislr").exists()
    parts = [path for path in tmp_path.rglob("*.part") if path.stat().st_size]
    assert not parts


def test_the_key_and_the_signed_address_stay_secret(
    stand_in, competition, user, download, tmp_path, caplog
):
    printed = ""
    with caplog.at_level(logging.DEBUG):
        stand_in.body, stand_in.cuts = competition, [100_000, 0, 0]
        printed += "".join(map(str, download("gislr", "hydra.verbose=true")))
        stand_in.refusal = 403
        printed += "".join(map(str, download("gislr", "hydra.verbose=true")))
        stand_in.refusal = None
        status, out, err = download("gislr", "hydra.verbose=true")
    assert status == 0
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (KEY, SIGNATURE, "YzBmZmVlLXNlY3JldC"):
        assert secret not in printed + out + err + caplog.text
        assert secret.encode() not in written
    assert not any(request.authorized for request in stand_in.requests)  # the storage's host


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "a/../../outside.txt"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(download, home, tmp_path, name):
    archive = _zip(tmp_path / "mine.zip", {"train.csv": b"path", name: b"evil"})
    status, _, err = download("gislr", f"download.archive={archive}")
    assert status == 2
    assert "leads out of the folder" in err
    assert archive.exists()
    assert not list(tmp_path.rglob("outside.txt"))
    assert not list(tmp_path.rglob("train.csv"))


def test_a_link_in_an_archive_is_refused(download, home, tmp_path):
    link = zipfile.ZipInfo("train.csv")
    link.external_attr = 0o120777 << 16
    archive = _zip(tmp_path / "mine.zip", {link: b"/etc/passwd"})
    status, _, err = download("gislr", f"download.archive={archive}")
    assert status == 2
    assert "leads out of the folder" in err


def test_an_interrupted_unpacking_is_resumed_without_repeating_files(
    competition, home, download, tmp_path, monkeypatch
):
    archive = tmp_path / "mine.zip"
    archive.write_bytes(competition)
    unpack, done = unzip_module._unpack, []

    def stopped(opened, member, target):
        if len(done) == 20:
            raise KeyboardInterrupt
        unpack(opened, member, target)
        done.append(member.filename)

    monkeypatch.setattr(unzip_module, "_unpack", stopped)
    assert download("gislr", f"download.archive={archive}")[0] == 130
    assert not (tmp_path / "gislr").exists()
    damaged = tmp_path / "gislr.download" / "unpacked" / done[0]
    damaged.write_bytes(b"x" * damaged.stat().st_size)

    again = []
    monkeypatch.setattr(
        unzip_module, "_unpack", lambda *a: (unpack(*a), again.append(a[1].filename))
    )
    assert download("gislr", f"download.archive={archive}")[0] == 0
    assert set(again) & set(done) == {done[0]}
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            assert (tmp_path / "gislr" / name).read_bytes() == opened.read(name)
    assert archive.exists()
    assert not (tmp_path / "gislr.download").exists()


def test_a_folder_with_other_files_is_left_unchanged(download, home, tmp_path):
    (tmp_path / "gislr").mkdir()
    (tmp_path / "gislr" / "thesis.txt").write_text("mine")
    status, _, err = download("gislr")
    assert status == 2
    assert "is not empty" in err
    assert [path.name for path in (tmp_path / "gislr").iterdir()] == ["thesis.txt"]


def test_a_data_set_with_missing_files_is_incomplete(download, home, tmp_path, synthetic_raw):
    shutil.copytree(synthetic_raw, tmp_path / "gislr")
    next((tmp_path / "gislr").rglob("*.parquet")).unlink()
    status, _, err = download("gislr")
    assert status == 2
    assert "1 files are missing" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["download.keep_archiv=false"], ["download.keep_archiv"]),
        (["download.keep_archive=perhaps"], ["download.keep_archive=perhaps", "boolean"]),
        (["download.archive=/nowhere.zip"], ["download.archive=/nowhere.zip"]),
        (["data=synthetic"], ["data=synthetic", "gislr, isl30, words15"]),
    ],
)
def test_a_mistake_is_one_sentence(download, home, arguments, words):
    status, _, err = download("gislr", *arguments)
    assert status == 2
    assert "Traceback" not in err
    assert all(word in err for word in words), err


def _zip(path: Path, files: dict[str | zipfile.ZipInfo, bytes]) -> Path:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    path.write_bytes(packed.getvalue())
    return path
