"""asl record: a page that asks for signs and saves the landmarks of each clip."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.schema import RecordSettings, checked


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("record", arguments, _record)


def _record(cfg: DictConfig) -> None:
    from asl.page.start import record

    settings = checked(cfg, RecordSettings)
    signs, out = [str(sign) for sign in settings["signs"]], Path(settings["out"])
    pace = {key: settings[key] for key in ("clips", "seconds", "port")}
    with contextlib.suppress(KeyboardInterrupt):
        record(signs, str(settings["signer"]), out, **pace)
