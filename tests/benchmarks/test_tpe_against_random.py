import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState, create_trial

from benchmarks import tpe_against_random as against

PROJECT = Path(__file__).parents[2]


def _trial(value, epochs):
    steps = dict.fromkeys(range(epochs), 0.1)
    state = TrialState.PRUNED if value is None else TrialState.COMPLETE
    return create_trial(value=value, state=state, intermediate_values=steps)


def test_a_pruned_trial_costs_its_epochs_and_is_never_the_best():
    curve = against._curve([_trial(0.5, 10), _trial(None, 3), _trial(0.4, 10), _trial(0.8, 10)])
    assert curve[0].tolist() == [10, 13, 23, 33]
    assert curve[1].tolist() == [0.5, 0.5, 0.5, 0.8]
    assert np.isnan(against._at(curve, 9))
    assert against._at(curve, 32) == 0.5
    assert against._at(curve, 33) == 0.8


@pytest.mark.slow
def test_tpe_gets_trials_until_it_has_spent_what_random_search_has(tmp_path):
    small = (
        "data=synthetic", "data.source.signs=2", "data.source.signers=4",
        "data.source.clips_per_sign=4", f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store",
        "trainer.max_epochs=2", f"tracking.uri=sqlite:///{tmp_path}/mlflow.db",
    )  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.tpe_against_random", "--trials", "2"]
    storage = ["--storage", f"sqlite:///{tmp_path}/optuna.db"]
    done = subprocess.run(
        [*command, *storage, "--workers", "1", "--folder", str(tmp_path), *small],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "| epochs spent | random | tpe |" in done.stdout
    assert (tmp_path / "tpe_against_random.png").stat().st_size > 10_000
