"""A store that was moved goes on where it is now."""

from pathlib import Path

from asl.tracking.find import download
from asl.tracking.run import tracked_run
from asl.tracking.store import open_tracker


def artifact(tracker, name):
    with tracked_run(tracker, name, {}) as run:
        tracker.client.log_text(run.id, name, "note.txt")
    return run.id


def test_a_moved_store_writes_and_finds_artifacts_beside_its_database(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    before = artifact(open_tracker({"uri": f"sqlite:///{old}/mlflow.db"}), "before")
    old.rename(new)
    tracker = open_tracker({"uri": f"sqlite:///{new}/mlflow.db"})
    after = artifact(tracker, "after")
    assert not old.exists()
    for run_id, text in ((before, "before"), (after, "after")):
        assert download(tracker, run_id, "note.txt").read_text() == text
        mlflows = tracker.client.download_artifacts(run_id, "note.txt", str(tmp_path))
        assert Path(mlflows).read_text() == text
