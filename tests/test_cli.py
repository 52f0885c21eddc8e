"""What a person at the terminal relies on: help is fast, a mistake is one sentence, exit status 2."""

import subprocess
import sys

import pytest

from asl.cli import COMMANDS, run


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from asl.cli import run; run(['--help']); "
        "heavy = {'torch', 'mlflow', 'hydra', 'tensorflow', 'pandas'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["trian", "train"]),
        (["train", "model=lstmm"], ["model=lstmm", "bigru", "transformer"]),
        (["train", "model.hiden=3"], ["hiden", "model"]),
        (["train", "data.root=/nowhere"], ["/nowhere"]),
        (["train", "split.test=[99]"], ["split.test", "99", "choose from"]),
        (["train", "data=isl30", "landmarks=hands"], ["landmarks=hands", "kinect20"]),
        (["train", "model.hidden=-1"], ["model.hidden=-1", "greater than 0"]),
        (["train", "resume=nonsense"], ["nonsense"]),
        (["export", "run=nonsense"], ["run=nonsense", "best"]),
        (["evaluate"], ["run=", "model="]),
        (["runs", "--metric", "nonsense"], ["nonsense"]),
    ],
)
def test_a_mistake_is_one_sentence(arguments, words, small_setting, capsys, tmp_path):
    status = run([*arguments, *small_setting(arguments)])
    printed = capsys.readouterr().err
    assert status == 2
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1, printed
    for word in words:
        assert word in printed


def test_all_faults_come_in_one_message(small_setting, capsys):
    wrong = ["model.hidden=0", "regularization.dropout=2", "trainer.max_epochs=none", "optimizer.lr=0"]
    assert run(["train", *wrong, *small_setting(["train"])]) == 2
    printed = capsys.readouterr().err
    for key in ("model.hidden", "regularization.dropout", "trainer.max_epochs", "optimizer.lr"):
        assert key in printed


def test_hydra_conveniences(small_setting, capsys):
    assert run(["train", "--cfg", "job", "model=lstm"]) == 0
    assert "asl.recognizer.recurrent.Recurrent" in capsys.readouterr().out
