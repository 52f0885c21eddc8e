"""Lightning's metrics into an open MLflow run.

Lightning's own MLFlowLogger also decides the run's status, copies checkpoints and logs parameters;
here the run has one owner (`asl.tracking.run`), so only metrics pass.
"""

from typing import Any

from pytorch_lightning.loggers import Logger

from asl.tracking.record import log_metrics
from asl.tracking.run import TrackedRun

CURVE = "curve/"


class EpochLogger(Logger):
    """Writes every epoch's metrics, the first at MLflow's step 1.

    Those of validation get the prefix `curve/`: `val/…` is what the kept epoch measures, and would
    otherwise stand at the end of the curve as a point of no epoch.
    """

    def __init__(self, run: TrackedRun) -> None:
        super().__init__()
        self._run = run

    @property
    def name(self) -> str:
        """The run's name."""
        return self._run.name

    @property
    def version(self) -> str:
        """The run's id."""
        return self._run.id

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: what was chosen is recorded once, before training."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log in one request; Lightning passes the epoch among the metrics."""
        epoch = int(metrics.get("epoch", step or 0))
        curves = {
            f"{CURVE}{name}" if name.startswith("val/") else name: value
            for name, value in metrics.items()
            if name != "epoch"
        }
        log_metrics(self._run, curves, epoch + 1)


def has_former_curves(run: TrackedRun) -> bool:
    """Whether version 0.1 began the run: its validation curves have the names of the results.

    These have to stand behind the curves then, as MLflow shows the value of the last step.
    """
    return any(name.startswith("val/") for name in run.client.get_run(run.id).data.metrics)
