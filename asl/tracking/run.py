"""One owner of an MLflow run: here, and nowhere else, it opens and gets its true end."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from asl.tracking.store import Tracker


@dataclass(frozen=True)
class TrackedRun:
    """An open run; what it records goes through `client` under `id`."""

    client: MlflowClient
    id: str
    name: str
    work: Path


@contextmanager
def tracked_run(
    tracker: Tracker,
    name: str,
    tags: Mapping[str, str],
    parent: str | None = None,
    resume: str | None = None,
) -> Iterator[TrackedRun]:
    """Open a run, or go on with one, and give it its true end.

    Leaving by an exception makes it FAILED with the traceback as artifact; Ctrl-C or a termination
    makes it KILLED.

    Args:
        tracker: the store.
        name: readable name; a new run's gets the first characters of its id.
        tags: what the run is about.
        parent: the run that this one belongs under.
        resume: id of a run to go on with.
    """
    client = tracker.client
    if resume:
        run = client.get_run(resume)
        client.update_run(resume, status="RUNNING")
    else:
        run = create_run(tracker, name, tags, parent)
    run_id = run.info.run_id
    tracked = TrackedRun(client, run_id, run.info.run_name or name, tracker.work / run_id)
    try:
        yield tracked
    except Exception:
        client.log_text(run_id, traceback.format_exc(), "traceback.txt")
        client.set_terminated(run_id, "FAILED")
        raise
    except BaseException:  # KeyboardInterrupt, or the SystemExit that Lightning makes of it
        client.set_terminated(run_id, "KILLED")
        raise
    client.set_terminated(run_id, "FINISHED")


def create_run(
    tracker: Tracker, name: str, tags: Mapping[str, str], parent: str | None = None
) -> Run:
    """A new run; its name gets the first characters of its id."""
    link = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
    run = tracker.client.create_run(tracker.experiment_id, tags={**tags, **link}, run_name=name)
    full = f"{name}-{run.info.run_id[:4]}"
    tracker.client.set_tag(run.info.run_id, MLFLOW_RUN_NAME, full)
    return tracker.client.get_run(run.info.run_id)
