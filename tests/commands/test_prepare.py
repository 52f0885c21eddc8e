"""`asl prepare` as a person types it: what it says, and how it ends."""

import csv
import shutil
from pathlib import Path

import pytest

from asl.cli import run


@pytest.fixture
def raw(synthetic_raw, tmp_path) -> Path:
    return Path(shutil.copytree(synthetic_raw, tmp_path / "raw"))


@pytest.fixture
def asl_prepare(raw, tmp_path, capsys):
    """Runs the command; gives its exit status and what it printed to either stream."""

    def prepare(*more: str) -> tuple[int, str, str]:
        where = [f"data.root={raw}", f"data.store={tmp_path / 'store'}"]
        status = run(["prepare", "data=gislr", *where, *more])
        printed = capsys.readouterr()
        return status, printed.out, printed.err.strip()

    return prepare


def test_it_sums_up_and_ends_with_its_rate(asl_prepare):
    status, out, _ = asl_prepare()
    assert status == 0
    for words in ("40 clips", "4 signs", "5 signers", "float16"):
        assert words in out
    assert "SKIPPED" not in out
    assert out.strip().endswith(" clips/s")
    status, out, _ = asl_prepare()
    assert status == 0
    assert "none changed" in out


def test_what_it_skips_is_loud_and_listed(asl_prepare, raw, tmp_path):
    for path in sorted(raw.glob("train_landmark_files/*/*.parquet"))[:3]:
        path.write_bytes(b"")
    status, out, _ = asl_prepare()
    assert status == 0
    assert "3 FILES SKIPPED" in out
    assert str(tmp_path / "store" / "problems.csv") in out
    with (tmp_path / "store" / "problems.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3
    status, out, _ = asl_prepare()  # so again where nothing is read again
    assert status == 0
    assert "3 FILES SKIPPED" in out


def _damage(raw: Path) -> str:
    path = sorted(raw.glob("train_landmark_files/*/*.parquet"))[3]
    path.write_bytes(path.read_bytes()[:500])
    return str(path)


def _list_a_stranger(raw: Path) -> str:
    with (raw / "train.csv").open("a") as file:
        file.write("train_landmark_files/1/7.parquet,1,7,dance\n")
    return "dance"


@pytest.mark.parametrize("spoil", [_damage, _list_a_stranger])
def test_on_problem_fail_stops_at_the_first(spoil, asl_prepare, raw):
    named = spoil(raw)
    status, out, err = asl_prepare("data.on_problem=fail")
    assert status == 2
    assert "clips/s" not in out
    assert len(err.splitlines()) == 1
    assert err.startswith("asl prepare: ")
    assert named in err
    status, out, _ = asl_prepare()
    assert status == 0
    assert "1 FILES SKIPPED" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["data.on_problem=shrug"], ["data.on_problem=shrug", "skip", "fail"]),
        (["data.dtype=float8"], ["data.dtype=float8", "float32", "float16"]),
        (["data.root=/nowhere"], ["data.root=/nowhere"]),
        (["data.store=/proc/store"], ["/proc/store", "cannot be written"]),
    ],
)
def test_a_mistake_is_one_sentence(more, words, asl_prepare):
    status, _, err = asl_prepare(*more)
    assert status == 2
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words)
