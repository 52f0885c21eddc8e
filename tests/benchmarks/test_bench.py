import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import benchmarks
from asl.clips.sources.gislr import GislrSource, read_clip
from benchmarks import competition, notebook, stopwatch, table

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def simulated(synthetic_raw, tmp_path_factory):
    root = tmp_path_factory.mktemp("competition") / "raw"
    competition.simulate(root, GislrSource(synthetic_raw), clips=60, files=8)
    return root


def test_the_simulated_competition_is_a_data_set_of_links(simulated):
    listing = GislrSource(simulated).listing()
    assert len(listing.entries) == 60
    assert not listing.problems
    files = [os.stat(simulated / entry.path).st_ino for entry in listing.entries]
    assert len(set(files)) <= 8
    clip = read_clip(simulated / listing.entries[0].path)
    assert np.isfinite(clip[:, :468]).all()
    assert np.isfinite(clip[:, 468:]).any()


def test_it_keeps_the_signers_that_are_known(synthetic_raw, tmp_path):
    people = tmp_path / "participants.csv"
    people.write_text("participant_id,sequence_id\n7,1\n9,2\n9,3\n", encoding="utf-8")
    competition.simulate(tmp_path / "raw", GislrSource(synthetic_raw), 3, 2, people)
    entries = GislrSource(tmp_path / "raw").listing().entries
    assert [(e.signer, e.sequence_id) for e in entries] == [("7", "1"), ("9", "2"), ("9", "3")]


def test_its_lengths_are_the_competition_s():
    frames = competition.lengths(1000)
    assert np.median(frames) == 22
    assert np.mean(frames > 128) == pytest.approx(0.056, abs=0.005)
    assert 256 < frames.max() <= 537


def test_the_notebook_s_steps_give_differences_of_twenty_frames(simulated, tmp_path):
    entries = GislrSource(simulated).listing().entries[:3]
    steps = notebook.steps([str(simulated / entry.path) for entry in entries], tmp_path)
    assert steps.shape == (3, 20, 225)
    assert np.abs(steps).max() <= 1


def test_contestants_take_turns():
    order = []
    acts = {name: lambda name=name: order.append(name) for name in "abc"}
    assert set(table.rounds(acts, 4)) == set("abc")
    assert "".join(order) == "abccbaabccba"


def test_a_report_is_a_table_and_its_figures(tmp_path):
    row = table.Row("reading", 1234.5, "clips/s", 0.5, "ours is {}", **table.at_least(0.7, 0.5))
    text = table.report(tmp_path / "out", "Title", {"machine": "this"}, [row])
    assert "| reading | 1,234 clips/s | ours is 0.500 × | ≥ 0.7 ✗ MISSED |" in text
    assert text == (tmp_path / "out.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "out.json").read_text())["rows"][0]["value"] == 1234.5


def test_a_stopwatch_counts_a_part_s_own_time_while_it_runs(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: clock[0])
    watch = stopwatch.Stopwatch()

    def wait(seconds):
        clock[0] += seconds

    inner = watch.timed("inner", wait)
    outer = watch.timed("outer", lambda: (wait(1), inner(2), wait(4)))
    outer()
    watch.start()
    wait(8)
    outer()
    watch.stop()
    outer()

    assert watch.seconds == {"the rest": 8, "outer": 5, "inner": 2}


def measured(name: str, folder: Path) -> list[dict]:
    """The rows of a benchmark in its smallest form."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--folder", folder]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["rows"]


@pytest.mark.slow
def test_the_benchmark_of_training_runs(tmp_path):
    rows = measured("training", tmp_path)
    assert all(row["value"] > 0 for row in rows)
    shares = {row["what"].split(": ")[1]: row["value"] for row in rows if "share" in row["what"]}
    assert sum(shares.values()) == pytest.approx(100)
    beside = {"loading", "augmentation", "features", "optimizer"}
    assert {"forward", "backward", *beside} <= shares.keys()
    asl, _, loop = rows[:3]
    assert asl["ratio"] == pytest.approx(asl["value"] / loop["value"])
    assert any("Keras" in row["what"] for row in rows)


@pytest.mark.slow
def test_the_benchmark_of_sweeps_runs(tmp_path):
    rows = measured("sweeping", tmp_path)
    sweep, training, _, start, *_ = rows
    # With the start-up: it is measured at another moment, and long where the machine is busy.
    assert 0 < training["value"] < sweep["value"] + start["value"]
    assert sweep["ratio"] == pytest.approx(sweep["value"] / training["value"])


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    rows = measured("clips", tmp_path)
    assert all(row["value"] > 0 for row in rows if "memory" not in row["what"])
    for what in ("notebook", "opening", "random clip", "batches", "first training step", "share"):
        assert any(what in row["what"] for row in rows)


@pytest.mark.slow
def test_the_benchmark_of_exports_runs(tmp_path):
    rows = measured("exporting", tmp_path)
    assert all(row["value"] > 0 for row in rows)
    ours, narrow, keras, _, size, _ = rows
    assert ours["ratio"] == pytest.approx(ours["value"] / keras["value"])
    assert "float16" in narrow["what"]
    assert size["met"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "file", sorted(Path(benchmarks.__file__).parent.glob("[a-z]*.py")), ids=lambda file: file.stem
)
def test_every_benchmark_can_be_imported(file):
    importlib.import_module(f"benchmarks.{file.stem}")
