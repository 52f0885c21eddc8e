"""What `asl COMMAND --help` prints of a command whose choices are configs."""

import re
import shutil
import textwrap
from collections.abc import Iterator

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from asl.config.compose import compose, initialized
from asl.paths import CONF

GROUPS = {
    "data": "The clips, how they are packed and how they are batched.",
    "split": "Which signers, or values of a column, are kept for the test and for validation.",
    "landmarks": "Which landmarks the recognizer sees.",
    "handedness": "Whether clips of left-handed signers are mirrored, in the exported file too.",
    "impute": "Whether landmarks that were not detected are filled from the frames around them, in "
    "the exported file too.",
    "scaler": "How coordinates are brought to a common place and size.",
    "features": "What a time step holds, and how a clip comes to a number of time steps.",
    "model": "The network over time.",
    "head": "From a clip's summary to a logit for each sign.",
    "regularization": "Terms added to cross-entropy, and early stopping; brings an `augment`.",
    "augment": "Changes of training clips, by name and in their order. `p` is the share of clips "
    "that are changed; 0 turns an operation off: `augment.mirror.p=0`.",
    "optimizer": "The optimizer, and its learning rate over the steps.",
    "trainer": "The machine and the number of epochs. `+trainer.KEY=…` passes any other argument "
    "to Lightning's Trainer.",
    "sweep": "For `asl sweep`: what varies and how it is searched.",
    "export": "For `asl export`.",
    "download": "For `asl download`: the origin of a public data set.",
    "tracking": "Where runs are recorded.",
}
"""The config groups, in the order of the data flow."""

_WIDTH = 100
_INDENT = " " * 18
_TRAINING = ("train", "crossval", "sweep")


def command_help(command: str) -> str:
    """The command's purpose, its groups with their choices and defaults, and its own keys."""
    about, keys = _own_text(command)
    if command in _TRAINING[1:]:  # they have train.yaml among their defaults
        keys = f"{keys}\n{_own_text('train')[1]}"
    with initialized():
        chosen = compose(command).hydra.runtime.choices
        groups = [group for group in GROUPS if group in chosen]
        lines = [line for group in groups for line in _group(group, chosen[group])]
        if command in _TRAINING:
            lines += ["  +experiment     Several choices at once, a file of experiments/."]
            lines += _wrapped(", ".join(_choices("experiment")), _INDENT)
    parts = [
        about,
        f"  asl {command} GROUP=CHOICE GROUP.KEY=VALUE KEY=VALUE …",
        "Groups, their choices (* the default), and what they decide:",
        "\n".join(lines),
        *(["Keys:", textwrap.indent(keys, "  ")] if keys else []),
        f"`asl {command} --cfg job` prints every key with its value, `asl {command} --hydra-help` "
        "Hydra's own options.",
    ]
    return "\n\n".join(parts)


def _own_text(command: str) -> tuple[str, str]:
    """The leading comment of conf/COMMAND.yaml without its marks, and its keys with theirs."""
    text = (CONF / f"{command}.yaml").read_text(encoding="utf-8")
    about = "\n".join(re.sub("^# ?", "", line) for line in _leading_comment(text))
    below = re.split(r"^  - _self_\n", text, maxsplit=1, flags=re.MULTILINE)[1]
    return about, re.split(r"^hydra:", below, maxsplit=1, flags=re.MULTILINE)[0].strip()


def _leading_comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        yield line


def _group(group: str, default: str | None) -> list[str]:
    names = [f"{name}*" if name == default else name for name in _choices(group)]
    about = textwrap.wrap(GROUPS[group], _width() - len(_INDENT))
    first = f"  {group:<16}{about[0]}"
    return [first, *(_INDENT + line for line in about[1:]), *_wrapped(", ".join(names), _INDENT)]


def _choices(group: str) -> list[str]:
    loader = GlobalHydra.instance().config_loader()
    return loader.get_group_options(group, ObjectType.CONFIG)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _width() -> int:
    return min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns)
