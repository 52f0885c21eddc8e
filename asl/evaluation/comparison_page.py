"""The page of `asl compare`: one HTML file, with its pictures inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from asl.pictures import as_base64
from asl.report_page import report_page

SHOWN_CLIPS = 60  # rows of the table of clips that only one recognises
SHOWN_SIGNS = 12  # signs with the largest gain, and as many with the largest loss


@dataclass(frozen=True)
class Pair:
    """A recognizer against the first one.

    Attributes:
        name: of the recognizer.
        claim: what may be said, in a sentence.
        signers: `asl.evaluation.paired.by_group` of signers.
        signs: likewise of signs.
        columns: likewise by each column of the clips.
        only_one: clips that only one of both recognises.
    """

    name: str
    claim: str
    signers: pd.DataFrame
    signs: pd.DataFrame
    columns: Mapping[str, pd.DataFrame]
    only_one: pd.DataFrame


TEMPLATE = Path(__file__).with_name("comparison.html")


def comparison_page(
    title: str,
    protocol: str,
    base: str,
    metrics: pd.DataFrame,
    choices: pd.DataFrame,
    pairs: Sequence[Pair],
    figures: Mapping[str, Figure],
    command: str,
) -> str:
    """Render the page.

    Args:
        title: its heading.
        protocol: which clips were answered.
        base: name of the recognizer that the others are compared with.
        metrics: a row a recognizer.
        choices: a row a parameter that differs, a column a recognizer.
        pairs: every other recognizer against the base.
        figures: by heading.
        command: that makes the page.
    """
    return report_page(
        TEMPLATE,
        table=_table,
        extremes=_extremes,
        shown=SHOWN_CLIPS,
        title=title,
        protocol=protocol,
        base=base,
        metrics=metrics,
        choices=choices,
        pairs=pairs,
        pictures={name: as_base64(figure) for name, figure in figures.items()},
        command=command,
    )


def _table(frame: pd.DataFrame) -> str:
    """A table as HTML, its text escaped."""
    html = frame.to_html(index=False, border=0, float_format="{:.4f}".format, na_rep="")
    return Markup(f'<div class="scroll">{html}</div>')


def _extremes(signs: pd.DataFrame) -> pd.DataFrame:
    if len(signs) <= 2 * SHOWN_SIGNS:
        return signs
    return pd.concat([signs.head(SHOWN_SIGNS), signs.tail(SHOWN_SIGNS)])
