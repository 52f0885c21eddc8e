"""Names of signs and signers. They compare as text: 3 and "3" are one signer."""

import csv
import io
from collections.abc import Sequence

import numpy as np

Names = Sequence[str] | np.ndarray


def sorted_names(names: Names) -> list[str]:
    """The different names of signers or signs: numbers by value, then text."""
    return sorted(np.unique(as_text(names)).tolist(), key=natural)


def natural(name: str) -> tuple[bool, int, str, str]:
    """The key by which names are sorted: numbers by value, then text."""
    # By the number of digits, because int refuses thousands of them.
    digits = name.lstrip("0") if name.isdecimal() else ""
    return not name.isdecimal(), len(digits), digits, name


def as_text(names: Names) -> np.ndarray:
    """The names as an array of str."""
    return np.asarray(names).astype(str)


def joined(names: Sequence[str]) -> str:
    """The names with commas between them, those that hold commas in quotes, as in a csv file."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()
