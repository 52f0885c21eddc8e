"""Pictures of a run's results."""

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

MOST_LABELS = 60  # more signs than this and their names would overlap


def confusion_matrix(counts: pd.DataFrame, title: str) -> Figure:
    """Draw a confusion matrix, rows the true signs, as shares of each row; counts in small ones."""
    values = counts.to_numpy()
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    size = min(3.5 + 0.28 * len(values), 16)
    figure, axes = plt.subplots(figsize=(size + 1, size), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, fraction=0.04, label="share of the sign's clips")
    axes.set(xlabel="recognised", ylabel="signed")
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
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
    """Draw each signer's accuracy, the hardest first, with the mean as a line."""
    figure, axes = plt.subplots(figsize=(6, 1.6 + 0.32 * len(signers)), layout="constrained")
    places = range(len(signers))
    bars = axes.barh(places, signers["accuracy"], color="#4878a8")
    axes.set_yticks(places, signers["signer"].astype(str))
    axes.bar_label(bars, labels=[f"{a:.3f}" for a in signers["accuracy"]], padding=3, fontsize=8)
    mean = signers["accuracy"].mean()
    axes.axvline(mean, color="#c0504d", linewidth=1)
    axes.set(
        xlim=(0, 1.12), xlabel=f"accuracy (line: mean over signers {mean:.3f})", ylabel="signer"
    )
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
    axes.invert_yaxis()
    return figure
