"""The mean of several runs' curves, with its deviation as a band, on the run above them.

MLflow draws no band itself (requested in its issues 3762 and 4277); three curves in one chart do.
"""

import time
from collections.abc import Sequence

import numpy as np
from mlflow.entities import Metric

from asl.tracking.find import metric_history
from asl.tracking.logger import CURVE
from asl.tracking.run import TrackedRun
from asl.tracking.store import Tracker

AVERAGED = ("train/loss", "train/f1", f"{CURVE}val/loss", f"{CURVE}val/accuracy", f"{CURVE}val/f1")
MINUS, PLUS = " minus sd", " plus sd"
BATCH = 1000  # metrics that MLflow takes in one request


def record_mean_curves(tracker: Tracker, parent: TrackedRun, runs: Sequence[str]) -> None:
    """Log mean and mean ± standard deviation of each epoch that all runs reached.

    Args:
        tracker: the store.
        parent: on which they are logged.
        runs: ids of two runs or more; with fewer nothing is logged.
    """
    if len(runs) < 2:
        return
    now = int(time.time() * 1000)
    points = []
    for metric in AVERAGED:
        for step, values in _common_steps(tracker, runs, metric).items():
            mean, deviation = float(np.mean(values)), float(np.std(values, ddof=1))
            for name, value in (
                (metric, mean),
                (f"{metric}{MINUS}", mean - deviation),
                (f"{metric}{PLUS}", mean + deviation),
            ):
                points.append(Metric(name, value, now, step))
    for start in range(0, len(points), BATCH):
        parent.client.log_batch(parent.id, metrics=points[start : start + BATCH])


def _common_steps(tracker: Tracker, runs: Sequence[str], metric: str) -> dict[int, list[float]]:
    """The values of all runs at each step that every one of them has."""
    curves = [dict(zip(*metric_history(tracker, run, metric), strict=True)) for run in runs]
    common = set.intersection(*(set(curve) for curve in curves))
    return {step: [curve[step] for curve in curves] for step in sorted(common)}
