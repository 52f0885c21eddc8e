"""The benchmarks of enrolment and rejection run, and enrolled clips are not tested."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asl.export.prototypes import Blend
from benchmarks.enrolment import Case
from benchmarks.rejection import _area

PROJECT = Path(__file__).parents[2]
SMALL = (
    "data=synthetic", "data.source.signs=4", "data.source.signers=5",
    "data.source.clips_per_sign=7", "split=leave_one_signer_out", "model=cnn", "model.hidden=16",
    "trainer.max_epochs=1",
)  # fmt: skip


def test_a_prototype_decides_between_a_new_sign_and_the_networks_best():
    blend = Blend(temperature=8.0, reference=0.5, examples=1.0)
    unlike, like = np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]])
    for embeddings, sign in ((like, 2), (unlike, 0)):
        given, signs = np.array([[0.9, 0.1]]), np.array([sign])
        case = Case("1", like, np.array([2]), given, embeddings, signs, 3)
        assert case.correct(blend).all()


def test_the_area_counts_ties_half():
    assert _area(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("enrolment", [], ["| 3 | "]),
        ("enrolment", ["--hidden", "2"], ["| learned from the other signers | "]),
        ("rejection", ["--hidden", "2"], ["| energy + nearest | ", "| 0.99 | "]),
    ],
)
def test_a_benchmark_prints_its_table(tmp_path, name, options, rows):
    raw = (f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store")
    command = [sys.executable, "-m", f"benchmarks.{name}", "--folder", str(tmp_path), *options]
    done = subprocess.run(
        [*command, *SMALL, *raw], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(row in done.stdout for row in rows)
