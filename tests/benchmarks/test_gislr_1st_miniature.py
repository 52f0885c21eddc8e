import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_miniature_prints_and_draws_the_losses_of_every_epoch(tmp_path):
    small = (
        "data.source.signs=2", "data.source.signers=4", "data.source.clips_per_sign=4",
        f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store", "split.test=[1]",
        "trainer.max_epochs=3", "regularization.late_start=2",
    )  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.gislr_1st_miniature", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--uri", f"sqlite:///{tmp_path}/mlflow.db", *small],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "| " in line]
    table = [row for row in rows if row[0] in ("8", "0")]
    assert [row[:2] for row in table] == [[g, s] for g in "80" for s in "012"]
    assert all(float(loss) > 0 for row in table for loss in row[2:5])
    assert [row[5] for row in table] == ["3"] * 6
    assert (tmp_path / "gislr_1st_miniature.png").stat().st_size > 10_000
