"""The page of `asl eda`: one HTML file, with its pictures inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asl import pictures
from asl.clips.drawing import draw_strip
from asl.clips.store import ClipStore
from asl.report_page import report_page

PALE, DARK, SECOND, GREY = "#9ecae1", "#3182bd", "#e6550d", "#969696"
TEMPLATE = Path(__file__).with_name("page.html")
SHOWN_ROWS = 20  # of a table

_STRIP_FRAMES, _STRIP_INCHES = 8, 1.05
_LONGEST = 24  # characters of a name in a figure
_MOST_TICKS = 40  # names along an axis


@dataclass(frozen=True)
class Strip:
    """A clip drawn as a row of skeletons: base64 of a PNG, and what it shows."""

    caption: str
    picture: str


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: its heading.
        text: what is to be seen, in sentences.
        figures: that show it.
        table: that lists it; rows after the first `SHOWN_ROWS` are left out.
        strips: clips that are drawn.
        files: names of the tables beside the page.
        parts: sections inside it.
    """

    title: str
    text: str
    figures: Sequence[Figure] = ()
    table: pd.DataFrame | None = None
    strips: Sequence[Strip] = ()
    files: Sequence[str] = ()
    parts: Sequence["Section"] = field(default=())


def render(title: str, claim: str, facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The page as HTML; all names are escaped.

    Args:
        title: its heading.
        claim: what is to be seen first, in a sentence.
        facts: by name.
        sections: in their order.
    """
    return report_page(
        TEMPLATE,
        picture=pictures.as_base64,
        shown=SHOWN_ROWS,
        title=title,
        claim=claim,
        facts=facts,
        sections=sections,
    )


def strip(store: ClipStore, row: int, caption: str) -> Strip:
    """A clip from its first frame to its last."""
    figure = Figure(figsize=(_STRIP_FRAMES * _STRIP_INCHES, _STRIP_INCHES), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    draw_strip(axes, store.read(row), store.layout, _STRIP_FRAMES)
    return Strip(caption, pictures.as_base64(figure))


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches."""
    # Not of pyplot, which needs a backend and keeps figures until they are closed.
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def side_by_side(figure: Figure, count: int) -> list[Axes]:
    """As many axes in a row."""
    return list(figure.subplots(1, count, squeeze=False)[0])


def name_ticks(axes: Axes, which: Literal["x", "y"], names: Sequence[str] | pd.Index) -> None:
    """Names at 0, 1, 2, … along the axis `x` or `y`; every second, third, … where they are many."""
    step = max(1, -(-len(names) // _MOST_TICKS))
    labels = [shortened(str(name)) for name in names[::step]]
    axes.set(**{f"{which}ticks": np.arange(len(names))[::step], f"{which}ticklabels": labels})
    axes.tick_params(axis=which, length=0)
    if which == "x" and sum(map(len, labels)) > 60:
        axes.tick_params(axis="x", rotation=90)


def box_plot(axes: Axes, values: pd.Series, signers: pd.Series, names: Sequence[str]) -> None:
    """A box of each signer's values, in the order of the names."""
    groups = [values[signers == name].dropna() for name in names]
    axes.boxplot(
        groups,
        positions=range(len(groups)),
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": PALE, "edgecolor": DARK},
        medianprops={"color": SECOND},
    )
    name_ticks(axes, "x", names)


def counted(number: int, what: str) -> str:
    """The number with the noun, in the plural where there is not one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shortened(name: str) -> str:
    """The name as a figure has room for it."""
    return pictures.shortened(name, _LONGEST)
