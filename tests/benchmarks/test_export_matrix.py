import subprocess
import sys
from pathlib import Path

import pytest

from asl.export.variants import VARIANTS

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_row_for_every_variant_of_a_network(tmp_path):
    small = (
        "data=synthetic", "data.source.signs=2", "data.source.signers=4",
        "data.source.clips_per_sign=4", f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store",
        "trainer.max_epochs=1",
    )  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.export_matrix", "--models", "lstm"]
    where = ["--uri", f"sqlite:///{tmp_path}/mlflow.db", "--folder", str(tmp_path / "files")]
    done = subprocess.run(
        [*command, *where, "--", *small], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    table = [line for line in done.stdout.splitlines() if line.startswith("| lstm |")]
    assert [line.split("|")[2].split(",")[0].strip() for line in table] == ["PyTorch", *VARIANTS]
    assert "its recurrent layers are" in table[-1]
