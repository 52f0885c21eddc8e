"""Lightning's metrics into an open MLflow run.

Lightning's own MLFlowLogger also decides the run's status, copies checkpoints and logs parameters;
here the run has one owner (`asl.tracking.run`), so only metrics pass.
"""

from typing import Any

from pytorch_lightning.loggers import Logger

from asl.tracking.record import log_metrics
from asl.tracking.run import TrackedRun


class EpochLogger(Logger):
    """Writes every epoch's metrics, the epoch being MLflow's step."""

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
        log_metrics(self._run, {k: v for k, v in metrics.items() if k != "epoch"}, epoch)
