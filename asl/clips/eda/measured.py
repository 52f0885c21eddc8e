"""The sections of `asl eda` on what is measured of each clip: detections, coordinates, signers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from asl.clips.eda.page import (
    DARK,
    GREY,
    PALE,
    SECOND,
    Section,
    box_plot,
    counted,
    name_ticks,
    new_figure,
    shortened,
    side_by_side,
)
from asl.clips.measures import STEPS, Measures, measure
from asl.clips.problems import NEAR, usual
from asl.clips.store import ClipStore

_COLOURS = {"left_hand": SECOND, "right_hand": DARK, "face": GREY}
_HANDS = {"left": SECOND, "right": DARK, "both": PALE, "neither": "#d9d9d9"}
_MOST_NUMBERS = 30  # rows of a heat map that have room for numbers
_FENCE = 3.0  # times the interquartile range: Tukey's outer fence
_DRIFT = {
    "size": "distance of the shoulders",
    "x": "middle, x",
    "y": "middle, y",
    "movement": "movement, in shoulders",
}
_WITHOUT_SHOULDERS = _DRIFT | {"size": "spread over the clip", "movement": "movement, in spreads"}


def detected_parts(store: ClipStore, rows: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """The share of its frames in which each part of the body was detected, for each clip.

    Returns:
        A row for each clip: signer, and a column from 0 to 1 for each part of the layout.
    """
    return _detected(measure(store, rows))


def signing_hand(detected: pd.DataFrame) -> pd.DataFrame:
    """The signing hand by signer: the one detected in more frames of a clip.

    Args:
        detected: the table of `detected_parts`, of a layout with hands.

    Returns:
        A row for each signer: shares of clips with left, right, both (equally), or neither.
    """
    left, right = detected["left_hand"], detected["right_hand"]
    neither = (left == 0) & (right == 0)
    which = np.select([neither, left > right, right > left], ["neither", "left", "right"], "both")
    shares = pd.crosstab(detected["signer"], which, normalize="index")
    return shares.reindex(columns=list(_HANDS), fill_value=0.0)


def missing(measures: Measures, store: ClipStore, folder: Path) -> Section:
    """How often each part of the body is missing: over the time of a clip, and by signer."""
    detected, parts = _detected(measures), [str(part) for part in measures.detected]
    table = detected.groupby("signer")[parts].mean().reindex(store.signers).dropna(how="all")
    table.loc["all"] = detected[parts].mean()
    table.to_csv(folder / "detected.csv", float_format="%.4f")
    middles = (np.arange(STEPS) + 0.5) / STEPS
    over_time = measures.missing.set_index(pd.Index(middles, name="time"))
    over_time.to_csv(folder / "missing_over_time.csv", float_format="%.4f")
    shares = (1 - detected[parts].mean()).items()
    listed = ", ".join(f"{str(part).replace('_', ' ')} {share:.0%}" for part, share in shares)
    text = f"Missing, of the frames of a clip on average: {listed}."
    files = ["detected.csv", "missing_over_time.csv"]
    if (table == 1).all(axis=None):
        return Section("What is missing", "Nothing.", files=files)
    figure = new_figure(10, max(3.0, 1.4 + 0.26 * min(len(table), _MOST_NUMBERS)))
    left, right = side_by_side(figure, 2)
    for part in parts:
        label, colour = part.replace("_", " "), _COLOURS.get(part, "#444444")
        left.plot(100 * middles, 100 * over_time[part], color=colour, label=label, linewidth=2)
    left.set(title="Clips in which a part is missing", xlabel="% of the clip's time", ylabel="%")
    left.set(xlim=(0, 100), ylim=(-3, 103))
    left.grid(alpha=0.3)
    left.legend(frameon=False, fontsize=8)
    _heat_map(right, 1 - table)
    right.set(title="Missing frames, %, by signer")
    return Section("What is missing", text, [figure], files=files)


def hands(measures: Measures, store: ClipStore, folder: Path) -> Section | None:
    """Who signs with the left hand; None for a layout without hands."""
    if not {"left_hand", "right_hand"} <= set(measures.detected):
        return None
    shares = signing_hand(_detected(measures))
    shares = shares.reindex([signer for signer in store.signers if signer in shares.index])
    shares.to_csv(folder / "hands.csv", float_format="%.4f")
    figure = new_figure(9, min(9.0, 1.2 + 0.26 * len(shares)))
    (axes,) = side_by_side(figure, 1)
    start = np.zeros(len(shares))
    for hand, colour in _HANDS.items():
        axes.barh(range(len(shares)), shares[hand], left=start, color=colour, label=hand)
        start += shares[hand].to_numpy()
    axes.set(title="The hand seen in more frames of a clip", xlabel="share of clips", xlim=(0, 1))
    axes.set_ylabel("signer")
    name_ticks(axes, "y", shares.index)
    axes.invert_yaxis()
    axes.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    lefties = [shortened(str(who)) for who in shares.index[shares["left"] > shares["right"]]]
    who = f"left-handed by this measure: {', '.join(lefties)}" if lefties else "none is left-handed"
    text = (
        f"Of {counted(len(shares), 'signer')}, {who}. MediaPipe's left and right are the "
        "signer's, unless the recording was mirrored."
    )
    return Section("Which hand signs", text, [figure], files=["hands.csv"])


def coordinates(measures: Measures, store: ClipStore, folder: Path) -> Section:
    """The range of the coordinates of each signer's clips, and clips far outside."""
    clips = measures.clips
    columns = ["low_x", "high_x", "low_y", "high_y"]
    table = clips.groupby("signer")[columns].median().reindex(store.signers).dropna(how="all")
    table.to_csv(folder / "coordinates.csv", float_format="%.5g")
    figure = new_figure(10, 3)
    outside = np.zeros(len(clips), bool)
    for axes, axis in zip(side_by_side(figure, 2), "xy", strict=True):
        low, high = _fences(clips[f"low_{axis}"])[0], _fences(clips[f"high_{axis}"])[1]
        outside |= ((clips[f"low_{axis}"] < low) | (clips[f"high_{axis}"] > high)).to_numpy()
        _ranges(axes, clips, table.index, axis, low, high)
    count = int(outside.sum())
    text = (
        "1 % to 99 % of the coordinates of each clip, without the face: a line a clip, "
        f"thick the signer's median. Outside the dotted lines, "
        f"{_FENCE:.0f} interquartile ranges beyond the quartiles: {counted(count, 'clip')}."
    )
    shown = clips.loc[outside, ["clip", "sign", "signer", *columns]]
    shown = shown.loc[clips["reach"][outside].sort_values(ascending=False).index]
    rounded = {name: shown[name].map("{:,.4g}".format) for name in columns}
    return Section(
        "Coordinates", text, [figure], table=shown.assign(**rounded), files=["coordinates.csv"]
    )


