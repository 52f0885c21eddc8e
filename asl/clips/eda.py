"""Exploratory data analysis: a report on a data set with tables and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asl.clips.drawing import draw_clip
from asl.clips.store import ClipStore
from asl.files import replacing_in
from asl.pictures import with_literal_texts

_MOST_FREQUENT = 20
_DRAWN_CLIPS, _DRAWN_FRAMES = 4, 8
_SAMPLED_CLIPS = 5000
_PALE, _DARK, _SECOND = "#9ecae1", "#3182bd", "#e6550d"
_STYLE: dict[Any, Any] = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "font.size": 9,
}


def write_report(store: ClipStore, directory: Path | str, seed: int = 0) -> Path:
    """Writes report.md with its figures (.png) and tables (.csv).

    Counts are of all clips. Missing parts and the dominant hand are measured on a random sample of
    at most 5,000 clips.

    Args:
        store: the data set.
        directory: of the report; made if need be, files of the same names are replaced.
        seed: of the sample, and of the clips that are drawn.

    Returns:
        The path of report.md.
    """
    directory = Path(directory)
    clips = store.clips.assign(sign=store.clip_signs, signer=store.clip_signers)
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.permutation(len(store))[:_SAMPLED_CLIPS])
    detected = detected_parts(store, sample)
    with replacing_in(directory) as folder, matplotlib.rc_context(_STYLE):
        sections = [
            _overview(store),
            _signs(clips, store, folder),
            _signers(clips, store, folder),
            _coverage(clips, store, folder),
            _lengths(clips, store, folder),
            _missing(detected, store, folder),
            _hands(detected, store, folder),
            _drawings(store, rng, folder),
        ]
        text = "\n\n".join(section for section in sections if section)
        (folder / "report.md").write_text(f"{text}\n", "utf-8")
    return directory / "report.md"


def detected_parts(store: ClipStore, rows: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """The share of its frames in which each part of the body was detected, for each clip.

    Only the first, middle and last landmark of a part are read, because detectors detect a part as
    a whole.

    Returns:
        A row for each clip: signer, and a column from 0 to 1 for each part of the layout.
    """
    parts = store.layout.parts
    probes = np.array([row[i] for row in parts.values() for i in (0, len(row) // 2, -1)])
    shares = np.empty((len(rows), len(parts)))
    for number, row in enumerate(rows):
        x = store.read(int(row), probes)[..., 0]  # [T, parts * 3]
        detected = ~np.isnan(x).reshape(len(x), len(parts), 3).all(axis=2)
        shares[number] = detected.mean(axis=0)
    table = pd.DataFrame(shares, columns=list(parts))
    table.insert(0, "signer", store.clip_signers[np.asarray(rows)])
    return table


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
    return shares.reindex(columns=["left", "right", "both", "neither"], fill_value=0.0)


# --- sections -----------------------------------------------------------------------------------


def _overview(store: ClipStore) -> str:
    frames = store.frames
    facts = {
        "clips": f"{len(store):,}",
        "signs": f"{len(store.signs):,}",
        "signers": f"{len(store.signers):,}",
        "frames": f"{frames.sum():,}",
        "layout": f"{store.layout.name} ({store.layout.size} landmarks a frame)",
        "fingerprint": store.fingerprint,
    }
    lines = [f"# What is in {store.name}", "", "| | |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {value} |" for name, value in facts.items()])


def _signs(clips: pd.DataFrame, store: ClipStore, directory: Path) -> str:
    counts = clips["sign"].value_counts().reindex(store.signs, fill_value=0)
    counts = counts.sort_values(ascending=False, kind="stable").rename("clips")
    counts.rename_axis("sign").to_csv(directory / "signs.csv")
    ends = {"Most frequent signs": counts[:_MOST_FREQUENT]}
    if len(counts) > _MOST_FREQUENT:
        ends["Rarest signs"] = counts[_MOST_FREQUENT:][-_MOST_FREQUENT:]
    figure = _figure(9, 1.2 + 0.2 * len(ends["Most frequent signs"]))
    for axes, (title, some) in zip(_row(figure, len(ends)), ends.items(), strict=True):
        bars = axes.barh(some.index[::-1], some.to_numpy()[::-1], color=_DARK)
        axes.bar_label(bars, padding=2, fontsize=8)
        axes.set(title=title, xlabel="clips")
        axes.tick_params(axis="y", length=0)
    spread = f"from {counts.min():,} to {counts.max():,}, with a median of {counts.median():,.0f}"
    text = f"Clips per sign: {spread} ([signs.csv](signs.csv))."
    return _section("Signs", text, _save(figure, directory, "signs.png"))


def _signers(clips: pd.DataFrame, store: ClipStore, directory: Path) -> str:
    table = clips.groupby("signer").agg(
        clips=("sign", "size"), signs=("sign", "nunique"), median_frames=("frames", "median")
    )
    table = table.reindex(store.signers)
    table.to_csv(directory / "signers.csv")
    figure = _figure(9, 3)
    (axes,) = _row(figure, 1)
    bars = axes.bar(table.index, table["clips"], color=_DARK)
    axes.bar_label(bars, padding=2, fontsize=8)
    axes.set(title="Clips per signer", ylabel="clips", xlabel="signer")
    _tilt(axes, table.index)
    low, high = table["clips"].min(), table["clips"].max()
    text = f"Each signer has {low:,} to {high:,} clips ([signers.csv](signers.csv))."
    return _section("Signers", text, _save(figure, directory, "signers.png"))


def _coverage(clips: pd.DataFrame, store: ClipStore, directory: Path) -> str:
    counts = pd.crosstab(clips["sign"], clips["signer"])
    counts = counts.reindex(index=store.signs, columns=store.signers, fill_value=0)
    counts.to_csv(directory / "coverage.csv")
    figure = _figure(9, min(9.0, 1.5 + 0.22 * len(counts)))
    (axes,) = _row(figure, 1)
    image = axes.imshow(counts, aspect="auto", cmap="Blues", vmin=0, interpolation="nearest")
    empty = np.argwhere(counts.to_numpy() == 0)
    axes.plot(empty[:, 1], empty[:, 0], "x", color=_SECOND, markersize=4)
    axes.set(title="Clips of each sign by each signer (× = none)", xlabel="signer")
    axes.set_xticks(range(len(store.signers)), store.signers)
    _tilt(axes, store.signers)
    step = max(1, len(store.signs) // 50)
    axes.set_yticks(range(0, len(store.signs), step), store.signs[::step], fontsize=7)
    figure.colorbar(image, ax=axes, label="clips", shrink=0.8)
    text = "Every signer has every sign"
    if len(empty):
        text = f"{len(empty):,} of {counts.size:,} pairs of sign and signer have no clip"
    text += " ([coverage.csv](coverage.csv))."
    return _section("Who signs what", text, _save(figure, directory, "coverage.png"))


def _lengths(clips: pd.DataFrame, store: ClipStore, directory: Path) -> str:
    frames = clips["frames"]
    quantiles = frames.quantile([0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1]).rename("frames")
    quantiles.rename_axis("quantile").to_csv(directory / "lengths.csv")
    figure = _figure(9, 3)
    left, right = _row(figure, 2)
    top = max(quantiles[0.99] * 1.05, frames.min() + 10)
    edges = np.linspace(frames.min(), top, int(min(50, top - frames.min())) + 1).tolist()
    left.hist(np.minimum(frames, top), bins=edges, color=_DARK)
    left.axvline(quantiles[0.5], color=_SECOND)
    left.set(title="Frames per clip (line = median)", xlabel="frames", ylabel="clips")
    groups = [frames[clips["signer"] == signer] for signer in store.signers]
    boxes = right.boxplot(groups, showfliers=False, patch_artist=True, tick_labels=store.signers)
    for box in boxes["boxes"]:
        box.set(facecolor=_PALE, edgecolor=_DARK)
    for line in boxes["medians"]:
        line.set(color=_SECOND)
    right.set(title="by signer", xlabel="signer", ylabel="frames")
    _tilt(right, store.signers)
    text = (
        f"Clips have {quantiles[0]:.0f} to {quantiles[1]:.0f} frames, with a median of "
        f"{quantiles[0.5]:.0f} and a 95th percentile of {quantiles[0.95]:.0f} "
        "([lengths.csv](lengths.csv)). The last bar of the histogram holds the longest 1 %."
    )
    return _section("Lengths", text, _save(figure, directory, "lengths.png"))


def _missing(detected: pd.DataFrame, store: ClipStore, directory: Path) -> str:
    parts = list(store.layout.parts)
    table = detected.groupby("signer")[parts].mean().reindex(store.signers).dropna(how="all")
    table.loc["all"] = detected[parts].mean()
    table.to_csv(directory / "detected.csv", float_format="%.4f")
    figure = _figure(9, 1.4 + 0.28 * len(table))
    (axes,) = _row(figure, 1)
    axes.imshow(table, aspect="auto", cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(table.to_numpy()):
        colour = "white" if share > 0.6 else "black"
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(parts)), [part.replace("_", " ") for part in parts])
    axes.set_yticks(range(len(table)), table.index)
    axes.set(title="Share of frames in which a part was detected", ylabel="signer")
    shares = ", ".join(
        f"{str(part).replace('_', ' ')} {share:.0%}"
        for part, share in detected[parts].mean().items()
    )
    text = f"Of the frames of {len(detected):,} clips: {shares} ([detected.csv](detected.csv))."
    return _section("What is missing", text, _save(figure, directory, "detected.png"))


def _hands(detected: pd.DataFrame, store: ClipStore, directory: Path) -> str:
    if "left_hand" not in detected:
        return ""
    shares = signing_hand(detected)
    shares = shares.reindex([signer for signer in store.signers if signer in shares.index])
    shares.to_csv(directory / "hands.csv", float_format="%.4f")
    figure = _figure(9, 1.2 + 0.26 * len(shares))
    (axes,) = _row(figure, 1)
    start = np.zeros(len(shares))
    colours = {"left": _SECOND, "right": _DARK, "both": _PALE, "neither": "#d9d9d9"}
    for hand, colour in colours.items():
        axes.barh(shares.index, shares[hand], left=start, color=colour, label=hand)
        start += shares[hand].to_numpy()
    axes.set(title="The hand seen in more frames of a clip", xlabel="share of clips", xlim=(0, 1))
    axes.set_ylabel("signer")
    axes.invert_yaxis()
    axes.legend(ncols=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    lefties = [str(signer) for signer in shares.index[shares["left"] > shares["right"]]]
    who = f"left-handed by this measure: {', '.join(lefties)}" if lefties else "none is left-handed"
    return _section(
        "Which hand signs",
        f"Of {len(shares)} signers, {who} ([hands.csv](hands.csv)). MediaPipe's left and right "
        "are the signer's, unless the recording was mirrored.",
        _save(figure, directory, "hands.png"),
    )


def _drawings(store: ClipStore, rng: np.random.Generator, directory: Path) -> str:
    signers = rng.permutation(len(store.signers))[:_DRAWN_CLIPS]
    rows = [int(rng.choice(np.flatnonzero(store.signer == signer))) for signer in signers]
    figure = _figure(12, 2.1 * len(rows))
    grid = figure.subplots(len(rows), _DRAWN_FRAMES, squeeze=False)
    for row, line in zip(rows, grid, strict=True):
        draw_clip(line, store.read(row), store.layout)
        signer = f"signer {store.clip_signers[row]}"
        line[0].set_title(f"{store.clip_signs[row]}\n{signer}", fontsize=8, loc="left")
    text = f"Clips of {len(rows)} signers, {_DRAWN_FRAMES} frames of each from first to last."
    return _section("Some clips", text, _save(figure, directory, "clips.png"))


# --- figures ------------------------------------------------------------------------------------


def _figure(width: float, height: float) -> Figure:
    # Not of pyplot, which needs a backend and keeps figures until they are closed.
    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _row(figure: Figure, count: int) -> list[Axes]:
    return list(figure.subplots(1, count, squeeze=False)[0])


def _tilt(axes: Axes, labels: Sequence[str] | pd.Index) -> None:
    if sum(len(label) for label in labels) > 60:
        axes.tick_params(axis="x", rotation=45)


def _save(figure: Figure, directory: Path, name: str) -> str:
    with_literal_texts(figure).savefig(directory / name)
    return name


def _section(title: str, text: str, picture: str) -> str:
    return f"## {title}\n\n{text}\n\n![{title}]({picture})"
