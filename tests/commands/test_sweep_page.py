"""A sweep's run in MLflow, its status, and how other tools read its study."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import optuna
import pytest
import yaml

from asl.cli import run

SPACE = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "model": {"choices": ["cnn", "gru"]},
    "model.kernel": {"choices": [3, 5], "when": {"model": "cnn"}},
}


class Searches:
    """A folder with a search of the person's own, and a storage."""

    def __init__(self, folder, workbench):
        self.folder, self.workbench = folder, workbench
        self.url = f"sqlite:///{folder}/optuna.db"

    def __call__(self, *more, space=SPACE, **settings):
        node = {
            "defaults": ["base/settings@_here_", "_self_"],
            "name": "mine",
            "sampler": "random",
            "pruner": "none",
            "final_seeds": 0,
            "space": space,
            **settings,
        }
        (self.folder / "own/sweep").mkdir(parents=True, exist_ok=True)
        (self.folder / "own/sweep/mine.yaml").write_text(yaml.safe_dump(node, sort_keys=False))
        return run(
            [
                *("sweep", "--config-dir", str(self.folder / "own"), "sweep=mine"),
                *self.workbench.data,
                *("model.hidden=8", "trainer=smoke", self.workbench.tracking),
                *(f"sweep.storage={self.url}", *more),
            ]
        )

    def status(self, name):
        return run(["sweep", f"status={name}", f"sweep.storage={self.url}"])

    def study(self, name="mine"):
        return optuna.load_study(study_name=name, storage=self.url)

    def parent(self, name="mine"):
        """The sweep's run in MLflow, and the folder of its artifacts."""
        from asl.tracking.find import find_runs
        from asl.tracking.store import open_tracker

        runs = open_tracker({"uri": self.workbench.tracking.partition("=")[2], "experiment": "asl"})
        (found,) = [
            found
            for found in find_runs(runs)
            if found.tags["kind"] == "sweep" and found.tags["study"] == name
        ]
        return found, Path(runs.artifacts) / found.run_id / "artifacts"


@pytest.fixture(scope="module")
def searches(workbench, tmp_path_factory):
    """A sweep that has come to its end."""
    searches = Searches(tmp_path_factory.mktemp("searches"), workbench)
    searches.printed = io.StringIO()
    with contextlib.redirect_stdout(searches.printed):
        assert searches(n_trials=2, sampler="tpe", name="page") == 0
    return searches


def test_the_sweeps_run_is_one_page(searches):
    parent, artifacts = searches.parent("page")
    left = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    assert {"trials.csv", "summary.txt", "sweep.html"} <= left
    assert {f"pictures/{name}.png" for name in ("history", "parallel", "slices")} <= left
    assert len((artifacts / "trials.csv").read_text().splitlines()) == 3
    summary = (artifacts / "summary.txt").read_text()
    for part in summary.strip().split("\n\n"):
        assert part in searches.printed.getvalue()
    assert f"asl export run={parent.tags['best_child']}" in summary
    assert "2 complete trials are too few" in summary
    assert summary.startswith("best: val/f1 0.")  # MLflow folds all but the first lines
    assert summary.strip() in parent.tags["mlflow.note.content"]


def test_the_interactive_page_needs_no_network_and_has_all_trials(searches):
    _, artifacts = searches.parent("page")
    page = (artifacts / "sweep.html").read_text()
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    assert page.count("Plotly.newPlot(") >= 3
    assert len(page) < 6e6


def test_the_study_is_read_by_optuna_alone(searches):
    """As optuna-dashboard reads it."""
    study = searches.study("page")
    assert study.metric_names == ["val/f1"]
    for trial in study.trials:
        assert trial.value is not None
        assert {"optimizer.lr", "model"} <= set(trial.params)
        assert ("model.kernel" in trial.params) == (trial.params["model"] == "cnn")
        assert (searches.parent("page")[1].parents[1] / trial.user_attrs["run_id"]).is_dir()


def test_status_prints_the_progress_of_a_study_and_changes_nothing(searches, capsys):
    file = Path(searches.url.removeprefix("sqlite:///"))
    study = searches.study("page")
    before = file.read_bytes()
    assert searches.status("page") == 0
    printed = capsys.readouterr().out
    assert "2 of 2 trials: 2 complete" in printed
    assert f"best val/f1 {study.best_value:.4f}, trial {study.best_trial.number}" in printed
    assert "resume with: asl" in printed
    assert searches.status("") == 0
    assert re.search(r"^page +2 of 2 trials", capsys.readouterr().out, re.MULTILINE)
    assert searches.status("pge") == 2
    assert "status=pge: there is no such study" in capsys.readouterr().err
    assert file.read_bytes() == before
    missing = file.parent / "none/optuna.db"
    assert run(["sweep", "status=", f"sweep.storage=sqlite:///{missing}"]) == 2
    assert not missing.parent.exists()


