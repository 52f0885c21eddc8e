"""Cross-validations are paired by the names of their test signers, whatever these are."""

import pandas as pd
import pytest

from asl.runs.compare import compare_crossvals
from asl.tracking.multirun import JobResult
from asl.tracking.record import record_table
from asl.tracking.run import tracked_run
from asl.tracking.store import open_tracker

TAGS = {"data": "mine", "data.fingerprint": "f", "split": "s", "val_protocol": "v"}
SIGNERS = ["NA", "null", "nan", "1e3", "007", "a b"]


def test_signers_are_paired_by_names_that_pandas_takes_for_missing(tmp_path):
    tracker = open_tracker({"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    jobs = []
    for number, model in enumerate(("cnn", "gru")):
        with tracked_run(tracker, model, TAGS) as run:
            rows = [
                {"signers": signer, "seed": 0, "accuracy": 0.1 * fold + 0.2 * number, "f1": 0.5}
                for fold, signer in enumerate(SIGNERS)
            ]
            record_table(run, pd.DataFrame(rows), "folds.csv")
            tracker.client.log_param(run.id, "model", model)
        jobs.append(JobResult(number, [f"model={model}"], run.id))
    (table,) = compare_crossvals(tracker, jobs, "asl crossval").tables.values()
    assert table["pairs"].tolist() == [0, len(SIGNERS)]
    assert table["difference"][1] == pytest.approx(0.2)
    assert table["difference_error"][1] == pytest.approx(0, abs=1e-9)
