"""Reading strangers' files in a process of its own.

LiteRT and the readers of clips are native code, which a file from elsewhere may crash. So they run
in `python -m MODULE`, which is given a request on its input and answers in JSON lines: `usable`
once the model is open, one answer a file, before it any number with `progress`, and `fault` where
the user made a mistake. Where it dies at a file, another process does the rest.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from asl.errors import UserError
from asl.paths import PACKAGE

_CRASH = "LiteRT crashes on this file"


def answers(
    module: str, model_path: str | Path, paths: Sequence[str | Path], *options: Any
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each file with its answer, in their order; `problem` where there is none.

    Args:
        module: that is run; its `main` calls `serve`.
        model_path: a .tflite.
        paths: of the files; without any, only the model is tried.
        options: further ones of what the module serves, as JSON has them.

    Raises:
        UserError: the model cannot be used, or LiteRT crashes on it.
    """
    rest = [str(path) for path in paths]
    usable = False
    while rest or not usable:
        for answer in _lines(module, [str(model_path), list(rest), *options]):
            if "fault" in answer:
                raise UserError(answer["fault"])
            if "usable" in answer:
                usable = True
                if not rest:
                    return
            elif "progress" in answer:
                yield rest[0], answer
            elif "crash" not in answer:
                yield rest.pop(0), answer
            elif not usable:
                raise UserError(f"{model_path}: {_CRASH} ({answer['crash']})")
            elif rest:
                what = f"crashed the process that read and recognised it ({answer['crash']})"
                yield rest.pop(0), {"problem": what}


def _lines(module: str, request: list[Any]) -> Iterator[dict[str, Any]]:
    """The answers of one process, the last of which is `fault` or `crash` where it fails."""
    # Without -P the process would import modules from the working folder, a stranger's perhaps.
    command = [sys.executable, "-P", "-m", module]
    places = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(places)},
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            json.dump(request, process.stdin)
            process.stdin.close()
            yield from map(json.loads, process.stdout)
        finally:
            if sys.exc_info()[0] is not None:
                process.kill()
    if status := process.returncode:
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        yield {"crash": name}


def serve(answer: Callable[..., Iterable[dict[str, Any]]]) -> None:
    """Answer the request on stdin: `answer` is given the model, the files and the options."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # native code may print
    request = json.load(sys.stdin)
    try:
        for each in answer(*request):
            print(json.dumps(each), file=out, flush=True)
    except UserError as fault:
        print(json.dumps({"fault": str(fault)}), file=out, flush=True)


def reason(error: Exception) -> str:
    """What is wrong with a file, as the end of a sentence."""
    if isinstance(error, OSError):
        return error.strerror or "cannot be read"
    text = str(getattr(error, "reason", error)) or type(error).__name__
    return text.splitlines()[0]
