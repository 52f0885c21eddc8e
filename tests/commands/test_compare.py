"""asl compare: recognizers side by side on the same clips."""

from pathlib import Path

import pytest

from asl.tracking.find import download, find_run, find_runs
from asl.tracking.store import open_tracker


@pytest.fixture(scope="module")
def store(workbench):
    return open_tracker({"uri": workbench.tracking.partition("=")[2], "experiment": "asl"})


@pytest.fixture(scope="module")
def other(workbench, trained, store) -> str:
    """The name of a run on the same clips with another network."""
    assert workbench("train", "model=cnn", "model.hidden=8", "seed=31") == 0
    return next(run.name for run in find_runs(store) if run.params.get("seed") == "31")


def test_runs_are_compared_on_a_page_and_in_mlflow(
    workbench, trained, other, store, tmp_path, capsys
):
    capsys.readouterr()
    assert workbench("compare", trained, other, f"compare.dir={tmp_path}") == 0
    printed = capsys.readouterr().out
    page = (tmp_path / "compare.html").read_text()
    assert "may be claimed" in printed
    assert "12 clips: signer_holdout test=" in printed
    assert "over signers" not in printed  # there are two
    assert f"{tmp_path}/compare.html" in printed
    for words in (trained, other, "<td>model</td>", "gru", "cnn", "Validation F1", "by signer"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")  # self-contained
    run = next(r for r in find_runs(store) if r.tags["kind"] == "compare")
    assert run.status == "FINISHED"
    assert download(store, run.run_id, "compare.html").read_text() == page
    accuracy = find_run(store, trained).metrics["test/accuracy"]
    metrics = download(store, run.run_id, "metrics.csv").read_text()
    assert f"{trained},{accuracy}" in metrics


def test_a_full_disk_leaves_the_page_of_before(
    workbench, trained, other, tmp_path, capsys, monkeypatch
):
    (tmp_path / "compare.html").write_text("the page of before")
    write = Path.write_text

    def full(path, text, *arguments, **options):
        if tmp_path in path.parents:
            write(path, text[:10])
            raise OSError(28, "No space left on device")
        return write(path, text, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", full)
    assert workbench("compare", trained, other, f"compare.dir={tmp_path}") == 1
    assert capsys.readouterr().err.endswith("asl compare: No space left on device\n")
    assert [path.name for path in tmp_path.iterdir()] == ["compare.html"]
    assert (tmp_path / "compare.html").read_text() == "the page of before"


def test_a_file_is_compared_with_its_run(workbench, trained, exported, tmp_path, capsys):
    file = str(exported / "model_float32.tflite")
    clips = [*workbench.data, "split=signer_holdout"]
    capsys.readouterr()
    assert workbench("compare", trained, file, *clips, f"compare.dir={tmp_path}") == 0
    printed = capsys.readouterr().out
    assert "No difference" in printed
    assert "0.0 points" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "compare needs two recognizers"),
        (["nonsense", "nonsense"], "nonsense"),
        (["{trained}", "model.tflite"], "data= and split="),
    ],
)
def test_a_mistake_is_one_sentence(workbench, trained, arguments, words, capsys):
    capsys.readouterr()
    assert workbench("compare", *(a.format(trained=trained) for a in arguments)) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert "Traceback" not in printed


def test_runs_without_a_common_test_clip_are_refused(workbench, trained, store, capsys):
    signer = find_run(store, trained).split.partition("test=[")[2].rstrip("]")
    another = "1" if signer != "1" else "2"
    small = ["model=cnn", "model.hidden=8", "seed=32", f"split.test=[{another}]"]
    assert workbench("train", *small) == 0
    third = next(run.name for run in find_runs(store) if run.params.get("seed") == "32")
    capsys.readouterr()
    assert workbench("compare", trained, third) == 2
    assert "no clip that all were tested on" in capsys.readouterr().err
