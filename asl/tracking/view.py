"""The run table of MLflow's UI, prepared: the columns that people compare runs by."""

import json

from asl.tracking.store import Tracker

KEY = "asl"  # of the shared view, which the UI opens by its address
COLUMNS = (
    *(f"params.`{name}`" for name in ("data", "model", "scaler")),
    "tags.`split`",
    *(f"metrics.`{part}/{name}`" for part in ("test", "val") for name in ("accuracy", "f1")),
)
VIEW = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "modelVersionFilter": "All Runs",
    "datasetsFilter": [],
    "selectedColumns": list(COLUMNS),
}


def prepare_view(tracker: Tracker) -> str:
    """Set the shared view on the experiment, and return the path that opens it."""
    tags = {
        f"mlflow.sharedViewState.{KEY}": json.dumps(VIEW),
        "mlflow.experimentKind": "custom_model_development",  # otherwise the UI asks for it
    }
    for name, value in tags.items():
        tracker.client.set_experiment_tag(tracker.experiment_id, name, value)
    query = f"viewStateShareKey={KEY}&workflowType=machine_learning"
    return f"/#/experiments/{tracker.experiment_id}/runs?{query}"