def drift(measures: Measures, store: ClipStore, folder: Path) -> Section:
    """How signers differ in what a recognizer should ignore: size, position, movement."""
    clips = measures.clips
    table = clips.groupby("signer")[list(_DRIFT)].median().reindex(store.signers)
    table.dropna(how="all").to_csv(folder / "drift.csv", float_format="%.5g")
    if len(table) < 2:
        return Section("Drift between signers", "There is one signer.", files=["drift.csv"])
    figure = new_figure(10, 5)
    explained = []
    titles = _DRIFT if "shoulders" in store.layout.lengths else _WITHOUT_SHOULDERS
    for axes, (name, title) in zip(figure.subplots(2, 2).flat, titles.items(), strict=True):
        box_plot(axes, clips[name], clips["signer"], store.signers)
        axes.set(title=title)
        explained.append(f"{title} {between_groups(clips[name], clips['signer']):.0%}")
    text = (
        "What differs between signers and not between signs. Of the variance over clips, of "
        f"ranks, that between signers is: {'; '.join(explained)}."
    )
    return Section("Drift between signers", text, [figure], files=["drift.csv"])


def between_groups(values: pd.Series, groups: pd.Series) -> float:
    """The share of the variance of ranks that lies between groups, 0 to 1 (Kruskal and Wallis)."""
    ranks = values.dropna().rank()
    total = float(((ranks - ranks.mean()) ** 2).sum())
    if not total:
        return 0.0
    means = ranks.groupby(groups).transform("mean")
    return float(((means - ranks.mean()) ** 2).sum()) / total