def test_status_shows_what_runs(searches, capsys):
    shutil.copy(searches.folder / "optuna.db", searches.folder / "copy.db")
    there = Searches(searches.folder, searches.workbench)
    there.url = f"sqlite:///{searches.folder}/copy.db"
    study = there.study("page")
    study.set_user_attr("n_trials", 5)
    trial = study.ask()
    trial.suggest_float("optimizer.lr", 1e-4, 1e-2, log=True)
    trial.set_user_attr("run_id", "0123456789abcdef")
    trial.report(0.4321, 6)
    assert there.status("page") == 0
    printed = capsys.readouterr().out
    assert "2 of 5 trials: 2 complete, 1 running; about " in printed
    assert re.search(r"^ +2 +0123456789abcdef +7 +0\.4321 ", printed, re.MULTILINE)


def test_at_a_terminal_there_is_a_table(searches):
    from rich.console import Console

    from asl.sweeps.progress import overview
    from asl.sweeps.study import StudyAddress, find_study

    study = find_study(StudyAddress(searches.url, "page"))
    console = Console(file=io.StringIO(), width=100)
    console.print(overview(study, 3))
    printed = console.file.getvalue()
    assert "page  2 of 3 trials: 2 complete; about" in printed
    for trial in study.trials:
        assert re.search(rf"^ +{trial.number} +{trial.value:.4f} +", printed, re.MULTILINE)


def test_a_sweep_is_no_multirun(capsys):
    assert run(["sweep", "-m", "data=synthetic"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "-m" in line
    assert "asl train -m" in line


def test_config_groups_of_the_user_reach_trials_in_any_process(searches, monkeypatch, capsys):
    from asl.sweeps import run as sweeping

    own = searches.folder / "own/regularization"
    own.mkdir(parents=True)
    light = Path(__file__).parents[2] / "conf/regularization/light.yaml"
    (own / "gentle.yaml").write_text(
        light.read_text().replace("head_dropout: 0.3", "head_dropout: 0.123")
    )
    plans = []
    monkeypatch.setattr(sweeping, "run_trials", lambda plan, *_: plans.append(plan))
    space = {"regularization": {"choices": ["gentle", "light"]}}
    assert searches(space=space, name="own-groups", sampler="grid") == 0
    (plan,) = plans  # all that a worker is given
    trial = plan.make_plan((*plan.overrides, "regularization=gentle"), False)
    assert trial.regularization.head_dropout == 0.123
    space = {"regularization": {"choices": ["gentl"]}}
    assert searches(space=space, name="misspelt", sampler="grid") == 2
    assert (
        "regularization=gentl: choose from gentle, gislr_1st, light, none"
        in capsys.readouterr().err
    )


def test_jobs_files_hold_no_password(tmp_path, monkeypatch):
    """Which others may read: they lie in a shared folder, and stay there."""
    from asl.clips.splits import signer_holdout
    from asl.config.overrides import format_override
    from asl.config.sweep_plan import trial_plan
    from asl.runs.plan import DataPlan
    from asl.sweeps import run as sweeping
    from asl.sweeps.plan import SweepPlan
    from asl.sweeps.space import parse
    from asl.sweeps.study import StudyAddress
    from asl.tracking.store import Tracker

    monkeypatch.setenv(sweeping._ADDRESSES, "")
    plan = SweepPlan(
        address=StudyAddress("postgresql+psycopg://ann:secret@localhost:1/db", "mine"),
        identity={},
        space=parse(SPACE),
        total=1,
        sampler=("random", {}, 0),
        pruner=("none", {}, 1),
        monitor="val/f1",
        overrides=(),
        data=DataPlan("abc", tuple, "raw", tmp_path / "store"),
        split=signer_holdout,
        make_plan=trial_plan,
        format_override=format_override,
        tracking={"uri": "http://ann:secret@localhost:1", "experiment": "asl"},
        launcher="submitit_local",
    )
    jobs = sweeping.launch(plan, Tracker(None, "1", tmp_path, None))
    jobs.stop()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".pkl" for path in files)
    assert not [path for path in files if b"secret" in path.read_bytes()]
    (job,) = jobs._jobs
    received: list[SweepPlan] = []
    monkeypatch.setattr(sweeping, "run_worker", lambda number, plan: received.append(plan))
    sweeping._run_job(0, job.submission().args[2][0])
    assert received == [plan]


def test_the_page_is_updated_while_trials_run(searches, monkeypatch):
    from asl.sweeps import record as recording
    from asl.sweeps import run as sweeping

    def unfinished(plan, study, tracker, record):
        record.refresh()  # nothing has ended
        assert "best_value" not in searches.parent("refreshed")[0].metrics
        trial = study.ask()
        plan.space.draw(trial)
        trial.set_user_attr("overrides", ["model=cnn"])
        study.tell(trial, 0.5)
        record.refresh()
        parent, artifacts = searches.parent("refreshed")
        assert parent.metrics["best_value"] == 0.5
        assert (artifacts / "trials.csv").exists()
        assert not (artifacts / "sweep.html").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "REFRESH_SECONDS", 0)
    monkeypatch.setattr(sweeping, "run_trials", unfinished)
    assert searches(name="refreshed", n_trials=2) == 130
    parent, artifacts = searches.parent("refreshed")
    assert parent.status == "KILLED"
    assert (artifacts / "sweep.html").exists()
