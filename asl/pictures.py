"""Texts in pictures are names of signs, signers, runs and files: none of them is a formula."""

import base64
import io
import re

from matplotlib.figure import Figure
from matplotlib.text import Text


def with_literal_texts(figure: Figure) -> Figure:
    r"""The figure, in which matplotlib draws `$\frac$` as it is; a formula it could not parse."""
    for text in figure.findobj(Text):
        if text.get_wrap():  # to break its lines, matplotlib measures it as a formula nevertheless
            text.set_text(re.sub(r"(?<!\\)\$", r"\\$", text.get_text()))
        else:
            text.set_parse_math(False)
    return figure


def as_png(figure: Figure, dpi: float | None = None) -> bytes:
    """The figure as a PNG, its texts as they are; at its own resolution where `dpi` is None."""
    image = io.BytesIO()
    with_literal_texts(figure).savefig(image, format="png", dpi=dpi or figure.dpi)
    return image.getvalue()


def as_base64(figure: Figure) -> str:
    """The same, for a page that brings its pictures with it."""
    return base64.b64encode(as_png(figure)).decode()


def shortened(text: str, longest: int) -> str:
    """The text on one line, cut where it has more characters."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
