"""asl show: draw one clip, with a recognizer's top signs over its time."""

from collections.abc import Sequence

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.overrides import format_override, with_model_file
from asl.config.plan import show_arguments


def main(arguments: Sequence[str]) -> None:
    """Run the command; an argument without a key is the clip."""
    typed = with_model_file(arguments)
    clip = {a: format_override("clip", a) for a in typed if "=" not in a and a[:1] not in "-~"}
    run_command("show", [clip.get(a, a) for a in typed], _show)


def _show(cfg: DictConfig) -> None:
    from asl.runs.show import show

    print(f"clip: {show(**show_arguments(cfg))}")
