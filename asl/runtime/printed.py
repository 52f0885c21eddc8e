"""Predictions as text: lines for people, JSON and CSV for programs."""

import csv
import io
import json
from collections.abc import Mapping

from asl.runtime.predict import Prediction
from asl.terminal import encodable, printable

NOT_SURE = "not sure"
"""Printed of a clip that may show none of a file's signs."""


def as_lines(predictions: Mapping[str, Prediction]) -> str:
    """A line for each clip: its name, then its signs and their probabilities, between tabs.

    Before the signs of a clip that is perhaps none of them, the line says so.
    """
    lines = [
        "\t".join(
            [
                one_line(clip),
                *([] if best.sure else [NOT_SURE]),
                *(f"{one_line(sign)} {p:.3f}" for sign, p in best),
            ]
        )
        for clip, best in predictions.items()
    ]
    return "".join(f"{line}\n" for line in lines)


def as_json(predictions: Mapping[str, Prediction]) -> str:
    """A list with an object for each clip."""
    objects = [
        {
            "clip": clip,
            "predictions": [{"sign": sign, "probability": p} for sign, p in best],
            **({} if best.unknown is None else {"unknown": best.unknown, "sure": best.sure}),
        }
        for clip, best in predictions.items()
    ]
    return encodable(json.dumps(objects, ensure_ascii=False, indent=2)) + "\n"


def as_csv(predictions: Mapping[str, Prediction]) -> str:
    """A row for each clip and sign, with a header."""
    text = io.StringIO()
    table = csv.writer(text)
    scored = any(best.unknown is not None for best in predictions.values())
    table.writerow(["clip", "rank", "sign", "probability", *(["unknown", "sure"] * scored)])
    for clip, best in predictions.items():
        more = [best.unknown, str(best.sure).lower()] * scored
        table.writerows([clip, rank, *pair, *more] for rank, pair in enumerate(best, start=1))
    return encodable(text.getvalue())


def one_line(text: str) -> str:
    """A name of a stranger's, without line breaks and control characters of terminals."""
    return printable(text).replace("\n", " ").replace("\t", " ")
