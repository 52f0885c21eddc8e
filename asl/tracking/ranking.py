"""Which of two runs has the better metric."""

import math
from collections.abc import Mapping, Sequence

# The last parts of metrics' names of which the smallest is the best; deviations are, too.
SMALLER_IS_BETTER = (
    "loss", "smoothed_loss", "ece", "ece_calibrated", "size", "latency", "parameters",
    "fit_seconds",
)  # fmt: skip


def rank(metrics: Mapping[str, float], wanted: Sequence[str]) -> tuple[int, float]:
    """Sort key, best run first, by the first of the wanted metrics that is finite; others last."""
    for place, name in enumerate(wanted):
        if math.isfinite(value := metrics.get(name, math.nan)):
            return place, value if smaller_is_better(name) else -value
    return len(wanted), 0.0


def smaller_is_better(metric: str) -> bool:
    """Whether the smallest value of a metric is the best."""
    return metric.rpartition("/")[2] in SMALLER_IS_BETTER or "_std_" in metric
