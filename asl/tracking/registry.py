"""Exports as versions of a registered model; the best of one protocol is its champion."""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.pyfunc import save_model
from mlflow.types import ColSpec, DataType, Schema, TensorSpec

from asl.errors import UserError
from asl.native import silent_stderr
from asl.tracking.find import download
from asl.tracking.found import CHOOSING_METRICS, PROTOCOL, FoundRun
from asl.tracking.store import Tracker
from asl.tracking.tags import RETRAINED, RETRAINED_SPLIT

CHAMPION = "champion"
NAME = re.compile(r"[\w.+-]+")
SCHEME = "models:/"
SERVED = Path(__file__).with_name("served.py")
REQUIREMENTS = ("ai-edge-litert", "numpy")  # MLflow adds itself

REPORTED = ("test/accuracy", "test/f1", "crossval/accuracy", "holdout/accuracy", "holdout/f1")
OUT_OF_FOLD = "crossval/f1"  # of a recipe whose every signer was held out once
SHARED_SIGNERS = " (of signers that are trained on)"
FILE = "file"  # tag: the .tflite among the artifacts of the version's run


def check_name(name: str) -> None:
    """Raises UserError where a registered model can't be called so."""
    if not NAME.fullmatch(name):
        raise UserError(f"export.register={name}: choose a name of letters, digits and . _ + -")


@dataclass(frozen=True)
class Registered:
    """A new version of a registered model.

    Attributes:
        name: of the model.
        version: its number.
        champion: whether it is the champion now.
        why: as the end of a sentence.
    """

    name: str
    version: str
    champion: bool
    why: str


def register(
    tracker: Tracker,
    run: FoundRun,
    name: str,
    tflite: Path,
    example: np.ndarray,
    force: bool = False,
) -> Registered:
    """Make an exported file a new version of a registered model.

    The version is a pyfunc (`asl.tracking.served`) among the artifacts of the run. It becomes the
    champion if there is none, if its run is better than the champion's on the same protocol, or by
    force. Better is decided as `run=best` is, by validation; test numbers are tags to read. Only a
    final model (`asl.runs.retrain`) has out-of-fold figures instead, which count more.

    Args:
        tracker: the store.
        run: that the file was exported from.
        name: of the registered model, which is made if absent.
        tflite: the file, its labels inside.
        example: a clip, float32 [n, N, 3], of which the model keeps two frames.
        force: make it the champion whatever it is.

    Raises:
        UserError: the name is not one.
    """
    check_name(name)
    client = tracker.client
    digest = hashlib.sha256(tflite.read_bytes()).hexdigest()[:8]
    folder = f"registered/{digest}"  # of its own: a later export of the run leaves it as it is
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "model"
        with silent_stderr():
            _save(made, tflite, example[:2])
        client.log_artifacts(run.run_id, str(made), folder)
    tracker.work.mkdir(parents=True, exist_ok=True)
    with FileLock(tracker.work / "registry.lock"):  # of two exports at once the better one wins
        _ensure(client, name)
        version = client.create_model_version(
            name,
            source=f"{client.get_run(run.run_id).info.artifact_uri}/{folder}",
            run_id=run.run_id,
            tags=_tags(run, tflite.stem) | {FILE: f"{folder}/artifacts/{tflite.name}"},
            description=f"{tflite.name} of run {run.name}",
        )
        champion, why = _verdict(client, name, version, force)
        if champion:
            client.set_registered_model_alias(name, CHAMPION, version.version)
    return Registered(name, str(version.version), champion, why)


def registered_file(tracker: Tracker, address: str) -> Path:
    """The .tflite of a registered model.

    Args:
        tracker: the store.
        address: `models:/NAME@ALIAS` or `models:/NAME/VERSION`, as MLflow writes it.

    Raises:
        UserError: there is no such model or version; lists those there are.
    """
    name, alias, number = _parts(address)
    client = tracker.client
    try:
        model = client.get_registered_model(name)
    except MlflowException:
        known = [model.name for model in client.search_registered_models()]
        listed = f"choose from {', '.join(known)}" if known else "`asl export` registers one"
        raise UserError(f"{address}: there is no registered model {name}; {listed}") from None
    found = client.search_model_versions(f"name='{name}'")
    versions = {str(version.version): version for version in found}
    if not versions:
        raise UserError(f"{address}: {name} has no versions; `asl export` registers one")
    version = versions.get(str(model.aliases.get(alias)) if alias else number)
    if version is None:
        what = (
            f"has no {alias}" if alias else f"has no version {number}" if number else "has versions"
        )
        choices = [f"{SCHEME}{name}@{known}" for known in sorted(model.aliases)]
        choices += [f"{SCHEME}{name}/{known}" for known in sorted(versions, key=int)]
        raise UserError(f"{address}: {name} {what}; choose from {', '.join(choices)}")
    if FILE not in version.tags:
        raise UserError(f"{address}: version {version.version} is not of `asl export`")
    return download(tracker, str(version.run_id), version.tags[FILE])


