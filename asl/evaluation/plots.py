"""Figures of an evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asl.clips.drawing import draw_strip
from asl.clips.store import ClipStore
from asl.evaluation.confusion import example_clips, worst_clips
from asl.evaluation.evaluate import Evaluation
from asl.landmarks import Layout

MOST_LABELS = 60  # names of more signs would overlap
DRAWN_FRAMES = 5
DRAWN_PAIRS = 3
DRAWN_WORST = 6
_BAR, _LINE, _PALE = "#4878a8", "#c0504d", "#b8cce0"


class Drawn(NamedTuple):
    """A clip to be drawn, [frames, landmarks, channels], and its title."""

    title: str
    clip: np.ndarray


def confusion_matrix(counts: pd.DataFrame, title: str) -> Figure:
    """Draw a confusion matrix normalised by true sign (rows), with counts in small ones."""
    values = counts.to_numpy()
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    size = min(3.5 + 0.28 * len(values), 16)
    figure = _figure(size + 1, size, title)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, fraction=0.04, label="share of the sign's clips")
    axes.set(xlabel="predicted sign", ylabel="true sign")
    if len(values) <= MOST_LABELS:
        axes.set_xticks(range(len(values)), counts.columns, rotation=90, fontsize=8)
        axes.set_yticks(range(len(values)), counts.index, fontsize=8)
    if len(values) <= MOST_LABELS // 2:
        for row, column in np.argwhere(values > 0):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, values[row, column], ha="center", va="center", fontsize=7, color=colour
            )
    return figure


def signer_bars(signers: pd.DataFrame, title: str) -> Figure:
    """Draw each signer's accuracy, with the mean as a line.

    Args:
        signers: columns signer and accuracy, and low and high of an interval, if any.
        title: of the figure.
    """
    figure = _figure(6, 1.6 + 0.32 * len(signers), title)
    axes = figure.subplots()
    places = range(len(signers))
    bars = axes.barh(places, signers["accuracy"], color=_BAR, xerr=_errors(signers), ecolor="grey")
    axes.set_yticks(places, signers["signer"].astype(str))
    labels = [f"{a:.3f}" for a in signers["accuracy"]]
    axes.bar_label(bars, labels=labels, padding=3, fontsize=8)
    mean = signers["accuracy"].mean()
    axes.axvline(mean, color=_LINE, linewidth=1)
    interval = "; 95 % intervals over clips" if "low" in signers else ""
    axes.set(
        xlim=(0, 1.12),
        xlabel=f"accuracy (line: mean over signers {mean:.3f}{interval})",
        ylabel="signer",
    )
    axes.invert_yaxis()
    return figure


def breakdown(lengths: pd.DataFrame, missing: pd.DataFrame | None, title: str) -> Figure:
    """Draw accuracy by clip length, and by missing hands if the layout has hands.

    Args:
        lengths: a table of `asl.evaluation.breakdown.by_length`.
        missing: a table of `by_missing_hands`.
        title: of the figure.
    """
    figure = _figure(9 if missing is not None else 5, 3.4, title)
    line = figure.subplots(1, 1 if missing is None else 2, squeeze=False, sharey=True)[0]
    _accuracies(line[0], lengths, "frames", _spans(lengths, "d"))
    if missing is not None:
        _accuracies(line[1], missing, "frames without a hand", _spans(missing, ".0%"))
    line[0].set(ylabel="accuracy, 95 % interval", ylim=(0, 1.1))
    return figure


def confidence(
    as_is: pd.DataFrame, calibrated: pd.DataFrame | None, curve: pd.DataFrame, title: str
) -> Figure:
    """Draw what a confidence is worth: the reliability diagram and the risk–coverage curve.

    Args:
        as_is: a table of `asl.evaluation.calibration.reliability`.
        calibrated: the same at the fitted temperature.
        curve: a table of `asl.evaluation.abstention.risk_coverage`.
        title: of the figure.
    """
    figure = _figure(8.6, 4.2, title)
    left, right = figure.subplots(1, 2)
    _reliability(left, as_is, calibrated)
    right.plot(curve["coverage"], curve["error"], color=_BAR, linewidth=1)
    right.set(
        xlabel="coverage: the share of clips that it answers, the surest first",
        ylabel="error among the answers",
        xlim=(0, 1.03),
        ylim=(0, max(0.05, 1.1 * curve["error"].max())),
    )
    return figure


def _reliability(axes: Axes, as_is: pd.DataFrame, calibrated: pd.DataFrame | None) -> None:
    """Accuracy against confidence; on the diagonal a recognizer is calibrated."""
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    curves = [("as trained", as_is, _BAR), ("at the fitted temperature", calibrated, _LINE)]
    for label, table, colour in curves:
        if table is not None:
            bins = table[table["clips"] > 0]
            sizes = 8 + 120 * bins["clips"] / bins["clips"].sum()
            axes.plot(bins["confidence"], bins["accuracy"], color=colour, linewidth=1, label=label)
            axes.scatter(bins["confidence"], bins["accuracy"], s=sizes, color=colour)
    axes.set(xlabel="confidence (size: clips)", ylabel="accuracy", xlim=(0, 1.03), ylim=(0, 1.03))
    axes.legend(loc="upper left", frameon=False, fontsize=8)


def clip_pairs(pairs: Sequence[tuple[Drawn, Drawn]], layout: Layout, title: str) -> Figure:
    """Draw pairs of clips side by side, one row per pair, hands and pose without the face.

    Args:
        pairs: two clips each.
        layout: of the clips.
        title: of the figure.
    """
    figure = _figure(13, 0.4 + 1.6 * len(pairs), title)
    grid = figure.subplots(len(pairs), 2, squeeze=False)
    face = layout.parts.get("face", ())
    body = replace(layout, bones=tuple(bone for bone in layout.bones if bone[0] not in face))
    for axes, drawn in zip(grid.flat, (each for pair in pairs for each in pair), strict=True):
        draw_strip(axes, drawn.clip, body, DRAWN_FRAMES)
        axes.set_title(drawn.title, fontsize=8, loc="left")
    return figure


def curves(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str) -> Figure:
    """Draw several recognizers' curves over each other.

    Args:
        lines: epochs and values, by name.
        title: of the figure.
    """
    figure = _figure(8, 3.2, title)
    axes = figure.subplots()
    for name, (epochs, values) in lines.items():
        axes.plot(epochs, values, label=name, marker=".", linewidth=1)
    axes.set_xlabel("epoch")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _figure(width: float, height: float, title: str) -> Figure:
    # Not a figure of pyplot, which would have to be closed.
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(title, fontsize=9, x=0.01, ha="left", wrap=True)
    return figure


def _accuracies(axes: Axes, groups: pd.DataFrame, what: str, labels: list[str]) -> None:
    places = range(len(groups))
    axes.bar(places, groups["accuracy"], color=_PALE, yerr=_errors(groups), ecolor=_BAR, capsize=3)
    for place, clips in zip(places, groups["clips"], strict=True):
        axes.text(place, 0.02, f"{clips:,}\nclips", ha="center", fontsize=7)
    axes.set_xticks(places, labels, fontsize=8)
    axes.set_xlabel(what)
    axes.set_xlim(-0.8, max(len(groups), 3) - 0.2)


def _errors(table: pd.DataFrame) -> np.ndarray | None:
    """Error bars, [2, rows]: distances from the accuracy down to low and up to high, if any."""
    if "low" not in table:
        return None
    ends = np.stack([table["accuracy"] - table["low"], table["high"] - table["accuracy"]])
    return ends.clip(min=0)


def _spans(groups: pd.DataFrame, form: str) -> list[str]:
    ends = zip(groups["from"], groups["to"], strict=True)
    return [f"{a:{form}}" if a == b else f"{a:{form}}–{b:{form}}" for a, b in ends]


def evaluation_figures(
    evaluation: Evaluation, store: ClipStore, title: str, brief: bool = False
) -> dict[str, Figure]:
    """Figures of an evaluation by name.

    Args:
        evaluation: of clips of the store.
        store: the clips.
        title: of each figure.
        brief: draw only the confusion matrix and accuracy by signer.
    """
    tables = evaluation.tables
    figures = {
        "confusion": confusion_matrix(tables["confusion"], title),
        "per_signer": signer_bars(tables["per_signer"], title),
    }
    if brief:
        return figures
    figures["breakdown"] = breakdown(tables["by_length"], tables.get("by_missing_hands"), title)
    figures["confidence"] = confidence(
        tables["reliability"], tables.get("reliability_calibrated"), tables["risk_coverage"], title
    )
    if examples := _confused_examples(evaluation, store):
        figures["confused_pairs"] = clip_pairs(examples, store.layout, title)
    if worst := _worst_examples(evaluation, store):
        figures["worst_clips"] = clip_pairs(worst, store.layout, title)
    return figures


def _confused_examples(evaluation: Evaluation, store: ClipStore) -> list[tuple[Drawn, Drawn]]:
    """Clips of the most confused pairs, in the more frequent direction.

    Pairs with a sign that has no clip in the store are skipped.
    """
    pairs = evaluation.tables["confused_pairs"]
    drawable = pairs[pairs[["sign", "other"]].isin(set(store.clip_signs)).all(axis=1)]
    examples = []
    for pair in drawable.head(DRAWN_PAIRS).to_dict("records"):
        sign, other = pair["sign"], pair["other"]
        as_other, as_sign = pair["sign_as_other"], pair["other_as_sign"]
        if as_sign > as_other:
            sign, other = other, sign
        rows = example_clips(evaluation.predictions, store, sign, other)
        titles = (f"{sign}, predicted as {other} ({max(as_other, as_sign)} ×)", f"{other}")
        examples.append(_pair(store, titles, rows))
    return examples


def _worst_examples(evaluation: Evaluation, store: ClipStore) -> list[tuple[Drawn, Drawn]]:
    """The most confident mistakes, each beside a clip of the sign that was predicted."""
    return [
        _pair(
            store,
            (
                f"{store.clip_signs[row]}, taken for {store.clip_signs[other]} ({sure:.0%})",
                f"{store.clip_signs[other]}",
            ),
            (row, other),
        )
        for row, sure, other in worst_clips(evaluation.predictions, store, DRAWN_WORST)
    ]


def _pair(store: ClipStore, titles: tuple[str, str], rows: tuple[int, int]) -> tuple[Drawn, Drawn]:
    first, second = (
        Drawn(
            f"{text}\nsigner {store.clip_signers[row]}, {store.clips['path'].iloc[row]}",
            store.read(row),
        )
        for text, row in zip(titles, rows, strict=True)
    )
    return first, second
