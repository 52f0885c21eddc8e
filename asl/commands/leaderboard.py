"""asl leaderboard: every network on every public data set, signers held out, in one table."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.plan import chosen_tracker
from asl.config.schema import LeaderboardSettings, checked
from asl.paths import PROJECT
from asl.terminal import printable


def main(arguments: Sequence[str]) -> int:
    """Run the command: 0, or 1 where a recognizer has not all of its figures."""
    failed: list[str] = []
    run_command("leaderboard", arguments, partial(_leaderboard, failed))
    return 1 if failed else 0


def _leaderboard(failed: list[str], cfg: DictConfig) -> None:
    from asl.config.leaderboard import measured_command, recognizers
    from asl.runs.leaderboard import leaderboard

    settings = checked(cfg, LeaderboardSettings)
    directory = settings["leaderboard"]["dir"]
    ranking = leaderboard(
        recognizers(settings),
        chosen_tracker(cfg),
        Path(directory) if directory else PROJECT / "data" / "leaderboard",
        seeds=settings["seeds"],
        folds=settings["folds"],
        workers=settings["workers"],
        settings=settings["settings"],
        command=measured_command(cfg),
    )
    print(printable(ranking.text))
    print(f"leaderboard: {ranking.directory / 'leaderboard.html'}")
    failed += [row.name for row in ranking.rows if row.failure]
