"""The tags that say what a run's numbers hold for, and where it comes from."""

import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from asl.addresses import without_passwords
from asl.clips.split import SIGNER, Split
from asl.paths import PROJECT
from asl.tracking.found import SPLIT_BY, SPLIT_BY_DIGEST

# Of a final model: the run, cross-validation or sweep whose choices it was trained with, and the
# protocol of that one's figures.
RETRAINED, RETRAINED_ID, RETRAINED_SPLIT = "retrain.of", "retrain.of.id", "retrain.split"


def run_tags(
    kind: str,
    data: str,
    fingerprint: str,
    split: Split,
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The tags of a run, or of a group of runs.

    Args:
        kind: `train`, `ensemble`, `crossval`, `sweep`.
        data: name of the data set.
        fingerprint: of its packed clips.
        split: on which its numbers are measured.
        more: further tags, which win.
    """
    return {
        "kind": kind,
        "data": data,
        "data.fingerprint": fingerprint,
        "split": split.protocol,
        "split.kind": split.kind,
        "signer_independent": str(split.test_signer_independent).lower(),
        "val_protocol": split.val_protocol,
        "val_signer_independent": str(split.val_signer_independent).lower(),
        **({SPLIT_BY: split.by, SPLIT_BY_DIGEST: split.by_digest} if split.by != SIGNER else {}),
        **provenance_tags(),
        **(more or {}),
    }


def provenance_tags() -> dict[str, str]:
    """The git commit, whether the tree was dirty, and the command line."""
    command = " ".join([Path(sys.argv[0]).name, *without_addresses(sys.argv[1:])])
    tags = {"command": command, "mlflow.source.name": command, "mlflow.source.type": "LOCAL"}
    if commit := _git("rev-parse", "HEAD"):
        tags["git.commit"] = tags["mlflow.source.git.commit"] = commit
        tags["git.dirty"] = str(bool(_git("status", "--porcelain"))).lower()
    return tags


def without_addresses(overrides: Sequence[str]) -> list[str]:
    """The overrides without those of stores, and without passwords in the addresses of others."""
    stores = re.compile(r"[+~]*(tracking\b|sweep\.storage\b)")
    return [without_passwords(override) for override in overrides if not stores.match(override)]


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
