"""A disk that is full or read-only: one sentence, the run FAILED, files that exist stay whole."""

import importlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from asl.cli import run
from asl.errors import UserError, disk_failure, failure_reason
from asl.files import replacing_in
from asl.tracking.find import find_runs
from asl.tracking.store import open_tracker

exporting = importlib.import_module("asl.export.export")  # asl.export is a function, too
SMALL = ["model=cnn", "model.hidden=8", "trainer=smoke"]


def full(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_full_disk_fails_a_training_in_one_sentence(workbench, capsys, monkeypatch):
    assert run(["prepare", *workbench.data]) == 0  # or packing is what finds no room
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert workbench("train", *SMALL, "seed=41") == 1
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("asl train: ")]
    assert "No space left on device" in line
    tracker = open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})
    (failed,) = [each for each in find_runs(tracker) if each.params.get("seed") == "41"]
    assert failed.status == "FAILED"


@pytest.mark.slow
def test_a_full_disk_leaves_the_evaluation_of_before(workbench, trained, capsys, monkeypatch):
    folder = workbench.folder / "evaluation-full"
    arguments = ["evaluate", f"run={trained}", f"evaluate.dir={folder}"]
    assert workbench(*arguments) == 0
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for write in ("matplotlib.figure.Figure.savefig", "pathlib.Path.replace"):
        with monkeypatch.context() as patch:
            patch.setattr(write, full)
            assert workbench(*arguments) == 1
        assert "No space left on device" in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_full_disk_after_an_export_names_the_files_that_are_whole(
    workbench, trained, tmp_path, capsys, monkeypatch
):
    def export(recognizer, directory, **_):
        directory.mkdir()
        (directory / "model_float32.tflite").write_bytes(b"whole")
        return {"bytes": {"model_float32.tflite": 5}}

    monkeypatch.setattr(exporting, "export", export)
    monkeypatch.setattr(MlflowClient, "log_artifact", full)
    assert workbench("export", f"run={trained}", f"export.dir={tmp_path}/out") == 2
    sentence = capsys.readouterr().err.splitlines()[-1]
    assert sentence.startswith(f"asl export: {tmp_path}/out: model_float32.tflite are whole")
    assert "No space left on device" in sentence


def test_only_errors_of_disks_are_one_sentence():
    error = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as of_the_database:
        error.execute("SELECT * FROM missing")
    assert disk_failure(of_the_database.value) is None
    assert disk_failure(ValueError("a fault of the program")) is None
    assert disk_failure(OSError(13, "Permission denied", "a.txt")) == "a.txt: Permission denied"
    copied = [("a", "b/a", "[Errno 28] No space left on device: 'a' -> 'b/a'")]
    assert disk_failure(shutil.Error(copied)) == "No space left on device: 'a' -> 'b/a'"
    assert disk_failure(shutil.Error("`a` and `b` are the same file")) is None
    cause = sqlite3.OperationalError("attempt to write a readonly database")
    cause.sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED
    wrapped = MlflowException("database")
    wrapped.__cause__ = cause
    assert "readonly database" in (disk_failure(wrapped) or "")


def test_why_one_of_many_failed_has_no_password_and_only_a_fault_a_traceback(capsys):
    assert failure_reason(UserError("uri=http://a:b@c: is down")) == "uri=http://a:***@c: is down"
    assert failure_reason(OSError(28, "No space left", "a.txt")) == "a.txt: No space left"
    assert capsys.readouterr().err == ""
    assert failure_reason(KeyError("http://a:b@c\x1b[2J")).startswith("KeyError: 'http://a:***@c")
    printed = capsys.readouterr().err
    assert "KeyError: 'http://a:***@c" in printed
    assert "a:b" not in printed


@pytest.mark.parametrize(
    ("command", "key"),
    [("show", "out={}/clip.html"), ("eda", "report.dir={}"), ("prepare", "data.root={}/raw")],
)
@pytest.mark.parametrize("place", ["a file", "x" * 300])
def test_a_place_that_cannot_be_is_one_sentence(
    workbench, trained, tmp_path, capsys, command, key, place
):
    (tmp_path / "a file").write_text("kept")
    clip = ["0"] if command == "show" else []
    typed = key.format(tmp_path / place)
    assert run([command, *clip, *workbench.data, typed]) in (1, 2)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("asl ")]
    assert str(tmp_path / place) in line
    assert (tmp_path / "a file").read_text() == "kept"


