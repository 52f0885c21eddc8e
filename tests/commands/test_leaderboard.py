"""asl leaderboard: whatever happens, a table; what is finished is not trained again."""

import pandas as pd
import pytest

from asl.cli import run
from asl.tracking.find import find_runs
from asl.tracking.store import open_tracker


@pytest.fixture
def board(workbench, tmp_path):
    """The command on generated clips with tiny networks, and its files."""
    settings = [*workbench.data[1:], "model.hidden=8", "trainer=smoke", "trainer.max_epochs=1"]

    def command(*arguments: str) -> int:
        return run(
            [
                "leaderboard",
                "sets=[synthetic]",
                f"settings={settings}",
                "folds=[0,1]",
                "seeds=1",
                "workers=1",
                f"leaderboard.dir={tmp_path}",
                f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
                *arguments,
            ]
        )

    return command


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "leaderboard.csv").set_index("name")


def trained(folder) -> set[str]:
    tracker = open_tracker({"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "asl"})
    runs = [found for found in find_runs(tracker) if found.is_training]
    return {found.run_id for found in runs if found.status == "FINISHED"}


@pytest.fixture
def no_export(monkeypatch):
    from asl.export import cost

    monkeypatch.setattr(cost, "cost", lambda recognizer, clip: {"size": 2e6, "latency": 1.5})


@pytest.fixture
def recurrent(monkeypatch):
    """Makes the training of recurrent networks end with an error."""
    from asl.training.module import SignClassifier

    step = SignClassifier.training_step

    def ends_with(error):
        def fall(self, batch, number):
            if error and "Recurrent" in type(self.recognizer.backbone).__name__:
                raise error
            return step(self, batch, number)

        monkeypatch.setattr(SignClassifier, "training_step", fall)

    return ends_with


@pytest.mark.slow
def test_a_killed_one_goes_on_and_a_network_that_fails_is_a_row(
    board, recurrent, no_export, tmp_path, capsys
):
    chosen = ["models=[cnn,gru]", "baselines=[dtw]"]
    recurrent(KeyboardInterrupt())
    with pytest.raises(SystemExit):
        board(*chosen)
    first = trained(tmp_path)
    assert len(first) == 2
    assert "2 of 3 rows are missing" in (tmp_path / "leaderboard.md").read_text()

    recurrent(RuntimeError("a fault"))
    assert board(*chosen) == 1
    assert trained(tmp_path) == first
    found = table(tmp_path)
    assert set(found.index) == {"cnn", "gru", "dtw"}
    assert "2 of 2 runs failed" in found.loc["gru", "failure"]
    assert found.loc[["cnn", "dtw"], "accuracy"].between(0, 1).all()
    assert found.loc["cnn", "parameters"] > 0
    assert (found.loc["cnn", "megabytes"], found.loc["cnn", "milliseconds"]) == (2.0, 1.5)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "|  | gru | failed |" in text
    assert "missing" not in text
    assert str(tmp_path) not in text.partition("```bash")[0]

    recurrent(None)
    capsys.readouterr()
    assert board(*chosen) == 0
    assert first < trained(tmp_path)
    assert len(trained(tmp_path)) == 4
    assert not table(tmp_path)["failure"].notna().any()
    assert "leaderboard.html" in capsys.readouterr().out

    assert board(*chosen) == 0
    assert len(trained(tmp_path)) == 4


def test_a_full_disk_is_a_row_without_a_traceback(tmp_path, capsys):
    from asl.runs.leaderboard import Entry, leaderboard

    def full():
        raise OSError(28, "No space left on device", "mlruns")

    some = {"seeds": 1, "folds": None, "workers": 1, "settings": [], "command": "asl leaderboard"}
    made = leaderboard([Entry("synthetic", "cnn", full)], None, tmp_path, **some)
    assert [row.failure for row in made.rows] == ["mlruns: No space left on device"]
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.slow
def test_size_and_latency_are_those_of_the_exported_file(board, tmp_path):
    assert board("models=[cnn]", "baselines=[]") == 0
    row = table(tmp_path).loc["cnn"]
    assert 0.001 < row["megabytes"] < 5
    assert 0 < row["milliseconds"] < 100
    assert row["minutes"] > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["models=[nothing]"], "models=nothing: choose from bigru, "),
        (["sets=[nothing]"], "sets=nothing: choose from auslan95, "),
        (["baselines=[nothing]"], "baselines=nothing: choose from rbf_svm, dtw"),
        (["seeds=0"], "seeds=0: should be greater than 0"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, tmp_path, capsys):
    where = [f"leaderboard.dir={tmp_path}", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"]
    assert run(["leaderboard", *arguments, *where]) == 2
    assert capsys.readouterr().err.startswith(f"asl leaderboard: {sentence}")
    assert not (tmp_path / "leaderboard.md").exists()


def test_a_network_is_a_row_by_its_file_alone():
    from asl.config.leaderboard import recognizers
    from asl.config.plan import choices

    settings = {
        "models": None,
        "sets": ["words15"],
        "baselines": [],
        "settings": [],
        "tracking": {},
    }
    assert [entry.name for entry in recognizers(settings)] == choices("model")


def test_a_choice_by_the_test_clips_is_a_row_without_figures(board, tmp_path):
    assert board("models=[]", "baselines=[rbf_svm]", 'settings=["split.val=test"]') == 1
    assert "no epoch was chosen" in table(tmp_path).loc["rbf_svm", "failure"]
