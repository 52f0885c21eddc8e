"""report.json in words: report.md, and the sentences that `asl export` prints."""

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any

from asl.export.submission import MAX_BYTES, MAX_MS
from asl.export.variants import FIXED, Tolerance, file_name, variant_of
from asl.markdown import markdown_table

MARKS = {"val": "‡", "test": "†"}
"""Of numbers measured on signers that are trained on."""


@contextlib.contextmanager
def timed(report: dict[str, Any], part: str) -> Iterator[None]:
    """Print that this part of the export begins, and record the seconds that it takes."""
    print(f"export: {part}", file=sys.stderr, flush=True)
    started = time.perf_counter()
    yield
    report["seconds"][part] = time.perf_counter() - started


def to_markdown(report: dict[str, Any]) -> str:
    """report.json as Markdown."""
    parts = ["# Export report", _verdict(report), _subject(report)]
    if report["parity"]:
        parts += ["## Parity with the recognizer", *_parity(report)]
    if "rejection" in report:
        parts += ["## Clips that are no sign", _rejection(report["rejection"])]
    if report["accuracy"]:
        parts += ["## Accuracy", *_accuracies(report)]
    if report["latency"]:
        parts += ["## Size, speed and memory", _descriptions(report), _costs(report)]
    if report["operators"]:
        parts += ["## Operators", _table(["file", "operators"], _operators(report))]
    seconds = ", ".join(f"{part} {taken:.1f}" for part, taken in report["seconds"].items())
    versions = ", ".join(f"{tool} {number}" for tool, number in report["versions"].items())
    parts += ["## Made with", f"{versions}; {report['machine']}.", f"Seconds: {seconds}."]
    return "\n\n".join(parts) + "\n"


def conclusions(report: dict[str, Any]) -> list[str]:
    """Which variants were not converted or are rejected, and which is best: a sentence each."""
    lines = [f"{name}: not converted: {why}" for name, why in report["not_converted"].items()]
    lines += [f"{name}: rejected: {why}" for name, why in report["rejected"].items()]
    if report.get("best"):
        lines.append(f"best: {file_name(report['best'])}, {report['why']}")
    elif "why" in report:
        lines.append(f"best: none, {report['why']}")
    return lines


def protocols(report: dict[str, Any]) -> list[str]:
    """The clips of each part that accuracy was measured on: their number and protocol."""
    lines = [
        f"{name_of(part, measured)}: {measured['clips']:,} clips, {measured['protocol']}"
        for part, measured in report["accuracy"].items()
    ]
    if report["accuracy"] and "val" not in report["accuracy"]:
        lines.append("The split has no validation clips, so no file's accuracy could be judged.")
    return lines


def name_of(part: str, measured: dict[str, Any]) -> str:
    """`val` or `test`, with a mark where its signers are trained on."""
    return part if measured["signer_independent"] else f"{part} {MARKS[part]}"


def _verdict(report: dict[str, Any]) -> str:
    if not report["verified"]:
        return f"**Failed: do not use.** {report['failure']}"
    return "\n\n".join(["Verified.", *(f"{line}." for line in conclusions(report))])


def _subject(report: dict[str, Any]) -> str:
    clips = report["clips"]
    part = f"{clips['part']} " if "part" in clips else ""
    return (
        f"{report['backbone']}, {report['parameters']:,} parameters, {report['signs']} signs; "
        f"compared with the trained recognizer on {clips['real']} real {part}clips "
        f"and {len(clips['edge_cases'])} edge cases made of them "
        f"({', '.join(clips['edge_cases'])}). Route: {report['backend']}."
    )


def _parity(report: dict[str, Any]) -> list[str]:
    header = ["file", "largest difference", "mean", "worst clip", "same top sign", "ties"]
    others = list(report["parity"][0]["distances"])
    header += [f"{other}: largest distance" for other in others]
    rows = [
        [
            result["name"],
            f"{result['max_difference']:.1e}",
            f"{result['mean_difference']:.1e}",
            result["worst_clip"],
            f"{result['same_top']:.2%} of {result['clips']}",
            str(result["ties"]),
            *(f"{result['distances'][other][0]:.1e}" for other in others),
        ]
        for result in report["parity"]
    ]
    return [_table(header, rows), "Tolerances:", _tolerances(report)]


def _rejection(facts: dict[str, Any]) -> str:
    return (
        f"Where `unknown` is above {facts['threshold']:.4f}, no sign should be named. "
        f"{facts['accepted']:.0%} of {facts['clips']} validation clips are below; the score was "
        "fitted to these clips and to clips without a sign that were made of them."
    )


def _tolerances(report: dict[str, Any]) -> str:
    """What each file must keep to, a line for each number of a `Tolerance`."""
    lines = []
    for number in fields(Tolerance):
        limits = (
            f"{result['name']} {result['tolerance'][number.name]:g}" for result in report["parity"]
        )
        lines.append(f"- {number.metadata['meaning']}: {', '.join(limits)}")
    return "\n".join(lines)


def _descriptions(report: dict[str, Any]) -> str:
    lines = []
    for name in report["latency"]:
        frames = name.partition(FIXED)[2]
        padded = f"; reads {frames} frames, of which the last may be NaN" if frames else ""
        lines.append(f"- {file_name(name)}: {variant_of(name).description}{padded}")
    return "\n".join(lines)


def _accuracies(report: dict[str, Any]) -> list[str]:
    parts = report["accuracy"]
    header = ["file"]
    for part, measured in parts.items():
        header += [f"accuracy, {name_of(part, measured)}", f"macro F1, {name_of(part, measured)}"]
    rows = [
        [
            name,
            *(
                f"{measured['files'][name][figure]:.4f}"
                for measured in parts.values()
                for figure in ("accuracy", "f1")
            ),
        ]
        for name in next(iter(parts.values()))["files"]
    ]
    notes = protocols(report)
    if any(not measured["signer_independent"] for measured in parts.values()):
        notes.append("‡ and † mark numbers on signers that are trained on.")
    return [_table(header, rows), *notes]


def _costs(report: dict[str, Any]) -> str:
    header = ["file", "MB", "clip", "frames", "median ms", "p95 ms", "two threads: median ms"]
    header += ["p95 ms", "first ms", "peak MB", "within the contract"]
    return (
        f"{_table(header, _speeds(report))}\n\n"
        "LiteRT on this machine, on one thread unless stated otherwise, raw landmarks in; the "
        f"contract is < {MAX_BYTES / 1e6:.0f} MB and < {MAX_MS:.0f} ms. `first` includes opening "
        "the file. Peak is by how much the memory of a process grows that opens the file and "
        "recognises the longest clip."
    )


def _speeds(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for variant, lengths in report["latency"].items():
        size = report["bytes"].get(file_name(variant), 0)
        peak = report["memory"].get(variant)
        for name, t in lengths.items():
            within = "yes" if size < MAX_BYTES and t["median_ms"] < MAX_MS else "**no**"
            two = t["two_threads"]
            ms = t["median_ms"], t["p95_ms"], two["median_ms"], two["p95_ms"], t["first_ms"]
            memory = f"{peak / 1e6:.1f}" if peak is not None and name == "longest" else ""
            times = (f"{value:.2f}" for value in ms)
            yield variant, f"{size / 1e6:.2f}", name, str(t["frames"]), *times, memory, within


def _operators(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for variant, counts in report["operators"].items():
        yield variant, ", ".join(f"{name} {count}" for name, count in counts.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return markdown_table(header, ([cell.replace("|", "\\|") for cell in row] for row in rows))
