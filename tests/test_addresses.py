"""Passwords are in no file, log, message or list of processes."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from asl.addresses import without_passwords
from asl.cli import run
from asl.config import callbacks
from asl.errors import UserError
from asl.tracking.tags import without_addresses

SECRET = "pa55word"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://{SECRET}@host:5000", "http://***@host:5000"),
        (f"postgresql://anna:{SECRET}@host/db", "postgresql://anna:***@host/db"),
        (f"postgresql://anna:a/b@{SECRET}@host/db", "postgresql://anna:***@host/db"),
        (f"postgresql://host/db?user=anna&password={SECRET}", None),
        (f"'mysql://anna:{SECRET}@host/db', sqlite:///a.db", None),
        (f"http://host/?api_key={SECRET}&b=1", "http://host/?api_key=***&b=1"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("https://host/path", "https://host/path"),
    ],
)
def test_an_address_as_it_is_shown(text, shown):
    assert SECRET not in without_passwords(text)
    assert shown in (None, without_passwords(text))


OVERRIDES = [
    f"tracking.uri=postgresql://anna:{SECRET}@host/db",
    f"++tracking.uri=http://{SECRET}@host",
    f"tracking={{uri: 'http://{SECRET}@host', experiment: asl}}",
    f"+tracking.uri='postgresql://anna:a/{SECRET},b@host/db'",
]
STORAGES = [
    f"++sweep.storage=mysql://anna:{SECRET}@host/db",
    f"sweep={{storage: 'mysql://anna:{SECRET}@host/db'}}",
]


@pytest.mark.parametrize("override", OVERRIDES + STORAGES)
def test_what_a_run_records_of_the_command_line(override):
    assert SECRET not in str(without_addresses(["model=cnn", override]))
    assert without_addresses(["model=cnn", *OVERRIDES]) == ["model=cnn"]


@pytest.mark.parametrize("override", [each for each in OVERRIDES if not each.startswith("+t")])
def test_files_and_messages_of_hydra(override, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("ASL_TRACKING_URI", raising=False)
    seen = []

    def fail_second(cfg):
        seen.append(cfg.tracking.uri)
        if len(seen) == 2:
            raise UserError(f"{cfg.tracking.uri}: no")

    arguments = ["-m", override, "data=synthetic,npz", f"hydra.sweep.dir={tmp_path}"]
    monkeypatch.setattr("asl.commands.eda._report", fail_second)
    assert run(["eda", *arguments]) == 2

    assert len(seen) == 2
    assert all(SECRET in uri for uri in seen)
    assert "uri: ${oc.env:ASL_TRACKING_URI}" in (tmp_path / "multirun.yaml").read_text()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_text()
    out, err = capfd.readouterr()
    assert "Error executing job with overrides" in err
    assert SECRET not in out + err


def test_an_override_that_hydra_does_not_understand(capsys):
    assert run(["eda", f"tracking.uri=[http://{SECRET}@host"]) == 2
    assert SECRET not in "".join(capsys.readouterr())


def test_an_address_of_a_config_file_is_not_copied_to_a_multiruns_record(monkeypatch, capsys):
    uri = f"postgresql://anna:{SECRET}@host/db"
    seen = []

    class Stopped(callbacks.TrainMultirun):
        def prepare(self, config):
            raise UserError(f"{uri} is down")

    monkeypatch.setattr(callbacks, "open_tracker", seen.append)
    config = OmegaConf.create(
        {"tracking": {"uri": uri}, "hydra": {"job": {"config_name": "train"}}}
    )
    with pytest.raises(SystemExit):
        Stopped().on_multirun_start(config)
    assert seen == [{"uri": uri}]
    assert config.tracking.uri == "postgresql://anna:***@host/db"
    assert capsys.readouterr().err == "asl train: postgresql://anna:***@host/db is down\n"


def test_ui(monkeypatch, capsys):
    assert run(["ui", f"tracking.uri=http://{SECRET}@host"]) == 0
    assert capsys.readouterr().out.startswith("http://***@host is a server")
    called = []

    class Server:
        pid = 2**30  # of no process

        def __init__(self, command, env, start_new_session):
            called.append((command, env))

        def wait(self):
            return 0

    monkeypatch.setattr("asl.tracking.store.open_tracker", lambda tracking: None)
    monkeypatch.setattr("asl.tracking.view.prepare_view", lambda tracker: "")
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    monkeypatch.setattr("subprocess.Popen", Server)
    uri = f"postgresql://anna:{SECRET}@host/db"
    run(["ui", f"tracking.uri={uri}"])
    ((command, environment),) = called
    assert SECRET not in str(command)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri
    assert SECRET not in "".join(capsys.readouterr())


def test_a_traceback():
    script = (
        "import sys, asl.cli\n"
        f"def fail(arguments): raise RuntimeError('http://anna:{SECRET}@host')\n"
        "asl.cli.run = fail\nasl.cli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.endswith("RuntimeError: http://anna:***@host\n")
    assert SECRET not in ended.stderr
