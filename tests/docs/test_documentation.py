"""What the documentation shows: links lead somewhere, commands and examples work."""

import argparse
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob

from asl.cli import COMMANDS
from asl.clips import splits
from asl.config.compose import compose
from asl.config.plan import choices
from asl.config.schema import PrepareSettings, RunSettings, checked
from asl.paths import CONF, EXPERIMENTS, PROJECT
from asl.recognizer.build import build_recognizer
from asl.targets import TARGET, factory

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "experiments/*.md", "mlruns/*.md")
    for path in PROJECT.glob(pattern)
)
# Pages of the site that docs/hooks.py makes when it is built.
GENERATED = {
    *("contributing.md", "changelog.md", "security.md", "experiments.md"),
    *("reference/configuration.md", "reference/commands.md"),
}


def blocks(path: Path, *languages: str) -> list[str]:
    """The fenced code blocks of a page in one of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    return [code for language, code in found if language in languages]


def commands(path: Path) -> list[str]:
    """The lines of a page's shell blocks, continued ones joined, without what is printed."""
    lines = []
    for block in blocks(path, "bash", "console"):
        prompt = "$ " if re.search(r"^\$ ", block, re.M) else ""
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith(prompt) and line.strip():
                lines.append(line.removeprefix(prompt))
    return lines


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[\s]+", "-", heading) for heading in plain}


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text))
    links += re.findall(r'(?:src|href)="([^"]+)"', text)
    for link in links:
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        on_site = os.path.relpath(target, PROJECT / "docs")
        if on_site in GENERATED:
            continue
        assert target.exists(), f"{link}: no such file"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


# --- commands -----------------------------------------------------------------------------------

# Composing a config takes a quarter of a second, and the pages show some hundred commands.
FIRST_PAGES = ("README.md", "index.md", "tutorial.md")
SHOWN = [
    pytest.param(
        line,
        id=f"{page.relative_to(PROJECT)}: {line}",
        marks=[] if page.name in FIRST_PAGES and " -m " not in line else [pytest.mark.slow],
    )
    for page in PAGES
    for line in commands(page)
    if line.startswith("asl ")
]


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_is_understood(line, monkeypatch, capsys):
    _, name, *arguments = shlex.split(line, comments=True)
    assert name in COMMANDS
    if (CONF / f"{name}.yaml").exists():
        for overrides in jobs(arguments):
            composes(name, overrides)
    else:
        parses(name, arguments, monkeypatch)


def composes(name: str, overrides: list[str]) -> None:
    """Fails where the config has an unknown choice or key, or a value of the wrong type."""
    if name in ("evaluate", "show", "page"):
        overrides = [re.sub("^model=", "tflite=", each) for each in overrides]
    config = compose(name, overrides)
    if name in ("train", "crossval", "sweep"):
        checked(config, RunSettings)
    elif config.get("data"):
        checked(config, PrepareSettings if name == "prepare" else _Anything)


class _Anything(PrepareSettings):
    workers: int | None = None


def jobs(arguments: list[str]) -> list[list[str]]:
    """The overrides of every choice of a multirun, one changed at a time."""
    overrides = [each for each in arguments if "=" in each]
    if "-m" not in arguments:
        return [overrides]
    expanded = [expand(override) for override in overrides]
    first = [values[0] for values in expanded]
    return [
        [*first[:place], value, *first[place + 1 :]]
        for place, values in enumerate(expanded)
        for value in values
    ]


def expand(text: str) -> list[str]:
    """An override of several values as one for each of them."""
    override = OverridesParser.create().parse_override(text)
    key, _, _ = text.partition("=")
    value = override.value()
    if isinstance(value, Glob):
        names = choices(override.key_or_group)  # that all compose is tested elsewhere
        matching = [n for n in names if any(fnmatch.fnmatch(n, i) for i in value.include)]
        return [f"{key}={matching[0]}"]
    if not override.is_sweep_override():
        return [text]
    return [f"{key}={each}" for each in override.sweep_string_iterator()]


class Parsed(Exception):  # noqa: N818 - not an error: it stops a command before its work
    """The arguments were understood."""


