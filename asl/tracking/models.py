"""MLflow's Models tab: what a run kept and what was exported of it, with metrics and clips."""

import re
import time
from collections.abc import Mapping

from mlflow.entities import LoggedModelOutput, Metric

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.tracking.inputs import CONTEXTS, part_digest
from asl.tracking.run import TrackedRun


def record_model(
    run: TrackedRun,
    kind: str,
    metrics: Mapping[str, float],
    data: str,
    store: ClipStore,
    split: Split,
    params: Mapping[str, object] | None = None,
    step: int = 0,
) -> None:
    """Log a model of a run and its metrics, each with the clips that it was measured on.

    Args:
        run: the run, whose artifacts hold the files.
        kind: `checkpoint`, or the variant of an exported file.
        metrics: by name; `test/accuracy` and `float16/test/accuracy` are of the test clips.
        data: name of the data set.
        store: its packed clips.
        split: their parts.
        params: what was chosen.
        step: MLflow's.
    """
    client = run.client
    experiment = client.get_run(run.id).info.experiment_id
    model = client.create_logged_model(
        experiment,
        name=re.sub(r"[^\w-]", "-", f"{run.name}-{kind}"),
        source_run_id=run.id,
        params={key: str(value)[:500] for key, value in (params or {}).items()},
        model_type=kind,
    )
    digests = {
        part: part_digest(store, rows) for part in CONTEXTS if len(rows := getattr(split, part))
    }
    now = int(time.time() * 1000)
    batch = []
    for name, value in metrics.items():
        digest = next((digests[part] for part in name.split("/") if part in digests), None)
        clips = (data, digest) if digest else (None, None)
        batch.append(Metric(name, float(value), now, step, model.model_id, *clips))
    client.log_batch(run.id, metrics=batch)
    client.log_outputs(run.id, [LoggedModelOutput(model.model_id, step)])
    client.finalize_logged_model(model.model_id, "READY")
