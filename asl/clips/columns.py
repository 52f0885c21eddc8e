"""Columns of clips beyond sign and signer: view, session, age, expression and the like.

A source lists what its recordings say of each clip; here is chosen what the store keeps of that,
under which name, and with which values taken together.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from asl.errors import UserError, unknown

UNKNOWN = "?"
"""The value where the recordings say none."""

RESERVED = (
    "clip", "path", "sign", "signer", "sequence_id", "frames", "shard", "start",
    "fold", "seed", "predicted", "scores",
)  # fmt: skip
"""Names of other things in the tables of clips and of predictions."""

MOST_VALUES = 50
"""A column with more is not broken down."""

ColumnChoice = Literal["all"] | list[str | dict[str, Any]]


def choose_columns(
    found: Mapping[str, Sequence[str]], choice: ColumnChoice
) -> dict[str, list[str]]:
    """The columns that a store keeps.

    Args:
        found: the columns of the recordings, one value a clip; empty where there is none.
        choice: `all` that have no reserved name; or a list of names, in which `{NAME: COLUMN}` is a
            column under another name, and `{NAME: {from: COLUMN, groups: {GROUP: [VALUES]}}}` one
            of groups of a column's values.

    Returns:
        One value a clip by name of the column, `?` for none.

    Raises:
        UserError: there is no such column, its name is reserved, or a value is in no group.
    """
    if choice == "all":
        choice = [name for name in found if name not in RESERVED]
    if isinstance(choice, str):
        raise UserError(f"data.columns={choice}: should be all, or a list: [{choice}]")
    columns: dict[str, list[str]] = {}
    for item in choice:
        named = item if isinstance(item, Mapping) else {item: item}
        columns |= {str(name): _column(str(name), origin, found) for name, origin in named.items()}
    return columns


def _column(name: str, origin: Any, found: Mapping[str, Sequence[str]]) -> list[str]:
    if name in RESERVED or not name:
        raise UserError(
            f"data.columns: {name!r} is the name of something else; give the column another one, "
            f"data.columns=[{{NAME: {name}}}]"
        )
    if isinstance(origin, Mapping):
        return _grouped(name, origin, found)
    if str(origin) not in found:
        choices = list(found) or ["none, for the recordings have no further column"]
        raise unknown("data.columns", origin, choices)
    return [value or UNKNOWN for value in found[str(origin)]]


def _grouped(
    name: str, grouping: Mapping[str, Any], found: Mapping[str, Sequence[str]]
) -> list[str]:
    groups: Any = grouping.get("groups")
    listed = isinstance(groups, Mapping) and all(isinstance(some, list) for some in groups.values())
    if grouping.keys() != {"from", "groups"} or not listed:
        raise UserError(
            f"data.columns: {name}={dict(grouping)} should be "
            "{from: COLUMN, groups: {GROUP: [VALUE, VALUE]}}"
        )
    values = _column(name, str(grouping["from"]), found)
    group_of = {str(value): group for group, some in groups.items() for value in some}
    if others := sorted(set(values) - group_of.keys() - {UNKNOWN}):
        what = f"{grouping['from']} {others[0]!r}"
        raise UserError(f"data.columns: {name}: {what} is in none of {', '.join(groups)}")
    return [group_of.get(value, UNKNOWN) for value in values]


def broken_down(columns: Mapping[str, Iterable[str]]) -> list[str]:
    """The columns with few enough values for a row each."""
    return [name for name, values in columns.items() if len(set(values)) <= MOST_VALUES]
