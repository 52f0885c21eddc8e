"""The view of MLflow's UI, prepared: the columns and the curves that people compare runs by."""

import json

from asl.tracking.curves import AVERAGED, MINUS, PLUS
from asl.tracking.store import Tracker

KEY = "asl"  # of the shared view, which the UI opens by its address
COLUMNS = (
    *(f"params.`{name}`" for name in ("data", "model", "scaler")),
    "tags.`split`",
    *(f"metrics.`{part}/{name}`" for part in ("test", "val") for name in ("accuracy", "f1")),
)
SECTION = "asl-curves"
# Charts of the view, which MLflow draws above those that it makes itself: one for each curve, with
# the mean and the band of cross-validations and seeds (`asl.tracking.curves`) in it.
CHARTS = [
    {
        "type": "LINE",
        "uuid": f"{SECTION}-{number}",
        "metricSectionId": SECTION,
        "metricKey": metric,
        "selectedMetricKeys": [metric, f"{metric}{MINUS}", f"{metric}{PLUS}"],
        "runsCountToCompare": 10,
        "deleted": False,
        "isGenerated": False,
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "xAxisKey": "step",
        "selectedXAxisMetricKey": "",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "lineSmoothness": 0,
        "range": {},
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
    for number, metric in enumerate(AVERAGED)
]
VIEW = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "modelVersionFilter": "All Runs",
    "datasetsFilter": [],
    "selectedColumns": list(COLUMNS),
    "isAccordionReordered": True,  # else MLflow sorts the sections by name
    "compareRunCharts": CHARTS,
    "compareRunSections": [
        {
            "uuid": SECTION,
            "name": "Curves, with the band of folds and seeds",
            "display": True,
            "isReordered": False,
            "deleted": False,
            "isGenerated": False,
        }
    ],
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
