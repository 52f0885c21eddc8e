"""`asl clean` removes what nobody needs, and nothing else."""

import pytest

from asl.cli import run as asl
from asl.errors import UserError
from asl.runs.load import kept_checkpoint
from asl.tracking.clean import removable, remove
from asl.tracking.find import best_run, find_run


@pytest.fixture
def keep(add, tracker):
    """Adds a run that keeps a checkpoint of as many bytes, and gives its id."""

    def keep(name, size=100, status="FINISHED", f1=0.5, params=(), **tags):
        run = add(name, {"val/f1": f1}, params=params, **tags)
        tracker.client.set_terminated(run.id, status)
        folder = tracker.artifacts / run.id / "artifacts" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "best.ckpt").write_bytes(bytes(size))
        return run.id

    return keep


def test_only_what_nobody_needs_is_removed(keep, tracker, capsys):
    best = keep("best", f1=0.9)
    first = keep("first", 200, params={"model": "cnn"})
    again = keep("again", params={"model": "cnn"})
    failed, killed = (keep(status, status=status) for status in ("FAILED", "KILLED"))
    pruned = keep("pruned", pruned="too low")
    registered = keep("registered", params={"model": "gru"})
    newer = keep("newer", params={"model": "gru"})
    tracker.client.create_registered_model("mine")
    tracker.client.create_model_version("mine", "nowhere", run_id=registered)
    tracker.folder(killed).mkdir(parents=True)
    (tracker.folder(killed) / "last.ckpt").write_bytes(bytes(50))

    found = removable(tracker)

    assert [each.run.run_id for each in found][:2] == [first, killed]
    assert {each.run.run_id: each.size for each in found} == {
        first: 200,
        killed: 150,
        failed: 100,
        pruned: 100,
    }
    assert found[0].reason.startswith("superseded by again")
    remove(tracker, found)
    assert not removable(tracker)
    assert not tracker.folder(killed).exists()
    for run in (best, again, registered, newer):
        assert kept_checkpoint(find_run(tracker, run), tracker).is_file()
    with pytest.raises(UserError, match="`asl clean` removed its checkpoint"):
        kept_checkpoint(find_run(tracker, first), tracker)
    assert best_run(tracker, None, None, None).run_id == best


def test_what_is_superseded_by_nobody_any_more_is_left_alone(keep, tracker):
    keep("best", f1=0.9, params={"model": "gru"})
    older = keep("older", params={"model": "cnn"})
    newer = keep("newer", params={"model": "cnn"})
    remove(tracker, removable(tracker))
    tracker.client.delete_run(newer)
    assert older not in {each.run.run_id for each in removable(tracker)}


def test_the_best_stays_though_it_is_superseded(keep, tracker):
    keep("best", f1=0.9)
    keep("again", f1=0.4)
    assert not removable(tracker)


def test_nothing_is_removed_unless_it_is_said(keep, tracker, uri, request, capsys):
    run = keep("failed", 3_000_000, status="FAILED")
    tracking = [f"tracking.uri={uri}", f"tracking.experiment={request.node.name}"]
    assert asl(["clean", *tracking]) == 0
    printed = capsys.readouterr().out
    assert "checkpoints not needed: 3.00 MB of 1 runs; nothing was removed" in printed
    assert removable(tracker)
    assert asl(["clean", "--remove", *tracking]) == 0
    assert "removed: 3.00 MB of 1 runs" in capsys.readouterr().out
    assert not (tracker.artifacts / run / "artifacts" / "checkpoints").exists()
    assert asl(["clean", *tracking]) == 0
    assert "checkpoints not needed: 0.00 MB of 0 runs" in capsys.readouterr().out


def test_what_cannot_be_removed_is_not_said_to_be(keep, tracker, uri, request, capsys, monkeypatch):
    run = keep("failed", 3_000_000, status="FAILED")
    tracking = [f"tracking.uri={uri}", f"tracking.experiment={request.node.name}"]

    def read_only(path, **_):
        raise OSError(30, "Read-only file system", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("os.unlink", read_only)
        assert asl(["clean", "--remove", *tracking]) == 1
    printed = capsys.readouterr()
    assert "removed" not in printed.out
    assert printed.err == "asl clean: best.ckpt: Read-only file system\n"
    assert asl(["clean", "--remove", *tracking]) == 0  # goes on
    assert "removed: 3.00 MB of 1 runs" in capsys.readouterr().out
    assert not (tracker.artifacts / run / "artifacts" / "checkpoints").exists()
