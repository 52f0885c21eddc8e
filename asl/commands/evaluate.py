"""asl evaluate: a run's kept epoch, or a .tflite, on a split: metrics, tables and figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.overrides import with_model_file
from asl.config.plan import chosen_data, chosen_run, chosen_split, chosen_tracker
from asl.config.schema import EvaluateSettings, checked
from asl.errors import UserError
from asl.terminal import printable

if TYPE_CHECKING:
    from asl.runs.evaluate import PartEvaluation


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("evaluate", with_model_file(arguments), _evaluate)


def _evaluate(cfg: DictConfig) -> None:
    from asl.evaluation.report import text_report
    from asl.runs.evaluate import check_part, record_evaluation, write_evaluation

    if (cfg.run is None) == (cfg.tflite is None):
        raise UserError(
            "evaluate needs run=RUN_ID (or run=best), or model=FILE.tflite, and not both"
        )
    check_part(cfg.part)
    options = checked(cfg, EvaluateSettings)["evaluate"]
    directory = Path(options["dir"]) if options["dir"] else None
    signs = {key: options[key] for key in ("signs", "unknown_signs")}
    measured = _of_run(cfg, signs) if cfg.tflite is None else _of_file(cfg, signs)
    report = text_report(
        measured.evaluation, measured.part, measured.split, measured.seen, measured.unknown
    )
    directory = write_evaluation(measured, report, directory)
    print(printable(report))
    run_id = record_evaluation(measured, report, chosen_tracker(cfg))
    print(f"run: {run_id}  (asl runs --kind evaluate)")
    print(f"evaluation: {directory}")


def _of_run(cfg: DictConfig, signs: Mapping[str, Any]) -> "PartEvaluation":
    from asl.runs.evaluate import evaluate_run

    if cfg.evaluate.labels is not None:
        raise UserError(f"evaluate.labels={cfg.evaluate.labels}: a run knows its signs; drop it")
    loaded = chosen_run(cfg, chosen_tracker(cfg))
    return evaluate_run(loaded, cfg.part, chosen_data(cfg), chosen_split(cfg), **signs)


def _of_file(cfg: DictConfig, signs: Mapping[str, Any]) -> "PartEvaluation":
    from asl.runs.evaluate import evaluate_file

    data, split = chosen_data(cfg), chosen_split(cfg)
    if data is None or split is None:
        missing = "data=…" if data is None else "split=whole for all of them, or split=…"
        raise UserError(f"model={cfg.tflite}: name the clips to measure on: {missing}")
    labels = cfg.evaluate.labels
    return evaluate_file(Path(cfg.tflite), cfg.part, data, split, labels=labels, **signs)
