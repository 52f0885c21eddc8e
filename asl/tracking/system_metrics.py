"""CPU, memory, disk, network and GPU of a run, by MLflow's own monitor."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from asl.tracking.run import TrackedRun

SECONDS = 10  # between two samples


@contextmanager
def system_metrics(run: TrackedRun) -> Iterator[None]:
    """Log the machine's load as `system/…` while the block runs; a short one leaves no sample."""
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    uri = run.client.tracking_uri
    monitor = SystemMetricsMonitor(run.id, SECONDS, resume_logging=True, tracking_uri=uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