def fail_halfway(folder: Path) -> None:
    with replacing_in(folder) as scratch:
        (scratch / "a").write_text("ne")
        full()


def test_files_appear_whole_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(OSError, match="No space"):
        fail_halfway(tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    with replacing_in(tmp_path) as folder:
        (folder / "a").write_text("new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


# --- a disk that is really full -----------------------------------------------------------------

# In a name space of its own, where anybody may mount.
MOUNTED = """
import io, json, subprocess, sys
from contextlib import redirect_stderr, redirect_stdout

def mount(*options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", disk], check=True)

def used():
    done = subprocess.run(["du", "-sk", disk], stdout=subprocess.PIPE, text=True)
    return int(done.stdout.split()[0])

def attempt(*arguments):
    from asl.cli import run
    with redirect_stderr(io.StringIO()) as error, redirect_stdout(io.StringIO()):
        return run(arguments), error.getvalue()
"""

SMALL_DISK = """
disk, out, *train = sys.argv[1:]
tracking = f"tracking.uri=sqlite:///{disk}/mlruns/mlflow.db"
mount("-o", "size=64m")
assert attempt(*train, tracking)[0] == 0
told = []
for room in (0, 100, 300):
    mount("-o", f"remount,size={used() + room}k")
    told.append(attempt(*train, tracking))
mount("-o", "remount,size=64m")
attempt("runs", tracking)
subprocess.run(["cp", "-r", f"{disk}/mlruns", out], check=True)
read_only = f"import sys; from asl.cli import run; sys.exit(run({[*train, tracking]}))"
subprocess.run(["mount", "--bind", disk, disk], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
done = subprocess.run([sys.executable, "-c", read_only], stderr=subprocess.PIPE, text=True)
told.append([done.returncode, done.stderr])
open(f"{out}/told.json", "w").write(json.dumps(told))
"""


def on_small_disk(code: str, folder: Path, *arguments: str) -> None:
    """Run code with a disk of its own at FOLDER/disk, FOLDER, and the arguments."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("this machine does not allow a disk of one's own")
    (folder / "disk").mkdir()
    apart = ["unshare", "-rm", sys.executable, "-c", MOUNTED + code]
    subprocess.run([*apart, str(folder / "disk"), str(folder), *arguments], check=True)


@pytest.mark.slow
def test_a_small_disk_ends_trainings_in_one_sentence(workbench, tmp_path):
    on_small_disk(SMALL_DISK, tmp_path, "train", *SMALL, *workbench.data)
    for status, printed in json.loads((tmp_path / "told.json").read_text()):
        assert status in (1, 2)
        assert "Traceback" not in printed
        assert "Error executing job" not in printed
        assert len([x for x in printed.splitlines() if x.startswith("asl train: ")]) == 1
    tracker = open_tracker({"uri": f"sqlite:///{tmp_path}/mlruns/mlflow.db"})
    # KILLED: the disk had no room for the status FAILED; the next command ended that run.
    statuses = {run.status for run in find_runs(tracker)}
    assert {"FINISHED"} < statuses <= {"FINISHED", "FAILED", "KILLED"}


FILES = """
import shutil
from pathlib import Path
import numpy as np
from asl.page import assets
from asl.runs import landmarks
from asl.video.extract import Extraction

disk, out, model, page_model, *data = sys.argv[1:]
landmarks.extract = lambda path, **_: Extraction(np.zeros((99, 543, 3), np.float32), 30.0, "")
assets.vendor = lambda packages, folder: folder.mkdir()
np.save(f"{out}/long.npy", np.zeros((60, 543, 3), np.float32))
np.save(f"{out}/sign.npy", np.ones((9, 543, 3), np.float32))

def answers():
    commands = {
        "landmarks": [f"{disk}/1.mp4", f"out={disk}/landmarks-{number}"],
        "show": ["0", *data, f"out={disk}/clip.html"],
        "page": [f"model={page_model}", "--build", f"{disk}/site"],
        "spot": [model, f"{out}/long.npy", f"out={disk}/spot", "--replace", "--threshold=0.01"],
        "enrol": [f"{disk}/model.tflite", f"{out}/sign.npy", f"sign=sign {number}"],
        "eda": [*data, f"report.dir={disk}/eda"],
        "prepare": [*data, f"data.store={disk}/store-{number}"],
    }
    return {name: attempt(name, *typed) for name, typed in commands.items()}

def files():
    found = [path for path in Path(disk).rglob("*") if path.is_file() and path.suffix != ".lock"]
    return {str(path): path.read_bytes() for path in found if path.stat().st_size}

mount("-o", "size=64m")
shutil.copy(model, f"{disk}/model.tflite")
number = 0
assert not [each for each in answers().values() if each[0]], answers()
before = files()
number, told = 1, {}
mount("-o", f"remount,size={used()}k")
told["full"] = answers()
mount("-o", "remount,ro")
told["read-only"] = answers()
now = files()
told["changed"] = [name for name in now.keys() | before if now.get(name) != before.get(name)]
Path(out, "told.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_small_disk_leaves_the_files_of_before_in_every_command(
    workbench, exported, tiny_tflite, tmp_path
):
    page_model = tiny_tflite(tmp_path / "page.tflite", 9)
    (tmp_path / "labels.json").write_text('["again", "bird", "cat"]')
    models = [str(exported / "model_float32.tflite"), str(page_model)]
    on_small_disk(FILES, tmp_path, *models, *workbench.data)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told.pop("changed") == []
    for place, commands in told.items():
        for name, (status, printed) in commands.items():
            assert "Traceback" not in printed, (place, name, printed)
            assert status in (1, 2), (place, name)
            assert printed.count(f"asl {name}: ") == 1, (place, name, printed)


RUNS = """
import shutil
from pathlib import Path
from asl.tracking.database import list_runs

disk, out, *train = sys.argv[1:]
uri = f"sqlite:///{disk}/mlruns/mlflow.db"
tracking = f"tracking.uri={uri}"
settings = [typed for typed in train if typed.startswith("data.")]

def answers():
    board = ["sets=[synthetic]", "models=[]", "baselines=[dtw]", "folds=[0]"]
    commands = {
        "compare": [a, b, f"compare.dir={disk}/compare"],
        "evaluate": [f"run={a}", f"evaluate.dir={disk}/evaluation"],
        "leaderboard": [*board, f"settings={settings}", f"leaderboard.dir={disk}/board"],
        "retrain": [f"run={a}"],
        "clean": ["--remove"],
    }
    return {name: attempt(name, *commands[name], tracking) for name in wanted}

def files():
    found = [path for path in Path(disk).rglob("*") if path.is_file()]
    kept = [path for path in found if path.suffix != ".db" and "lock" not in str(path)]
    return {str(path): path.read_bytes() for path in kept}

mount("-o", "size=64m")
for _ in range(2):  # the second run supersedes the first, whose checkpoint is not needed then
    assert attempt(*train, tracking)[0] == 0
a, b = [run.run_id for run in list_runs({"uri": uri})]
wanted = ["compare", "evaluate", "leaderboard"]
assert not [each for each in answers().values() if each[0]], answers()
before, told = files(), {}
wanted.append("retrain")
for room in (0, 100):
    mount("-o", f"remount,size={used() + room}k")
    told[f"{room} kB"] = answers()
wanted.append("clean")
subprocess.run(["mount", "--bind", disk, disk], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", disk], check=True)
told["read-only"] = answers()
subprocess.run(["umount", "-l", disk], check=True)
now = files()
told["lost"] = [name for name in before if now.get(name) != before[name]]
mount("-o", "remount,size=64m")
told["room again"] = answers()
Path(out, "told.json").write_text(json.dumps(told))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_small_disk_loses_nothing_of_finished_runs(workbench, tmp_path):
    on_small_disk(RUNS, tmp_path, "train", *SMALL, *workbench.data)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told.pop("lost") == []
    assert {name: status for name, (status, _) in told.pop("room again").items() if status} == {}
    for place, commands in told.items():
        for name, (status, printed) in commands.items():
            assert "Traceback" not in printed, (place, name, printed)
            assert status in (1, 2), (place, name)
            assert printed.count(f"asl {name}: ") == 1, (place, name, printed)
