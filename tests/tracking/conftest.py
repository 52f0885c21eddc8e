import pytest

from asl.tracking.run import tracked_run
from asl.tracking.store import open_tracker

PROTOCOL = {
    "kind": "train",
    "data": "mine",
    "data.fingerprint": "f",
    "split": "signer_holdout test=[1]",
    "split.kind": "signer_holdout",
    "val_protocol": "signers [2]",
    "val_signer_independent": "true",
    "monitor": "val/f1",
}


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('mlruns')}/mlflow.db"


@pytest.fixture
def tracker(uri, request):
    """An experiment of its own for each test: to make a database takes seconds."""
    return open_tracker({"uri": uri, "experiment": request.node.name})


@pytest.fixture
def add(tracker):
    """Adds a finished run with these metrics and tags."""

    def add(name, metrics, parent=None, params=(), **tags):
        with tracked_run(tracker, name, PROTOCOL | tags, parent) as run:
            for key, value in metrics.items():
                tracker.client.log_metric(run.id, key, value)
            for key, value in dict(params).items():
                tracker.client.log_param(run.id, key, value)
        return run

    return add
