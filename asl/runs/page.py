"""The file of a run that the page in the browser runs."""

import contextlib
from pathlib import Path

from asl.errors import UserError
from asl.export.variants import FIXED
from asl.page.build import EXPORT, Recognizer, open_recognizer
from asl.tracking.find import download, named_run
from asl.tracking.store import Tracker

_FOLDER = "export"  # of a run's artifacts
_PREFERRED = ("float16", "float32")  # as exact, and half as much to load


def recognizer_of_run(
    name: str,
    tracker: Tracker,
    *,
    metric: str | None = None,
    data: str | None = None,
    split: str | None = None,
) -> Recognizer:
    """The file of a run's export that reads a fixed number of frames.

    Args:
        name: id or name of the run, or `best`, which is by the other arguments as in
            `asl.runs.load.load_run`.
        tracker: the store.
        metric: what best means.
        data: name of the data set.
        split: kind of the split.

    Raises:
        UserError: there is no such run, or no such file of it.
    """
    run = named_run(name, tracker, metric, data, split)
    files: list[Path] = []
    with contextlib.suppress(UserError):
        files = list(download(tracker, run.run_id, _FOLDER).glob(f"model_*{FIXED}*.tflite"))
    if not files:
        wanted = EXPORT.replace("RUN", run.name)
        raise UserError(f"run={run.name}: has no file for browsers; `{wanted}` writes one")
    return open_recognizer(min(files, key=_preference))._replace(name=run.name)


def _preference(file: Path) -> tuple[int, float, str]:
    """Float16 before float32, then the newest."""
    variant = file.stem.removeprefix("model_").partition(FIXED)[0]
    place = _PREFERRED.index(variant) if variant in _PREFERRED else len(_PREFERRED)
    return place, -file.stat().st_mtime, file.name
