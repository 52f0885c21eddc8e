"""Training that starts from another run's network, for other signs or other signers."""

from collections.abc import Mapping
from typing import Any

from asl.clips.split import Split
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.recognizer.recognizer import Recognizer
from asl.runs.load import LoadedRun, leakage, load_run
from asl.runs.plan import DEFAULTS, RunPlan, current_config
from asl.tracking.find import run_config
from asl.tracking.store import Tracker

# Parts of a spec that decide the network's input: its weights fit no other one.
INPUT_PARTS = ("landmarks", "handedness", "impute", "scaler", "features")


def initial_run(plan: RunPlan, tracker: Tracker, store: ClipStore, split: Split) -> LoadedRun:
    """The run that a plan names as `init_from`, checked against what is going to be trained.

    Raises:
        UserError: there is no such run, its network has other inputs, or it was trained on clips
            or signers that are tested here.
    """
    key = f"init_from={plan.init_from}"
    found = load_run(str(plan.init_from), tracker)
    config = current_config(run_config(tracker, found.run.run_id))
    for part in INPUT_PARTS:
        theirs, ours = config.get(part, DEFAULTS.get(part)), plan.recognizer.get(part, {})
        if theirs and theirs != ours:
            there, here = _difference(theirs, ours)
            raise UserError(
                f"{key}: its {part} differ: {there} there, but {here} here; choose the same"
            )
    if leaks := leakage(found, store, split.test, "test"):
        raise UserError(
            f"{key}: it has seen of the test: {'; '.join(leaks)}; choose a run that holds out the "
            "same signers, or split.test=none"
        )
    return found


def start_from(recognizer: Recognizer, found: LoadedRun) -> str:
    """Copy a run's network into a new recognizer, and its head where the signs are the same.

    Returns:
        What was copied, in words.

    Raises:
        UserError: the networks differ.
    """
    source = found.recognizer
    weights = source.backbone.state_dict()
    if _shapes(weights) != _shapes(recognizer.backbone.state_dict()):
        chosen = {k: v for k, v in found.run.params.items() if k.partition(".")[0] == "model"}
        typed = " ".join(f"{key}={value}" for key, value in chosen.items())
        raise UserError(f"init_from={found.run.name}: its network is another one; choose {typed}")
    recognizer.backbone.load_state_dict(weights)
    head = source.head.state_dict()
    if source.signs != recognizer.signs or _shapes(head) != _shapes(recognizer.head.state_dict()):
        known = len(set(source.signs) & set(recognizer.signs))
        return f"the network of {found.run.name}; the head is new ({known} of its signs are here)"
    recognizer.head.load_state_dict(head)
    return f"network and head of {found.run.name}"


def _shapes(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in weights.items()}


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, str]:
    """The first key in which two parts of a spec differ, with its value in each."""
    key = next(key for key in (*one, *other) if one.get(key) != other.get(key))
    return f"{key}={one.get(key)}", f"{key}={other.get(key)}"
