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


def as_base64(figure: Figure) -> str:
    """The figure as a PNG, for a page that brings its pictures with it."""
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return base64.b64encode(image.getvalue()).decode()