def likeness(measures: Measures, store: ClipStore) -> Section | None:
    """How similar clips are: the distance to each clip's nearest neighbour, its signer and sign."""
    near, clips = measures.neighbours, measures.clips
    found = near.rows[:, 0] >= 0
    if not found.any():
        return None
    distance = near.distance[found, 0]
    figure = new_figure(9, 2.6)
    (axes,) = side_by_side(figure, 1)
    axes.hist(np.minimum(distance, np.quantile(distance, 0.99)), bins=50, color=DARK)
    axes.axvline(NEAR * usual(distance), color=SECOND, linestyle=":")
    axes.set(title="Distance to the nearest other clip (dotted = nearly the same)", ylabel="clips")
    axes.set(xlabel="root mean square difference of distances between landmarks, in shoulders")
    shares = []
    for name in ("signer", "sign"):
        values = clips[name].to_numpy(str)
        same = (values[near.rows[found, 0]] == values[found]).mean()
        chance = float((clips[name].value_counts(normalize=True) ** 2).sum())
        shares.append(f"the same {name} in {same:.0%} of clips (by chance {chance:.0%})")
    text = (
        f"The nearest other clip has {' and '.join(shares)}. Clips are compared by the distances "
        "between hands and body over the time of the clip, not by where a signer stands."
    )
    return Section("Likeness of clips", text, [figure])


# --- parts of figures ---------------------------------------------------------------------------


def _heat_map(axes: Axes, table: pd.DataFrame) -> None:
    axes.imshow(table, aspect="auto", cmap="Oranges", vmin=0, vmax=1)
    if len(table) <= _MOST_NUMBERS:
        for (row, column), share in np.ndenumerate(table.to_numpy()):
            colour = "white" if share > 0.6 else "black"
            text = f"{100 * share:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    name_ticks(axes, "x", [str(part).replace("_", " ") for part in table.columns])
    name_ticks(axes, "y", table.index)


def _ranges(
    axes: Axes, clips: pd.DataFrame, signers: pd.Index, axis: str, low: float, high: float
) -> None:
    """Each clip's range as a thin line, and the median range of each signer as a thick one."""
    for place, signer in enumerate(signers):
        mine = clips[clips["signer"] == signer]
        places = place + np.linspace(-0.35, 0.35, len(mine))
        lows, highs = mine[f"low_{axis}"], mine[f"high_{axis}"]
        axes.vlines(places, lows, highs, color=PALE, linewidth=0.6)
        axes.vlines(place, lows.median(), highs.median(), color=DARK, linewidth=4)
    for fence in (low, high):
        axes.axhline(fence, color=SECOND, linestyle=":")
    margin = 0.3 * (high - low) or 1.0
    axes.set(ylim=(low - margin, high + margin), title=f"{axis}, by signer")
    name_ticks(axes, "x", signers)


def _fences(values: pd.Series) -> tuple[float, float]:
    """Tukey's outer fences."""
    first, third = values.quantile([0.25, 0.75])
    margin = _FENCE * (third - first)
    return float(first - margin), float(third + margin)


def _detected(measures: Measures) -> pd.DataFrame:
    table = measures.detected.copy()
    table.insert(0, "signer", measures.clips["signer"])
    return table
