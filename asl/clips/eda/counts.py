"""The sections of `asl eda` on how many clips there are, and how long they are."""

from pathlib import Path

import numpy as np
import pandas as pd

from asl.clips.columns import broken_down
from asl.clips.eda.page import (
    DARK,
    SECOND,
    Section,
    box_plot,
    counted,
    name_ticks,
    new_figure,
    shortened,
    side_by_side,
)
from asl.clips.names import sorted_names
from asl.clips.store import ClipStore

_MOST_FREQUENT = 20


def signs(clips: pd.DataFrame, store: ClipStore, folder: Path) -> Section:
    """Clips of each sign."""
    counts = clips["sign"].value_counts().reindex(store.signs, fill_value=0)
    counts = counts.sort_values(ascending=False, kind="stable").rename("clips")
    counts.rename_axis("sign").to_csv(folder / "signs.csv")
    text = f"Clips of a sign: {_spread(counts)}."
    if counts.min() == counts.max():
        return Section("Signs", text, files=["signs.csv"])
    ends = {"Most frequent signs": counts[:_MOST_FREQUENT]}
    if len(counts) > _MOST_FREQUENT:
        ends["Rarest signs"] = counts[_MOST_FREQUENT:][-_MOST_FREQUENT:]
    figure = new_figure(9, 1.2 + 0.2 * len(ends["Most frequent signs"]))
    for axes, (title, some) in zip(side_by_side(figure, len(ends)), ends.items(), strict=True):
        bars = axes.barh(range(len(some)), some, color=DARK)
        axes.bar_label(bars, padding=2, fontsize=8)
        axes.set(title=title, xlabel="clips")
        name_ticks(axes, "y", some.index)
        axes.invert_yaxis()
    return Section("Signs", text, [figure], files=["signs.csv"])


def signers(clips: pd.DataFrame, store: ClipStore, folder: Path) -> Section:
    """Clips of each signer, and of each sign by each signer."""
    table = clips.groupby("signer").agg(
        clips=("sign", "size"), signs=("sign", "nunique"), median_frames=("frames", "median")
    )
    table = table.reindex(store.signers)
    table.to_csv(folder / "signers.csv")
    coverage = pd.crosstab(clips["sign"], clips["signer"])
    coverage = coverage.reindex(index=store.signs, columns=store.signers, fill_value=0)
    coverage.to_csv(folder / "coverage.csv")
    text, files = f"Clips of a signer: {_spread(table['clips'])}", ["signers.csv", "coverage.csv"]
    least, most = coverage.to_numpy().min(), coverage.to_numpy().max()
    if least == most:
        each = counted(int(least), "clip")
        return Section("Signers", f"{text}; {each} of each sign by each signer.", files=files)
    empty = np.argwhere(coverage.to_numpy() == 0)
    figure = new_figure(9, min(9.0, 1.5 + 0.22 * len(coverage)))
    (axes,) = side_by_side(figure, 1)
    image = axes.imshow(coverage, aspect="auto", cmap="Blues", vmin=0, interpolation="nearest")
    axes.plot(empty[:, 1], empty[:, 0], "x", color=SECOND, markersize=4)
    axes.set(title="Clips of each sign by each signer (× = none)", xlabel="signer")
    name_ticks(axes, "x", store.signers)
    name_ticks(axes, "y", store.signs)
    figure.colorbar(image, ax=axes, label="clips", shrink=0.8)
    pairs = f"{len(empty):,} of {coverage.size:,} pairs of sign and signer have no clip"
    who = pairs if len(empty) else "every signer has every sign"
    return Section("Signers", f"{text}; {who}.", [figure], files=files)


def lengths(clips: pd.DataFrame, store: ClipStore, folder: Path) -> Section:
    """Frames of a clip."""
    frames = clips["frames"]
    quantiles = frames.quantile([0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1]).rename("frames")
    quantiles.rename_axis("quantile").to_csv(folder / "lengths.csv")
    shortest, longest = int(frames.min()), int(frames.max())
    if shortest == longest:
        return Section(
            "Lengths", f"All clips have {counted(shortest, 'frame')}.", files=["lengths.csv"]
        )
    figure = new_figure(9, 3)
    left, right = side_by_side(figure, 2)
    top = max(quantiles[0.99] * 1.05, shortest + 10)
    edges = np.linspace(shortest, top, int(min(50, top - shortest)) + 1).tolist()
    left.hist(np.minimum(frames, top), bins=edges, color=DARK)
    left.axvline(quantiles[0.5], color=SECOND)
    left.set(title="Frames per clip (line = median)", xlabel="frames", ylabel="clips")
    box_plot(right, frames, clips["signer"], store.signers)
    right.set(title="by signer", xlabel="signer", ylabel="frames")
    text = (
        f"Clips have {shortest:,} to {counted(longest, 'frame')}, with a median of "
        f"{quantiles[0.5]:,.0f}; the longest twentieth has {quantiles[0.95]:,.0f} or more."
    )
    if longest > top:
        text += " The last bar of the histogram holds all that are longer."
    return Section("Lengths", text, [figure], files=["lengths.csv"])


def columns(store: ClipStore, folder: Path) -> Section | None:
    """Clips, signers and signs of each value of the recordings' columns; None without columns."""
    if not store.columns:
        return None
    clips = pd.DataFrame({"sign": store.clip_signs, "signer": store.clip_signers})
    rows, listed = [], broken_down(store.columns)
    for name in listed:
        values = store.columns[name]
        for value in sorted_names(values):
            some = clips[values == value]
            numbers = {"clips": len(some), "signers": some["signer"].nunique()}
            rows.append(
                {"column": name, "value": value} | numbers | {"signs": some["sign"].nunique()}
            )
    table = pd.DataFrame(rows, columns=["column", "value", "clips", "signers", "signs"])
    table.to_csv(folder / "columns.csv", index=False)
    text = "What the recordings say of clips besides sign and signer, and how many clips have it."
    many = [
        f"{shortened(name)} ({len(set(values)):,} values)"
        for name, values in store.columns.items()
        if name not in listed
    ]
    if many:
        text += f" Not listed, as they have too many values: {', '.join(many)}."
    return Section("Columns", text, table=table, files=["columns.csv"])


def _spread(counts: pd.Series) -> str:
    low, high = counts.min(), counts.max()
    if low == high:
        return f"{low:,} each"
    least, most = (shortened(str(name)) for name in (counts.idxmin(), counts.idxmax()))
    middle = f"with a median of {counts.median():,.0f}"
    return f"from {low:,} ({least}) to {high:,} ({most}), {middle}"
