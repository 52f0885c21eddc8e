"""The `asl` command. Nothing heavy is imported until a subcommand needs it."""

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from asl.addresses import without_passwords
from asl.paths import PROJECT
from asl.terminal import printable

TERMINATED = 128 + signal.SIGTERM  # exit status, as a shell has it
MATPLOTLIB = PROJECT / "data" / "matplotlib"

COMMANDS = {
    "download": (
        "asl.commands.download",
        "fetch a public data set, check it and put it where prepare looks",
    ),
    "record": ("asl.commands.record", "record clips of one's own signs in a page in the browser"),
    "landmarks": (
        "asl.commands.landmarks",
        "find the landmarks in videos: clips that predict and prepare read",
    ),
    "prepare": (
        "asl.commands.prepare",
        "pack raw clips into a store that training reads at full speed",
    ),
    "eda": ("asl.commands.eda", "report what is in the data, and which clips look wrong"),
    "show": ("asl.commands.show", "draw a clip: a page that plays it, a strip or a GIF"),
    "train": ("asl.commands.train", "train a run; with -m, one for every combination of choices"),
    "crossval": ("asl.commands.crossval", "train and test every fold of a split"),
    "sweep": ("asl.commands.sweep", "search hyperparameters; the same command resumes"),
    "retrain": ("asl.commands.retrain", "train a measured run's choices on all signers"),
    "ensemble": ("asl.commands.ensemble", "make one recognizer of several runs"),
    "leaderboard": (
        "asl.commands.leaderboard",
        "rank every network on every public data set, signers held out",
    ),
    "compare": ("asl.commands.compare", "compare runs or files on the same clips, with a test"),
    "runs": ("asl.commands.runs", "list tracked runs, best first"),
    "clean": ("asl.commands.clean", "list or remove checkpoints that nobody needs any more"),
    "export": ("asl.commands.export", "turn a run into verified ONNX and TFLite files"),
    "evaluate": ("asl.commands.evaluate", "measure a run or a .tflite on a split"),
    "predict": ("asl.commands.predict", "name the signs in clips with a .tflite"),
    "enrol": ("asl.commands.enrol", "teach a .tflite a person's signing, or a new sign"),
    "spot": ("asl.commands.spot", "find the signs in long videos: files for ELAN and tables"),
    "page": ("asl.commands.page", "recognise signs in a page in the browser, from the camera"),
    "ui": ("asl.commands.ui", "open the MLflow UI on the tracked runs"),
    "completion": ("asl.commands.completion", "print the shell code for tab completion"),
}


def main() -> None:
    """Run `asl COMMAND …` and exit with 0, with 2 for a user's mistake, with 1 for a failure."""
    sys.excepthook = _print_traceback
    received: list[int] = []

    def terminate(number: int, frame: object) -> None:
        if not received:  # once: a second SIGTERM may not interrupt what the first one ends
            received.append(number)
            sys.exit(TERMINATED)

    signal.signal(signal.SIGTERM, terminate)
    status = run(sys.argv[1:])
    sys.exit(TERMINATED if received else status)


def _print_traceback(*exception: Any) -> None:
    text = "".join(traceback.format_exception(*exception))
    print(printable(without_passwords(text)), end="", file=sys.stderr)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status; a mistake becomes one sentence on stderr."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"asl: {printable(name)}: choose from {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra would print and exit by itself
    os.environ.setdefault("MPLCONFIGDIR", str(MATPLOTLIB))  # its font cache goes to the home else
    from asl.errors import UserError, disk_failure

    try:
        status = importlib.import_module(COMMANDS[name][0]).main(rest)
    except UserError as error:
        print(f"asl {name}: {printable(without_passwords(str(error)))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"asl {name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `asl runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if failure := disk_failure(error):
            print(f"asl {name}: {printable(failure)}", file=sys.stderr)
            return 1
        sentence = _hydra_sentence(error)
        if sentence is None:
            raise
        print(f"asl {name}: {printable(without_passwords(sentence))}", file=sys.stderr)
        return 2
    return int(status or 0)


def usage() -> str:
    """The overview that `asl --help` prints."""
    width = max(len(name) for name in COMMANDS)
    lines = [f"  asl {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "Isolated sign recognition from body landmarks: train, sweep, compare, export.",
            "",
            *lines,
            "",
            "Choices are Hydra's: asl train model=lstm scaler=standard seed=1.",
            "`asl COMMAND --help` lists a command's choices.",
        ]
    )


def _hydra_sentence(error: Exception) -> str | None:
    """One sentence for an error that Hydra raises for an override; None for any other error."""
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={choice}: choose from {', '.join(error.options)}"
    if isinstance(error, HydraException | OmegaConfBaseException):
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return " ".join(lines[:2])
    return None
