"""asl page: a page that recognises signs in the browser, served here or as a folder to host."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.overrides import format_override, with_model_file
from asl.config.plan import best_among, chosen_tracker
from asl.config.schema import PageSettings, checked
from asl.errors import UserError
from asl.terminal import encodable

if TYPE_CHECKING:
    from asl.page.build import Recognizer

BUILD = "--build"


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    run_command("page", list(_with_build_key(with_model_file(arguments))), _page)


def _with_build_key(arguments: Sequence[str]) -> Iterator[str]:
    """Arguments with `--build DIR` as the override `build=DIR`."""
    words = iter(arguments)
    for word in words:
        option, _, folder = word.partition("=")
        if option == BUILD:
            yield format_override("build", folder or next(words, ""))
        else:
            yield word


def _page(cfg: DictConfig) -> None:
    from asl.page.build import build
    from asl.page.start import recognise

    settings = checked(cfg, PageSettings)
    if (settings["run"] is None) == (settings["tflite"] is None):
        raise UserError("page needs run=RUN_ID (or run=best), or model=FILE.tflite, and not both")
    if settings["build"] == "":
        raise UserError(f"{BUILD}: name a folder: {BUILD} DIR")
    recognizer = _recognizer(cfg)
    if settings["name"] is not None:
        recognizer = recognizer._replace(name=encodable(str(settings["name"])))
    if settings["build"] is not None:
        build(Path(str(settings["build"])), recognizer, settings["threshold"])
        print(f"page: {settings['build']}  (any web server can host it, with https for the camera)")
        return
    with contextlib.suppress(KeyboardInterrupt):
        recognise(recognizer, threshold=settings["threshold"], port=settings["port"])


def _recognizer(cfg: DictConfig) -> "Recognizer":
    from asl.page.build import open_recognizer

    if cfg.tflite is not None:
        return open_recognizer(Path(cfg.tflite))
    from asl.runs.page import recognizer_of_run

    return recognizer_of_run(str(cfg.run), chosen_tracker(cfg), **best_among(cfg))
