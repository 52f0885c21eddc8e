import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

MOST_BYTES = 40e6
MOST_MS = 100.0
"""The GISLR competition's limits: model.tflite under 40 MB, under 100 ms a clip on average."""

MARKS = {"val": "‡", "test": "†"}
"""Of numbers that new signers would not reach, as elsewhere."""


@contextlib.contextmanager
def timed(report: dict[str, Any], part: str) -> Iterator[None]:
    """Note in the report how many seconds this part of the export takes."""
    started = time.perf_counter()
    yield
    report["seconds"][part] = time.perf_counter() - started


def to_markdown(report: dict[str, Any]) -> str:
    """report.json for people."""
    parts = ["# Export report", _verdict(report), _subject(report)]
    parts += ["## Agreement with the recognizer", _agreement(report)]
    if report["accuracy"]:
        parts += ["## Accuracy", *_accuracies(report)]
    if report["latency"]:
        parts += ["## Size, speed and memory", _costs(report)]
    if report["operators"]:
        parts += ["## Operators", _table(["file", "operators"], _operators(report))]
    seconds = ", ".join(f"{part} {taken:.1f}" for part, taken in report["seconds"].items())
    versions = ", ".join(f"{tool} {number}" for tool, number in report["versions"].items())
    parts += ["## Made with", f"{versions}; {report['machine']}.", f"Seconds: {seconds}."]
    return "\n\n".join(parts) + "\n"


def conclusions(report: dict[str, Any]) -> list[str]:
    """What was not made, what is not offered, and what is best: a sentence each."""
    said = [f"{variant}: not made: {why}" for variant, why in report["not_made"].items()]
    said += [f"{variant}: not offered: {why}" for variant, why in report["rejected"].items()]
    if report.get("best"):
        said.append(f"best: model_{report['best']}.tflite, {report['why']}")
    elif "why" in report:
        said.append(f"best: {report['why']}")
    return said


def protocols(report: dict[str, Any]) -> list[str]:
    """Whose clips accuracy was measured on, and which numbers new signers would not reach."""
    said = [
        f"{name_of(part, found)}: {found['clips']:,} clips, {found['protocol']}"
        for part, found in report["accuracy"].items()
    ]
    if report["accuracy"] and "val" not in report["accuracy"]:
        said.append("The split has no validation clips, so no file's accuracy could be judged.")
    return said


def name_of(part: str, found: dict[str, Any]) -> str:
    """`val` or `test`, with a mark where its signers are trained on."""
    return part if found["signer_independent"] else f"{part} {MARKS[part]}"


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


def _agreement(report: dict[str, Any]) -> str:
    header = ["file", "largest difference", "mean", "worst clip", "same top sign", "ties"]
    return (
        f"{_table(header, _hops(report))}\n\n"
        "A tie is a clip with another top sign where the recognizer's own two probabilities "
        "all but coincide (1e-5; 1e-3 for float16; 1e-2 for dynamic; 5e-2 for int8)."
    )


def _hops(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for hop in report["hops"]:
        numbers = f"{hop['largest']:.1e}", f"{hop['mean']:.1e}"
        yield (
            hop["name"],
            *numbers,
            hop["worst_clip"],
            f"{hop['same_top']:.2%} of {hop['clips']}",
            str(hop["ties"]),
        )


def _accuracies(report: dict[str, Any]) -> list[str]:
    parts = report["accuracy"]
    header = ["file"]
    for part, found in parts.items():
        header += [f"accuracy, {name_of(part, found)}", f"macro F1, {name_of(part, found)}"]
    files = next(iter(parts.values()))["files"]
    rows = [
        [name, *(f"{found['files'][name][f]:.4f}" for found in parts.values() for f in FIGURES)]
        for name in files
    ]
    said = protocols(report)
    if any(not found["signer_independent"] for found in parts.values()):
        said.append("‡ and † mark numbers on signers that are trained on.")
    return [_table(header, rows), *said]


FIGURES = ("accuracy", "f1")


def _costs(report: dict[str, Any]) -> str:
    header = ["file", "MB", "clip", "frames", "median ms", "p95 ms", "two threads: median ms"]
    header += ["p95 ms", "first ms", "peak MB", "within the contract"]
    return (
        f"{_table(header, _speeds(report))}\n\n"
        "LiteRT on this machine, one thread where nothing else is said, raw landmarks in; the "
        "contract is < 40 MB and < 100 ms. `first` is cold: it includes opening the file. Peak is "
        "by how much a process grows that opens the file and recognises the longest clip."
    )


def _speeds(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for variant, lengths in report["latency"].items():
        size = report["bytes"].get(f"model_{variant}.tflite", 0)
        peak = report["memory"].get(variant)
        for name, t in lengths.items():
            within = "yes" if size < MOST_BYTES and t["median_ms"] < MOST_MS else "**no**"
            both = t["two_threads"]
            taken = t["median_ms"], t["p95_ms"], both["median_ms"], both["p95_ms"], t["first_ms"]
            memory = f"{peak / 1e6:.1f}" if peak is not None and name == "longest" else ""
            times = (f"{ms:.2f}" for ms in taken)
            yield variant, f"{size / 1e6:.2f}", name, str(t["frames"]), *times, memory, within


def _operators(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for variant, counts in report["operators"].items():
        yield variant, ", ".join(f"{name} {count}" for name, count in counts.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
