"""The configuration reference and the page of commands, from conf/, the classes and the commands.

`python docs/config_reference.py` prints the first of them.
"""

import contextlib
import inspect
import io
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import annotated_types
import yaml
from griffe import Docstring

from asl.cli import COMMANDS, run
from asl.config.help import GROUPS
from asl.config.schema import GROUP_SCHEMAS
from asl.paths import CONF
from asl.targets import PLACES, TARGET, locate

# Groups whose keys are the same in all choices, and the file that explains them.
EXPLAINED_IN = {
    "data": "data/words15.yaml",
    "regularization": "regularization/base/off.yaml",
    "sweep": "sweep/base/settings.yaml",
    "trainer": "trainer/default.yaml",
    "export": "export/default.yaml",
    "tracking": "tracking/local.yaml",
    "landmarks": "landmarks/auto.yaml",
}
SUPPLIED = {
    "landmarks", "inputs", "places", "width", "signs", "signers", "columns", "parameters", "steps",
    "self",
}  # fmt: skip


class Config(NamedTuple):
    """A file of conf/: its leading comment, its values and the comment behind each key."""

    path: Path
    about: str
    values: dict[str, Any]
    comments: dict[str, str]


INTRODUCTION = """\
# Configuration

Commands take [Hydra](https://hydra.cc) overrides: `group=choice` takes a file of `conf/GROUP/`,
`group.key=value` changes one value in it. `--cfg job` prints the composed config and starts
nothing. A config is checked as a whole before anything starts; all its faults come in one message.
This page is made of `conf/` and of the docstrings of the classes that it names.

`--config-dir DIR` adds a folder with groups of your own. `+experiment=NAME` takes a study of
[experiments](../experiments.md): a file on top of all groups."""

COMMANDS_INTRODUCTION = """\
# Commands

`asl COMMAND --help` prints a command's choices; `eval "$(asl completion bash)"` completes commands,
groups and choices in the shell. A command ends with status 0, with 1 where something failed, with 2
after a mistake in what was typed, and with 130 after Ctrl-C."""


def configuration_page() -> str:
    """The Markdown of the configuration reference."""
    parts = [
        INTRODUCTION,
        _table("group | choices | what it decides", map(_group_row, GROUPS)),
        "## Keys outside the groups",
        *_scalar_tables(),
    ]
    for group, about in GROUPS.items():
        parts += _group_section(group, about)
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """The Markdown of the list of commands."""
    rows = [f"[`asl {name}`](#asl-{name}) | {what}" for name, (_, what) in COMMANDS.items()]
    parts = [COMMANDS_INTRODUCTION, _table("command | what it does", rows)]
    for name, (_, what) in COMMANDS.items():
        parts += [f"## asl {name}", what[0].upper() + what[1:] + "."]
        config = CONF / f"{name}.yaml"
        parts.append(_config_help(config) if config.exists() else _argparse_help(name))
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Iterable[str]) -> str:
    lines = [head, "|".join("---" for _ in head.split("|")), *rows]
    return "\n".join(f"| {line} |" for line in lines)


def _group_row(group: str) -> str:
    names = " ".join(f"`{choice.path.stem}`" for choice in _choices(group))
    return f"[`{group}`](#{group}) | {names} | {GROUPS[group]}"


# --- groups -------------------------------------------------------------------------------------


def _group_section(group: str, about: str) -> Iterator[str]:
    choices = _choices(group)
    yield f"## {group}"
    yield about
    yield _table(
        "choice | what",
        [f"`{group}={each.path.stem}` | {_cell(each.about)}" for each in choices],
    )
    if group in EXPLAINED_IN:
        yield _table_of_file(_read(CONF / EXPLAINED_IN[group]), group, GROUP_SCHEMAS.get(group))
    targets = {node[TARGET]: node for each in choices for _, node in _nodes(each.values)}
    for path in targets:
        users = [
            (each, key, node)
            for each in choices
            for key, node in _nodes(each.values)
            if node[TARGET] == path
        ]
        yield _table_of_target(path, group, users)
    for each in choices:
        text = each.path.read_text(encoding="utf-8").rstrip()
        body = "\n".join(f"    {line}".rstrip() for line in ["```yaml", *text.splitlines(), "```"])
        yield f'??? note "conf/{each.path.relative_to(CONF)}"\n\n{body}'


def _choices(group: str) -> list[Config]:
    return [_read(path) for path in sorted((CONF / group).glob("*.yaml"))]


def _table_of_file(config: Config, group: str, schema: type | None) -> str:
    hints = typing.get_type_hints(schema, include_extras=True) if schema else {}
    documented = _argument_docs(schema) if schema else {}
    rows = []
    for key, value in config.values.items():
        if key in ("defaults", "source"):
            continue
        about = _cell(config.comments.get(key) or documented.get(key, ""))
        rows.append(f"`{group}.{key}` | {_value(value)} | {_type_text(hints.get(key))} | {about}")
    return _table("key | default | type | meaning", rows)


def _table_of_target(
    path: str, group: str, users: list[tuple[Config, str, Mapping[str, Any]]]
) -> str:
    target = locate(path, PLACES.get(group, group))
    documented = _argument_docs(target)
    constructor = target.__init__ if inspect.isclass(target) else target
    hints = typing.get_type_hints(constructor, include_extras=True)
    about = (inspect.getdoc(target) or "").split("\n\n")[0].replace("\n", " ")
    where = ", ".join(f"`{group}={each.path.stem}`" for each, *_ in users)
    rows = []
    for name, parameter in inspect.signature(target).parameters.items():
        if name in SUPPLIED or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        key = ".".join(part for part in (group, users[0][1], name) if part)
        values = [node[name] for _, _, node in users if name in node]
        comment = next((c.comments[name] for c, _, _ in users if name in c.comments), "")
        meaning = _cell(documented.get(name) or comment)
        kind = _type_text(hints.get(name))
        rows.append(f"`{key}` | {_values(values, parameter)} | {kind} | {meaning}")
    head = f"**{target.__name__}** ({where}): {about}"
    return head + "\n\n" + _table("key | value | type | meaning", rows) if rows else head


