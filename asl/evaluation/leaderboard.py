"""Recognizers ranked on data sets: one table, one text, one page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from asl.evaluation.intervals import over_signers
from asl.evaluation.paired import accuracy_by_clip
from asl.markdown import markdown_table
from asl.pictures import as_base64, with_literal_texts
from asl.report_page import report_page

NOTE = (
    "Accuracy: mean over clips and seeds, of signers who were not trained on, ± its deviation over "
    "seeds; in brackets the 95 % interval over signers, a bootstrap that is too narrow for a "
    "handful of them. MB and ms: the float16 .tflite, and what it takes for the clip of median "
    "length on one thread. Minutes: of training, a run. Recognizers whose intervals overlap are "
    "not told apart by their order; `asl compare` tests two of them on the same clips."
)
TEMPLATE = Path(__file__).with_name("leaderboard.html")
_MARK = "#4878a8"


@dataclass(frozen=True)
class Row:
    """A recognizer on a data set; what is not known is None.

    Attributes:
        data: name of the data set.
        name: of the network or baseline.
        accuracy: mean over clips and seeds, of signers that were not trained on.
        low: of its 95 % interval over signers.
        high: likewise.
        deviation: over seeds.
        f1: macro-averaged, mean over folds and seeds.
        parameters: of the network.
        megabytes: of the float16 .tflite.
        milliseconds: that it takes for a clip of median length.
        minutes: of training, a run.
        signers: that were held out.
        run: name of the cross-validation.
        failure: why there are no figures, or not all of them; empty where there are.
    """

    data: str
    name: str
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    deviation: float | None = None
    f1: float | None = None
    parameters: int | None = None
    megabytes: float | None = None
    milliseconds: float | None = None
    minutes: float | None = None
    signers: int | None = None
    run: str = ""
    failure: str = ""


def accuracies(answers: pd.DataFrame) -> dict[str, Any]:
    """The fields of a row that follow from out-of-fold answers.

    Args:
        answers: a row a clip and seed, see `asl.evaluation.crossval.COLUMNS`.
    """
    clips = accuracy_by_clip(answers)
    interval = over_signers(clips["accuracy"].to_numpy(), clips["signer"].to_numpy(str))
    correct = answers["predicted"] == answers["sign"]
    by_seed = correct.groupby(answers["seed"]).mean()
    low, high = interval or (None, None)
    return {
        "accuracy": float(clips["accuracy"].mean()),
        "low": low,
        "high": high,
        "deviation": float(by_seed.std()) if len(by_seed) > 1 else None,
        "signers": int(clips["signer"].nunique()),
    }


def ranked(rows: Sequence[Row]) -> list[Row]:
    """By data set, the most accurate first and those without figures last."""
    order = list(dict.fromkeys(row.data for row in rows))
    return sorted(rows, key=lambda row: (order.index(row.data), -_or_less(row.accuracy)))


def overall(rows: Sequence[Row]) -> pd.DataFrame:
    """Accuracy of each recognizer on each data set, and its mean rank on all of them, best first.

    Equal accuracies share the mean of their ranks. One that failed on a data set is last there,
    with the others that did.
    """
    table = pd.DataFrame([(row.name, row.data, row.accuracy) for row in rows])
    table.columns = pd.Index(["name", "data", "accuracy"])
    wide = table.pivot(index="name", columns="data", values="accuracy").astype(float)
    wide = wide[list(dict.fromkeys(row.data for row in rows))]
    ranks = wide.fillna(-1).rank(ascending=False)
    return wide.assign(**{"mean rank": ranks.mean(axis=1)}).sort_values("mean rank", kind="stable")


def as_table(rows: Sequence[Row]) -> pd.DataFrame:
    """A row each, as they are; the content of leaderboard.csv."""
    return pd.DataFrame([asdict(row) for row in rows])


def as_markdown(rows: Sequence[Row], facts: Mapping[str, str], command: str) -> str:
    """The leaderboard as a page of Markdown.

    Args:
        rows: ranked.
        facts: what holds for all, by name: protocol, machine.
        command: that makes it.
    """
    parts = ["# Leaderboard", *(f"{name}: {_escaped(fact)}" for name, fact in facts.items())]
    parts += ["## All data sets", _lines(*_overall_cells(rows))]
    for data, some in _by_data(rows).items():
        parts += [f"## {_escaped(data)}", _lines(*_cells(some))]
        parts += [f"`{row.name}`: {_escaped(row.failure)}" for row in some if row.failure]
    return "\n\n".join([*parts, NOTE, f"```bash\n{command}\n```"]) + "\n"


def as_page(rows: Sequence[Row], facts: Mapping[str, str], command: str) -> str:
    """The leaderboard as one HTML file, with its pictures inside; arguments of `as_markdown`."""
    by_data = _by_data(rows)
    return report_page(
        TEMPLATE,
        facts=facts,
        overall=_overall_cells(rows),
        tables={data: _cells(some) for data, some in by_data.items()},
        failures={data: [row for row in some if row.failure] for data, some in by_data.items()},
        pictures={data: as_base64(dots(some)) for data, some in by_data.items()},
        note=NOTE,
        command=command,
    )


def dots(rows: Sequence[Row]) -> Figure:
    """Draw the accuracies of recognizers on a data set, with their intervals over signers."""
    drawn = [row for row in rows if row.accuracy is not None]
    figure = Figure(figsize=(7, 1.2 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    means = np.array([row.accuracy for row in drawn], float)
    ends = [(row.low, row.high) for row in drawn]
    for place, (mean, (low, high)) in enumerate(zip(means, ends, strict=True)):
        if low is not None and high is not None:
            axes.plot([low, high], [place, place], color="grey", linewidth=1)
        axes.plot([mean], [place], "o", color=_MARK)
    axes.set_yticks(range(len(drawn)), [row.name for row in drawn])
    axes.set_xlabel("accuracy of new signers (lines: 95 % intervals over signers)")
    axes.invert_yaxis()
    return with_literal_texts(figure)


def _by_data(rows: Sequence[Row]) -> dict[str, list[Row]]:
    names = dict.fromkeys(row.data for row in rows)
    return {name: [row for row in rows if row.data == name] for name in names}


def _overall_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    table = overall(rows)
    cells = [
        [str(name), *(_number(value, 3) for value in values[:-1]), f"{values[-1]:.1f}"]
        for name, values in zip(table.index, table.to_numpy(), strict=True)
    ]
    return ["recognizer", *map(str, table.columns)], cells


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """The heads of a data set's table, and its rows."""
    heads = ["", "recognizer", "accuracy", "macro F1", "parameters", "MB", "ms", "minutes"]
    return heads, [
        [
            str(place) if row.accuracy is not None else "",
            row.name,
            _accuracy(row),
            _number(row.f1, 3),
            "" if row.parameters is None else f"{row.parameters:,}",
            _number(row.megabytes, 2),
            _number(row.milliseconds, 2),
            _number(row.minutes, 1),
        ]
        for place, row in enumerate(rows, start=1)
    ]


def _accuracy(row: Row) -> str:
    if row.accuracy is None:
        return "failed"
    spread = "" if row.deviation is None else f" ± {_number(row.deviation, 3)}"
    interval = "" if row.low is None else f" [{_number(row.low, 3)}, {_number(row.high, 3)}]"
    return f"{_number(row.accuracy, 3)}{spread}{interval}"


def _number(value: float | None, digits: int) -> str:
    if value is None or np.isnan(value):
        return ""
    return f"{value:.{digits}f}"


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(heads, ([_escaped(cell) for cell in row] for row in rows))


def _escaped(text: str) -> str:
    """A stranger's text, in which no character means anything to Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _or_less(accuracy: float | None) -> float:
    return -1.0 if accuracy is None else accuracy
