"""The one exception for a user's mistake: the command prints its sentence and exits with 2."""

from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can put right; the message is one sentence that says how."""


def unknown(key: str, value: object, choices: Iterable[object]) -> UserError:
    """The error for a value that is none of the choices, which it lists."""
    return UserError(f"{key}={value}: choose from {', '.join(str(choice) for choice in choices)}")
