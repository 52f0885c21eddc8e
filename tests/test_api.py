"""The public API: every example in a docstring of `asl` runs as it stands."""

import doctest

import pytest

import asl
from asl import api


class Checker(doctest.OutputChecker):
    """Progress that a function prints before its value is no part of an example."""

    def check_output(self, want, got, optionflags):
        return not want or super().check_output(want, got[-len(want) :], optionflags)


@pytest.fixture
def working_folder(tmp_path, monkeypatch):
    """An empty folder with the settings of a small data set, and a store of runs of its own."""
    from asl.config import compose

    small = [
        f"data.root={tmp_path}/raw",
        f"data.store={tmp_path}/store",
        "data.source.signs=5",
        "data.source.signers=4",
        "data.source.clips_per_sign=2",
    ]
    composed = compose.compose

    def compose_small(command, overrides=()):
        synthetic = [o for o in overrides if o == "data=synthetic"]
        tracking = [f"tracking.uri=sqlite:///{tmp_path}/mlruns/mlflow.db"]
        return composed(command, [*overrides, *(small if synthetic else []), *tracking])

    monkeypatch.setattr("asl.config.plan.compose", compose_small)
    monkeypatch.setattr("asl.tracking.address.PROJECT", tmp_path)
    monkeypatch.setattr("asl.runs.export.PROJECT", tmp_path)
    (tmp_path / "mlruns").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# These train several runs, or export one.
SLOW = ("crossval", "export", "predict")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in asl.__all__],
)
def test_the_example_of_a_function_runs(name, working_folder):
    assert callable(getattr(asl, name))
    function = getattr(api, name)
    assert function.__doc__
    assert "Example:" in function.__doc__
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(function, name, globs={})
    outcome = doctest.DocTestRunner(Checker()).run(example)
    assert outcome.attempted
    assert not outcome.failed


def test_the_version_is_the_packages():
    assert asl.__version__