def parses(name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where argparse refuses the arguments."""

    def stops(parse):
        def parse_args(parser, args=None, namespace=None):
            parse(parser, args, namespace)
            raise Parsed

        return parse_args

    for method in ("parse_args", "parse_intermixed_args"):
        parse = getattr(argparse.ArgumentParser, method)
        monkeypatch.setattr(argparse.ArgumentParser, method, stops(parse))
    module = __import__(COMMANDS[name][0], fromlist=["main"])
    if name == "completion":
        module.main(arguments)
        return
    with pytest.raises(Parsed):
        module.main(arguments)


# --- the examples of CONTRIBUTING.md ------------------------------------------------------------


@pytest.fixture
def example(monkeypatch):
    """Examples of CONTRIBUTING.md by their path: modules, importable, and configs as values."""
    code, configs = {}, {}
    page = PROJECT / "CONTRIBUTING.md"
    for block in blocks(page, "python"):
        path = block.splitlines()[0].removeprefix("# ")
        name = path.removesuffix(".py").replace("/", ".")
        code[path] = block
        if name not in sys.modules and not (PROJECT / path).exists():
            module = types.ModuleType(name)
            exec(block, module.__dict__)
            monkeypatch.setitem(sys.modules, name, module)
    for block in blocks(page, "yaml"):
        configs[block.splitlines()[0].removeprefix("# ")] = yaml.safe_load(block)
    return types.SimpleNamespace(code=code, configs=configs)


@pytest.mark.parametrize("part", ["model", "scaler"])
def test_the_example_of_a_network_and_of_a_scaler_work(part, example):
    (config,) = [c for path, c in example.configs.items() if path.startswith(f"conf/{part}/")]
    spec = compose("train", ["model=cnn"])
    spec = {group: dict(spec[group]) for group in ("landmarks", "scaler", "features", "head")}
    spec["model"] = dict(compose("train", ["model=cnn"]).model)
    spec[part] = {k: 0.1 if str(v).startswith("${") else v for k, v in config.items()}
    recognizer = build_recognizer(spec, ["one", "two"]).eval()
    clips = torch.randn(2, 9, len(recognizer.landmarks.indices), 3)
    clips[1, 5:] = torch.nan
    lengths = torch.tensor([9, 5])

    logits = recognizer(clips, lengths)

    assert logits.shape == (2, 2)
    torch.testing.assert_close(recognizer(clips[1:, :5], lengths[1:])[0], logits[1])


def test_the_example_of_a_data_set_works(example, tmp_path):
    frame = [[0.1, 0.2, None if i else 0.3] if i % 2 else None for i in range(543)]
    file = tmp_path / "anna" / "hello" / "1.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps([frame, frame]))
    config = example.configs["conf/data/json_clips.yaml"]["source"]
    source = factory(
        {TARGET: config[TARGET], "root": tmp_path, "layout": config["layout"]}, "source"
    )()

    (entry,) = source.listing().entries
    clip = source.read(entry).clip

    assert (entry.signer, entry.sign, source.signs) == ("anna", "hello", ["hello"])
    assert clip.shape == (2, 543, 3)
    assert np.isnan(clip[:, 0]).all()
    assert clip[0, 1, 0] == pytest.approx(0.1)


def test_the_example_of_a_split_works(example):
    namespace = dict(vars(splits))
    exec(example.code["asl/clips/splits.py"], namespace)
    signers = np.repeat(["1", "2", "3", "4", "5"], 4)

    split = namespace["first_signers"](np.tile(["a", "b"], 10), signers, train=3)

    assert split.test_signers == ("4", "5")
    assert split.test_signer_independent
    assert set(signers[split.train]) <= {"1", "2", "3"}


# --- the site and the tutorial, built and run ---------------------------------------------------


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = [path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")]
    assert not any(re.search(r'(src|rel="stylesheet" href)="https?:', page) for page in pages)


SMALLER = {
    "train": ["trainer.max_epochs=2"],
    "crossval": ["trainer.max_epochs=1"],
    "sweep": ["sweep.n_trials=2", "sweep.fixed=['trainer.max_epochs=1']", "sweep.final_seeds=0"],
    "export": ["export.clips=16", "export.max_drop=1"],
}
NOT_RUN = ("make ", "pip ", "git ", "source ", "asl ui", "asl download", "python -m venv")


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_tutorial_runs_as_an_installed_package(tmp_path):
    shared = Path(os.environ.get("ASL_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not (shared / "words15").exists():
        pytest.skip("needs words15")
    site, work = tmp_path / "site", tmp_path / "work"
    ignored = shutil.ignore_patterns("__pycache__", "*.md", "*.png", "*.sh")
    for source, target in (("asl", "asl"), (CONF, "asl/conf"), (EXPERIMENTS, "asl/experiments")):
        shutil.copytree(PROJECT / source, site / target, ignore=ignored)
    shutil.copytree(shared / "words15", work / "data" / "raw" / "words15")
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    environment.pop("ASL_SHARED_DATA", None)
    asl = [sys.executable, "-c", "import sys, asl.cli; sys.argv[0] = 'asl'; asl.cli.main()"]
    shown = commands(PROJECT / "docs" / "tutorial.md")
    lines = [line for line in shown if not line.startswith(NOT_RUN)]
    assert len(lines) > 8
    for line in lines:
        program, name, *arguments = shlex.split(line, comments=True)
        assert program == "asl", line
        done = subprocess.run(
            [*asl, name, *arguments, *SMALLER.get(name, [])],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