def _save(path: Path, tflite: Path, example: np.ndarray) -> None:
    """Write the pyfunc, which MLflow tries on the example."""
    save_model(
        path,
        python_model=str(SERVED),
        artifacts={"tflite": str(tflite)},
        signature=ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *example.shape[1:]))]),
            outputs=Schema(
                [ColSpec(DataType.string, "sign"), ColSpec(DataType.double, "probability")]
            ),
        ),
        input_example=np.asarray(example, np.float32),
        pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
    )


def _ensure(client: MlflowClient, name: str) -> None:
    """Make the registered model where there is none yet."""
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def _tags(run: FoundRun, variant: str) -> dict[str, str]:
    metrics = (*CHOOSING_METRICS, OUT_OF_FOLD, *REPORTED)
    kept = (*PROTOCOL, RETRAINED, RETRAINED_SPLIT)
    return (
        {"run": run.name, "variant": variant.removeprefix("model_")}
        | {key: run.tags[key] for key in kept if key in run.tags}
        | {"val_signer_independent": str(run.val_signer_independent).lower()}
        | {key: f"{run.metrics[key]:.6f}" for key in metrics if key in run.metrics}
    )


# --- the champion -------------------------------------------------------------------------------


def _verdict(
    client: MlflowClient, name: str, version: ModelVersion, force: bool
) -> tuple[bool, str]:
    """Whether a version becomes the champion, and why."""
    holder = client.get_registered_model(name).aliases.get(CHAMPION)
    if holder is None:
        return True, "there was none"
    champion = client.get_model_version(name, str(holder))
    who = f"version {holder} ({champion.tags.get('run', 'no run')})"
    if force:
        return True, f"by force, instead of {who}"
    better, why = _better(version.tags, champion.tags)
    return better, f"{why}; before it {who}" if better else f"{why}; it stays {who}"


def _better(new: Mapping[str, str], old: Mapping[str, str]) -> tuple[bool, str]:
    """Whether a version's tags say that it is better than another, and why or why not."""
    if OUT_OF_FOLD in new or OUT_OF_FOLD in old:
        return _better_out_of_fold(new, old)
    if reason := _differing(new, old, PROTOCOL):
        return False, reason
    metric = next((m for m in CHOOSING_METRICS if m in new and m in old), None)
    if metric is None:
        return False, f"no number compares: no {' or '.join(CHOOSING_METRICS)} of both"
    ours, theirs = float(new[metric]), float(old[metric])
    shared = "" if new.get("val_signer_independent") != "false" else SHARED_SIGNERS
    return ours > theirs, f"{metric} {ours:.4f} against {theirs:.4f}{shared}"


def _better_out_of_fold(new: Mapping[str, str], old: Mapping[str, str]) -> tuple[bool, str]:
    """Compare by figures of held-out signers; a version that has them is better than one without.

    They hold for another recognizer of the same recipe, which was trained on fewer signers.
    """
    if reason := _differing(new, old, ("data", "data.fingerprint")):
        return False, reason
    if OUT_OF_FOLD not in old:
        return True, f"{OUT_OF_FOLD} {float(new[OUT_OF_FOLD]):.4f}, and the other was tested less"
    if OUT_OF_FOLD not in new:
        return False, f"{OUT_OF_FOLD} {float(old[OUT_OF_FOLD]):.4f} of the other, and none of this"
    if new.get(RETRAINED_SPLIT) != old.get(RETRAINED_SPLIT):
        splits = f"{new.get(RETRAINED_SPLIT)}, there {old.get(RETRAINED_SPLIT)}"
        return False, f"no number compares: the cross-validation was {splits}"
    ours, theirs = float(new[OUT_OF_FOLD]), float(old[OUT_OF_FOLD])
    return ours > theirs, f"{OUT_OF_FOLD} {ours:.4f} against {theirs:.4f}"


def _differing(new: Mapping[str, str], old: Mapping[str, str], keys: Iterable[str]) -> str:
    """Which part of the protocol two versions differ in; empty where they compare."""
    for key in keys:
        if new.get(key) != old.get(key):
            what = f"{PROTOCOL[key]} was {new.get(key)}, there {old.get(key)}"
            return f"no number compares: {what}"
    return ""


def _parts(address: str) -> tuple[str, str, str]:
    """Name, alias and version; the two that are not said are empty."""
    name, _, alias = address.removeprefix(SCHEME).partition("@")
    name, _, number = name.partition("/")
    return name, alias, number
