"""Facts that stand in several files of the repository agree."""

import re
import shutil
import subprocess
import tomllib

import pytest
import yaml
from packaging.specifiers import SpecifierSet

import asl
from asl.paths import PROJECT


def pins() -> dict[str, str]:
    lines = (PROJECT / "constraints.txt").read_text().split()
    return {_normal(name): version for name, version in (line.split("==") for line in lines)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def project() -> dict:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def test_every_dependency_is_pinned():
    declared = project()["dependencies"]
    for extra in project()["optional-dependencies"].values():
        declared = declared + extra
    names = {_normal(re.match(r"[\w.-]+", each).group()) for each in declared}
    assert not names - set(pins())


def test_hooks_use_the_pinned_versions():
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    used = {each for hook in hooks for each in hook.get("additional_dependencies", [])}
    for name, version in (each.split("==") for each in used):
        assert pins().get(_normal(name), version) == version


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert citation["version"] == asl.__version__
    newest = re.search(r"^## \[.*?([\d.]+)\]", (PROJECT / "CHANGELOG.md").read_text(), re.M)
    assert newest.group(1) == asl.__version__


def test_every_old_spelling_is_in_the_changelog():
    from asl.config.overrides import RENAMED_CHOICES, RENAMED_KEYS

    text = (PROJECT / "CHANGELOG.md").read_text()
    old = {name for group in RENAMED_CHOICES.values() for name in group} | set(RENAMED_KEYS)
    assert not {name for name in old if name not in text and not name.startswith("remedied_")}


def test_the_workflow_tests_the_declared_versions_of_python():
    workflow = yaml.safe_load((PROJECT / ".github/workflows/tests.yml").read_text())
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]
    declared = [each.rsplit(" ", 1)[-1] for each in project()["classifiers"] if "3." in each]
    assert tested == declared
    allowed = SpecifierSet(project()["requires-python"])
    newest = max(int(version.rpartition(".")[2]) for version in declared)
    assert all(allowed.contains(f"{version}.0") for version in declared)
    assert not allowed.contains(f"3.{newest + 1}.0")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_clean_leaves_results_and_clean_results_asks(tmp_path):
    def make(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["make", "-f", str(PROJECT / "Makefile"), *arguments]
        return subprocess.run(command, cwd=tmp_path, input="no", capture_output=True, text=True)

    results = make("--eval=print: ; @echo $(RESULTS)", "print").stdout.split()
    assert {"mlruns/mlflow.db", "mlruns/artifacts", "exports"} <= set(results)
    code = ["asl", "benchmarks", "tests", "docs"]
    for folder in [*code, *results, "data/raw/gislr", ".venv"]:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    assert make("clean").returncode == 0
    assert not (tmp_path / ".venv").exists()
    assert make("clean-results").returncode != 0
    assert all((tmp_path / result).is_dir() for result in [*results, "data/raw/gislr"])


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


def test_there_is_no_symbolic_link():
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert "120000" not in {line.split()[0] for line in listed.stdout.splitlines()}
