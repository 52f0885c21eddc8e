"""At the terminal: help is fast, a mistake is one sentence and exit status 2."""

import itertools
import re
import subprocess
import sys

import pytest
import torch

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
        (["train", "model=lstmm"], ["model=lstmm", "bigru", "transformer"]),
        (["train", "model.hiden=3"], ["model.hiden", "did you mean model.hidden?"]),
        (["train", "modle=lstm"], ["modle", "did you mean model?"]),
        (["train", "+sed=7"], ["sed", "did you mean seed?"]),
        (["train", "-m", "model=lstm,gru", "++modle.hidden=3"], ["modle", "model"]),
        (["sweep", "sweep.n_trial=3"], ["sweep.n_trial", "did you mean sweep.n_trials?"]),
        (["evaluate", "run=best", "split.test=[3]"], ["split.test", "split=", "signer_holdout"]),
        (["train", "split.test=[99]"], ["split.test", "99", "choose from 1, 2, 3, 4"]),
        (["train", "landmarks=kinect20"], ["landmarks=kinect20", "hands_pose"]),
        (["train", "model.hidden=-1"], ["model.hidden=-1", "greater than or equal to 1"]),
        (["train", "data.batch_size=some"], ["data.batch_size=some", "integer"]),
        (["train", "data=gislr", "data.root=/nowhere"], ["/nowhere"]),
        (["train", "resume=nonsense"], ["resume=nonsense"]),
        (["train", "resume="], ["resume=: name the run"]),
        (["train", "optimizer.lr=inf"], ["optimizer.lr=inf: should be a finite number"]),
        (["train", "regularization.head_l1=inf"], ["regularization.head_l1=inf"]),
        (["ui", "--port", "99999999"], ["--port=99999999"]),
        (["export", "run=nonsense"], ["run=nonsense", "best"]),
        (["export", "run=best", "split=signer_kfold"], ["run=best", "signer_kfold"]),
        (["evaluate"], ["run=", "model="]),
        (["evaluate", "run=best", "part=nonsense"], ["part=nonsense", "train, val, test"]),
        (["runs", "--metric", "nonsense"], ["nonsense", "test/f1"]),
    ],
)
def test_a_mistake_is_one_sentence(arguments, words, workbench, trained, capsys):
    capsys.readouterr()
    status = workbench(*arguments)
    printed = capsys.readouterr().err
    assert status == 2, printed
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1, printed
    for word in words:
        assert word in printed


def test_an_unknown_command_names_the_commands(capsys):
    assert run(["trian"]) == 2
    printed = capsys.readouterr().err
    assert "trian" in printed
    assert "train" in printed


def test_all_faults_come_in_one_message(workbench, capsys):
    wrong = [
        "model.hidden=0",
        "regularization.dropout=2",
        "trainer.max_epochs=none",
        "optimizer.lr=0",
        "+scaler.sise=3",
    ]
    assert workbench("train", *wrong) == 2
    printed = capsys.readouterr().err
    for override in wrong:
        assert override.lstrip("+").partition("=")[0] in printed


def test_all_unknown_keys_come_in_one_message(workbench, capsys):
    assert workbench("train", "modle=lstm", "+sed=7", "model.hiden=3", "nonsense=1") == 2
    printed = capsys.readouterr().err
    for advice in ("mean model?", "mean seed?", "mean model.hidden?", "nonsense"):
        assert advice in printed


def test_a_key_may_be_added_to_a_group(workbench):
    assert workbench("train", "--cfg", "job", "+trainer.gradient_clip_val=1") == 0


def test_hydra_shows_the_composed_config(workbench, capsys):
    assert workbench("train", "--cfg", "job", "model=lstm") == 0
    assert "asl.recognizer.backbones.recurrent.Recurrent" in capsys.readouterr().out


@pytest.mark.slow
def test_completion_completes_commands_and_choices(tmp_path):
    code = run_bash(
        'eval "$(asl completion bash)"; COMP_WORDS=(asl train model=t); COMP_CWORD=2; '
        'COMP_LINE="asl train model=t"; COMP_POINT=${#COMP_LINE}; _asl_complete; '
        'echo "${COMPREPLY[@]}"'
    )
    assert "model=transformer" in code


def run_bash(script: str) -> str:
    from pathlib import Path

    folder = str(Path(sys.executable).parent)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={"PATH": f"{folder}:/usr/bin:/bin"},
    )
    return done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_sentence(workbench, capsys):
    assert workbench("train", "model=cnn", "model.hidden=8", "trainer=gpu") == 2
    assert "trainer.accelerator=gpu: No supported gpu" in capsys.readouterr().err


WITHOUT_EXTRA = """
import sys
from asl.export.requirements import PACKAGES
sys.modules |= dict.fromkeys(PACKAGES)  # as if they were not installed
import asl
assert asl.train
from asl.cli import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.slow
def test_export_without_its_packages_is_one_sentence(workbench, trained):
    command = [sys.executable, "-c", WITHOUT_EXTRA, "export", f"run={trained}", workbench.tracking]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "needs onnx" in done.stderr
    assert "pip install 'asl[export]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["train", "evaluate", "compare"])
def test_help_explains_each_group_and_key_in_a_line(command, capsys):
    assert run([command, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"asl {command}: ")
    about = next(line for line in lines if line.startswith("  data "))
    assert "The clips, how they are packed" in about
    choices = lines[lines.index(about) + 1 :]
    assert "words15" in "".join(
        itertools.takewhile(lambda line: line.startswith("      "), choices)
    )
    keys = lines[lines.index("Keys:") :]
    assert any(re.match(r"  \w+: \S+ +# .", line) for line in keys)
    assert not any("_target_" in line for line in lines)
    assert len(lines) < 80


def test_help_names_what_is_chosen_by_default(capsys):
    run(["crossval", "--help"])
    printed = capsys.readouterr().out
    assert "leave_one_signer_out*" in printed
    assert "cnn*" in printed
    assert "monitor: val/f1" in printed  # as `asl train` has
    assert "asl crossval -m data=words15,isl30" in printed