def _values(values: list[Any], parameter: inspect.Parameter) -> str:
    different = list(dict.fromkeys(map(_value, values)))
    if not different and parameter.default is not parameter.empty:
        return f"{_value(parameter.default)} (not in the file: `+…`)"
    return " or ".join(different)


def _nodes(values: Mapping[str, Any], key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping that names a class, with its key within the file."""
    if TARGET in values:
        yield key, values
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _nodes(value, f"{key}.{name}".strip("."))


# --- keys outside the groups, and commands ------------------------------------------------------


def _scalar_tables() -> Iterator[str]:
    for path in sorted(CONF.glob("*.yaml")):
        config = _read(path)
        rows = _scalar_rows(config)
        if rows and path.stem != "base":
            yield f"`asl {path.stem}`:"
            yield _table("key | default | meaning", rows)


def _scalar_rows(config: Config) -> list[str]:
    return [
        f"`{name}` | {_value(value)} | {_cell(config.comments.get(name.split('.')[-1], ''))}"
        for name, value in _flat(config.values)
        if name.split(".")[0] not in ("defaults", "hydra")
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _config_help(path: Path) -> str:
    config = _read(path)
    groups = [
        name
        for entry in config.values.get("defaults", [])
        if isinstance(entry, dict)
        for name in [str(next(iter(entry))).removeprefix("override ").removeprefix("optional ")]
        if name in GROUPS
    ]
    if "train" in config.values.get("defaults", []):
        groups = [g for g in GROUPS if g not in ("export", "download", "sweep")] + groups
    links = " ".join(f"[`{g}`](configuration.md#{g})" for g in dict.fromkeys(groups))
    rows = _scalar_rows(config)
    parts = [_examples(path), f"Groups: {links}" if links else ""]
    parts.append(_table("key | default | meaning", rows) if rows else "")
    return "\n\n".join(part for part in parts if part)


def _examples(path: Path) -> str:
    """The command lines in a config's leading comment."""
    lines = [line.removeprefix("#").strip() for line in _leading(path.read_text(encoding="utf-8"))]
    commands = [line for line in lines if line.startswith("asl ") and ":" not in line.split()[1]]
    commands = [line for line in commands if "=" in line and not re.match(r"asl \w+ \S+: ", line)]
    return "```bash\n" + "\n".join(commands) + "\n```" if commands else ""


def _argparse_help(name: str) -> str:
    printed = io.StringIO()
    nowhere = contextlib.redirect_stderr(io.StringIO())
    with contextlib.redirect_stdout(printed), nowhere, contextlib.suppress(SystemExit):
        run([name, "--help"])
    return f"```text\n{printed.getvalue().strip()}\n```" if printed.getvalue() else ""


# --- reading files, docstrings and annotations --------------------------------------------------


def _read(path: Path) -> Config:
    """A file of conf/ on top of the files of its own group that it names as defaults."""
    text = path.read_text(encoding="utf-8")
    lines = [line.removeprefix("#").strip() for line in _leading(text)]
    about = " ".join(line for line in lines if not re.match(r"asl \w+( |$)", line))
    comments = dict(re.findall(r"^\s*([\w_]+):.*?\s#\s+(.*)$", text, re.MULTILINE))
    values = yaml.safe_load(text) or {}
    if path.parent == CONF:  # of a command: its groups have pages of their own
        return Config(path, about, values, comments)
    for entry in values.pop("defaults", []):
        below = path.parent / f"{str(entry).removesuffix('@_here_')}.yaml"
        if isinstance(entry, str) and below.exists():
            base = _read(below)
            values, comments = {**base.values, **values}, base.comments | comments
    return Config(path, about, values, comments)


def _leading(text: str) -> list[str]:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return lines


def _argument_docs(target: Any) -> dict[str, str]:
    """What the docstring of a class or function says of each of its arguments or attributes."""
    documented: dict[str, str] = {}
    for each in (target, getattr(target, "__init__", None)):
        for section in Docstring(inspect.getdoc(each) or "").parse("google", warnings=False):
            if section.kind.value in ("parameters", "attributes"):
                documented |= {
                    item.name: item.description.replace("\n", " ") for item in section.value
                }
    return documented


def _type_text(hint: Any) -> str:
    """An annotation in words: `Annotated[int, Ge(1)]` becomes `int ≥ 1`."""
    if hint is None or hint is Any:
        return ""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        base, *bounds = typing.get_args(hint)
        return " ".join([_type_text(base), *(text for each in bounds if (text := _bound(each)))])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(
            dict.fromkeys(_type_text(each) or "null" for each in typing.get_args(hint))
        )
    if hint is type(None):
        return "null"
    if origin:
        inside = ", ".join(_type_text(each) for each in typing.get_args(hint))
        return f"{origin.__name__} of {inside}" if inside else origin.__name__
    return getattr(hint, "__name__", str(hint))


def _bound(bound: Any) -> str:
    if isinstance(bound, annotated_types.GroupedMetadata):
        return " ".join(text for each in bound if (text := _bound(each)))
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(
        f"{sign} {getattr(bound, name)}"
        for name, sign in signs.items()
        if getattr(bound, name, None) is not None
    )


def _value(value: Any) -> str:
    text = (
        yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    )
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    print(configuration_page())
