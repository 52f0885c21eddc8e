"""The parent run of a Hydra multirun."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from asl.tracking.store import Tracker


def open_parent(tracker: Tracker, overrides: Sequence[str], tags: Mapping[str, str]) -> str:
    """Open a run that stands for a whole multirun and return its id."""
    name = f"multirun-{datetime.now():%m%d-%H%M%S}"
    described = {"kind": "multirun", "overrides": " ".join(overrides), **tags}
    run = tracker.client.create_run(tracker.experiment_id, tags=described, run_name=name)
    return str(run.info.run_id)


def close_parent(tracker: Tracker, run_id: str, metric: str) -> str:
    """End the parent: FINISHED if all children are, else FAILED; say which child is best.

    The child is chosen by a validation metric, never by test numbers.
    """
    client = tracker.client
    children = client.search_runs(
        [tracker.experiment_id], f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}'"
    )
    finished = [child for child in children if child.info.status == "FINISHED"]
    status = "FINISHED" if finished and len(finished) == len(children) else "FAILED"
    client.set_tag(run_id, "children", str(len(children)))
    measured = [child for child in finished if metric in child.data.metrics]
    client.set_terminated(run_id, status)
    if not measured:
        return ""
    sign = -1 if metric.endswith("loss") else 1
    best = max(measured, key=lambda child: sign * child.data.metrics[metric])
    value = best.data.metrics[metric]
    client.set_tag(run_id, "best_child", best.info.run_id)
    client.log_metric(run_id, metric, value)
    return f"  best of {len(children)} by {metric}: {best.info.run_name} {value:.4f}"
