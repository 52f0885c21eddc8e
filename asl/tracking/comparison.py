"""Cross-validations of a multirun beside each other: tables, a text, a figure."""

from collections.abc import Iterable, Mapping

import pandas as pd
from matplotlib.figure import Figure

from asl.markdown import markdown_table
from asl.tracking.record import record_figure, record_table, record_text
from asl.tracking.run import TrackedRun

_MARK, _BASE = "#4878a8", "#c0504d"


def record_comparison(run: TrackedRun, tables: Mapping[str, pd.DataFrame], text: str) -> None:
    """Log the tables as one csv, the text, and the figure.

    Args:
        run: the multirun's parent.
        tables: of `asl.evaluation.crossval.comparison`, the column `job` added, by data set.
        text: of comparison.md.
    """
    together = pd.concat(list(tables.values()), keys=list(tables), names=["data"])
    record_table(run, together.reset_index(level="data"), "comparison.csv")
    record_text(run, text, "comparison.md")
    record_figure(run, accuracies(tables), "comparison.png")


def markdown(table: pd.DataFrame) -> str:
    """A comparison as a table to paste into a README; the base's row has no difference."""
    base = table["job"].iloc[0]
    columns: dict[str, Iterable[str]] = {
        "job": table["job"].map("`{}`".format),
        "mean accuracy": _plus_minus(table["accuracy"], table["accuracy_std"]),
        **{str(name): table[name].map(_number) for name in table.filter(like="test [")},
        "macro F1": table["f1"].map(_number),
        "runs": table["runs"].astype(str),
        f"against `{base}`, paired": _plus_minus(
            table["difference"], table["difference_error"], "+"
        ),
    }
    return markdown_table(list(columns), zip(*columns.values(), strict=True))


def accuracies(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw each data set's mean accuracies, the best first, with their deviations over seeds."""
    heights = [1.1 + 0.3 * len(table) for table in tables.values()]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    panels = figure.subplots(len(tables), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        best_first = table.sort_values("accuracy", ascending=False, kind="stable")
        means, places = best_first["accuracy"], range(len(table))
        spread = best_first["accuracy_std"].fillna(0)
        axes.errorbar(means, places, xerr=spread, fmt="o", color=_MARK, ecolor="grey", capsize=3)
        axes.axvline(table["accuracy"].iloc[0], color=_BASE, linewidth=1)
        labels = [f"{job}  {mean:.3f}" for job, mean in zip(best_first["job"], means, strict=True)]
        axes.set_yticks(places, labels, fontsize=8)
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_title(title.replace("; ", "\n"), fontsize=8, loc="left")
    panels[-1].set_xlabel(
        "mean accuracy over folds and seeds (bars: deviation over seeds; line: the first job)",
        fontsize=8,
    )
    return figure


def _number(value: float, sign: str = "") -> str:
    return "" if pd.isna(value) else f"{value:{sign}.4f}".replace("0.", ".", 1)


def _plus_minus(values: pd.Series, spreads: pd.Series, sign: str = "") -> list[str]:
    return [
        _number(value, sign) + ("" if pd.isna(spread) else f" ± {_number(spread)}")
        for value, spread in zip(values, spreads, strict=True)
    ]
