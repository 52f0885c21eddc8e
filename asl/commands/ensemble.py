"""asl ensemble: several runs become one recognizer, which evaluates and exports as any other.

Its numbers are worth something only if no member has seen the clips that it is measured on, nor
their signers: that is checked against the split of every member.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from omegaconf import DictConfig, ListConfig, OmegaConf

from asl.commands.hydra import run_with_hydra
from asl.commands.trained import TrainedRun, common, kept_checkpoint, opened, own_split
from asl.errors import UserError, unknown

if TYPE_CHECKING:
    from asl.clips.splits import Split
    from asl.clips.store import ClipStore
    from asl.recognizer.recognizer import Recognizer
    from asl.tracking.find import FoundRun
    from asl.tracking.run import TrackedRun
    from asl.tracking.store import Tracker


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_with_hydra(_ensemble, "ensemble", arguments)


def _ensemble(cfg: DictConfig) -> None:
    from asl.commands.parts import make_split, open_store, tracker
    from asl.commands.results import record_results
    from asl.config import PROJECT
    from asl.tracking.record import log_metrics, provenance_tags
    from asl.tracking.run import tracked_run
    from asl.training.checkpoint import join_checkpoints, load_recognizer

    runs = tracker(cfg.tracking)
    members = _members(cfg.runs, cfg.fold, runs)
    names = [member.run.name for member in members]
    data = cfg.get("data") or members[0].config.data
    store = open_store(data)
    chosen = cfg.get("split") or _common_split(members)
    split = make_split(chosen, store)
    _check_unseen(members, split, store)
    tags = {
        "kind": "ensemble",
        "members": ",".join(member.run.run_id for member in members),
        "data": data.name,
        "data.fingerprint": store.fingerprint,
        "split": split.protocol,
        "signer_independent": str(split.test_signer_independent).lower(),
        "val_protocol": split.val_protocol,
        **provenance_tags(PROJECT),
    }
    with tracked_run(runs, f"ensemble{len(members)}-{data.name}", tags) as run:
        run.work.mkdir(parents=True, exist_ok=True)
        checkpoint = run.work / "best.ckpt"
        join_checkpoints([kept_checkpoint(member.run, runs) for member in members], checkpoint)
        ensemble = load_recognizer(checkpoint)
        config = OmegaConf.create({"runs": names, "data": data, "split": chosen})
        _record_start(run, config, names, store, split, ensemble)
        metrics = record_results(run, ensemble, store, split, data.batch_size)
        log_metrics(run, metrics)
        run.client.log_artifact(run.id, str(checkpoint), "checkpoints")
        shutil.rmtree(run.work)
    _say_end(run, split, metrics)


# --- which runs ---------------------------------------------------------------------------------


def _members(typed: ListConfig | str | None, fold: int | None, runs: "Tracker") -> list[TrainedRun]:
    """The runs by name or id; raises UserError where they cannot answer together."""
    listed = typed if isinstance(typed, ListConfig) else [typed] if typed else []
    names = [str(name) for name in listed]
    found = [run for name in names for run in _named(name, fold, runs)]
    if len(found) < 2:
        raise UserError(
            f"runs=[{','.join(names)}]: an ensemble is of two runs or more, runs=[NAME,NAME]"
        )
    members: list[TrainedRun] = []
    for run in found:
        if not run.is_recognizer:
            raise UserError(f"runs: {run.name} holds other runs and is no recognizer; name those")
        if run.status != "FINISHED":
            raise UserError(f"runs: {run.name} is {run.status}; an ensemble is of finished runs")
        if run.run_id in (member.run.run_id for member in members):
            raise UserError(f"runs: {run.name} is there twice")
        members.append(opened(run, runs))
    _check_alike(members)
    return members


def _named(name: str, fold: int | None, runs: "Tracker") -> "list[FoundRun]":
    """The run of this name; of a cross-validation the runs of one fold, which share their test."""
    from asl.tracking.crossval import folds_of
    from asl.tracking.find import find_run

    found = find_run(runs, name, key="runs")
    done = folds_of(runs, found.run_id) if found.tags.get("kind") == "crossval" else []
    if not done and fold is None:
        return [found]
    if not done:
        raise UserError(f"fold={fold}: {name} is no cross-validation, it has no folds")
    numbers = sorted({one.fold for one in done})
    if fold is None and len(numbers) > 1:
        raise UserError(
            f"runs: the folds of {found.name} cannot answer together, as each was trained on the "
            "signers that the others are tested on, and no clips are left that none has seen; "
            f"choose the runs of one fold, fold={numbers[0]} say, of {', '.join(map(str, numbers))}"
        )
    if fold is not None and fold not in numbers:
        raise unknown("fold", fold, numbers)
    wanted = [one for one in done if fold in (None, one.fold)]
    return [find_run(runs, one.run_id) for one in sorted(wanted, key=lambda one: one.seed)]


def _check_alike(members: Sequence[TrainedRun]) -> None:
    first, *others = members
    for other in others:
        one, two = first.recognizer.landmarks.layout.name, other.recognizer.landmarks.layout.name
        both = f"runs: {other.run.name} and {first.run.name} cannot answer together: "
        if one != two:
            raise UserError(f"{both}the layout of one is {two}, of the other {one}")
        if other.recognizer.signs != first.recognizer.signs:
            raise UserError(f"{both}they have other signs, or these in another order")


# --- what it may be measured on -----------------------------------------------------------------


def _common_split(members: Sequence[TrainedRun]) -> DictConfig:
    """The split that all were trained with; raises UserError where they were not."""
    first, *others = members
    for other in others:
        if other.config.split != first.config.split:
            raise UserError(
                f"runs: {first.run.name} and {other.run.name} were trained with different splits "
                f"({first.run.split}; {other.run.split}): say with split= what to measure on"
            )
    return first.config.split


def _check_unseen(members: Sequence[TrainedRun], split: "Split", store: "ClipStore") -> None:
    """Raises UserError where a member has seen the test or the validation.

    What chose a member's epoch counts as seen where the test is concerned.
    """
    signers = store.clip_signers
    for member in members:
        run, own = member.run, own_split(member, store)
        if own is None:
            raise UserError(
                f"runs: {run.name} was trained on other clips, or another packing of them, than "
                f"{store.directory} has now; what it has seen of these cannot be known"
            )
        for part, seen, by_signer in (
            ("test", np.union1d(own.train, own.val), split.test_signer_independent),
            ("val", own.train, split.val_signer_independent),
        ):
            both = common(seen, getattr(split, part), signers if by_signer else None)
            if len(both):
                what = f"signers {', '.join(both)}" if by_signer else f"{len(both)} clips"
                raise UserError(
                    f"runs: {run.name} ({run.split}) has seen {what} of the {part} clips; choose "
                    "with split=, split.test= and split.val= what no member has seen"
                )


# --- recording it -------------------------------------------------------------------------------


def _record_start(
    run: "TrackedRun",
    config: DictConfig,
    names: Sequence[str],
    store: "ClipStore",
    split: "Split",
    ensemble: "Recognizer",
) -> None:
    from asl.tracking.record import environment, log_metrics, record_data, record_params

    data = config.data
    record_params(run, {"members": ", ".join(names), "data": data.name})
    record_data(run, data.name, store.fingerprint, data.root, split.protocol)
    run.client.log_text(run.id, OmegaConf.to_yaml(config, resolve=True), "config.yaml")
    run.client.log_dict(run.id, environment(), "environment.json")
    run.client.log_dict(run.id, {"notes": split.notes}, "split_notes.json")
    parameters = sum(p.numel() for p in ensemble.parameters() if p.requires_grad)
    log_metrics(run, {"parameters": parameters})
    print(f"run {run.name} ({run.id}): {', '.join(names)}", file=sys.stderr)
    print(f"split: {split.protocol}; validation: {split.val_protocol}", file=sys.stderr)


def _say_end(run: "TrackedRun", split: "Split", metrics: Mapping[str, float]) -> None:
    for name, protocol in (("val", split.val_protocol), ("test", split.protocol)):
        shown = [
            f"{metric.removeprefix(f'{name}/')} {value:.4f}"
            for metric, value in metrics.items()
            if metric.startswith(f"{name}/")
        ]
        if shown:
            print(f"{name} ({protocol}): {', '.join(shown)}")
    print(f"run: {run.name}  id: {run.id}  (asl export run={run.id})")
