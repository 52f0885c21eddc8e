"""asl page and asl record as they are typed."""

import json

import pytest

from asl.cli import run
from asl.page import start


@pytest.fixture
def model(tiny_tflite, tmp_path):
    """A file for browsers, with its labels beside it."""
    (tmp_path / "labels.json").write_text('["again", "bird", "cat"]')
    return tiny_tflite(tmp_path / "model_float16_n9.tflite", 9)


@pytest.fixture
def started(monkeypatch) -> list:
    """What would be served, instead of serving it."""
    calls = []
    monkeypatch.setattr(start, "_serve", lambda *values: calls.append(values))
    return calls


@pytest.mark.parametrize("form", [["--build", "{}"], ["--build={}"]])
def test_a_folder_is_built_and_named(form, packages, model, tmp_path, capsys):
    site = tmp_path / "a, site"
    typed = [each.format(site) for each in form]
    assert run(["page", f"model={model}", *typed, "threshold=0.8"]) == 0
    assert capsys.readouterr().out.startswith(f"page: {site} ")
    assert json.loads((site / "page.json").read_text())["threshold"] == 0.8


def test_a_page_may_have_a_name_of_its_own(packages, model, tmp_path):
    """Which the page shows as a text, so that it may be any."""
    site = tmp_path / "site"
    names = {'name="<b>Anna, 7"': "<b>Anna, 7", "name=7": "7"}
    for typed, name in names.items():
        assert run(["page", f"model={model}", f"--build={site}", typed]) == 0
        assert json.loads((site / "page.json").read_text())["name"] == name
    assert "innerHTML" not in "".join(path.read_text() for path in site.glob("*.js"))


def test_a_page_that_recognises_is_served(model, started):
    assert run(["page", f"model={model}", "port=8123"]) == 0
    ((settings, file, recordings, port, _),) = started
    assert settings["signs"] == ["again", "bird", "cat"]
    assert (file, recordings, port) == (model, None, 8123)


def test_a_page_that_records_is_served(started, tmp_path):
    out = tmp_path / "out"
    assert run(["record", "signs=[thank you,7]", "signer=3", f"out={out}", "clips=4"]) == 0
    ((settings, file, recordings, port, _),) = started
    assert settings["mode"] == "record"
    assert (settings["signs"], settings["signer"], settings["clips"]) == (
        ["thank you", "7"],
        "3",
        4,
    )
    assert (recordings.root, file, port) == (out, None, None)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["page"], "page needs run=RUN_ID (or run=best), or model=FILE.tflite, and not both"),
        (["page", "model=no.tflite"], "no.tflite: there is no such file"),
        (["page", "model=no.tflite", "threshold=2"], "threshold=2: should be less than or equal"),
        (["page", "model=no.tflite", "port=70000"], "port=70000: should be less than 65536"),
        (["page", "model=no.tflite", "--build"], "--build: name a folder"),
        (["record"], "signs=[]: name each sign once"),
        (["record", "signs=[a]"], "signer=: name who signs"),
        (["record", "signs=[a]", "signer=b", "seconds=100"], "seconds=100: should be less than"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, capsys):
    assert run(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"asl {arguments[0]}: {sentence}")
    assert len(printed.splitlines()) == 1
