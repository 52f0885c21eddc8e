"""asl download: a public data set, fetched, checked and put where `asl prepare` looks for it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from asl.config.compose import plain, run_command
from asl.config.overrides import parse_overrides
from asl.config.plan import choices
from asl.config.schema import download_settings
from asl.errors import unknown
from asl.targets import factory


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("download", arguments, _download)


def _download(cfg: DictConfig) -> None:
    from asl.fetch.dataset import download

    if "origin" not in cfg.download:
        raise unknown("data", cfg.data.name, choices("download"))
    settings = download_settings(cfg)
    landed = download(
        factory(plain(cfg.download.origin), "origin")(),
        lambda folder: factory({**plain(cfg.data.source), "root": folder}, "source")(),
        Path(cfg.data.root),
        archive=settings.archive and settings.archive.expanduser(),
        keep_archive=settings.keep_archive,
    )
    if landed.archive:
        print(f"{landed.archive}: kept; download.keep_archive=false removes it")
    verified = "there already, verified" if landed.was_there else "fetched and verified"
    overrides = parse_overrides(cfg.hydra.overrides.task)
    typed = [override.text for override in overrides if override.below(["data"])]
    following = shlex.join(["asl", "prepare", *typed])
    print(f"{cfg.data.root}: {landed.clips:,} clips, {verified}; next: {following}")
