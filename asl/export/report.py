from collections.abc import Iterable, Sequence
from typing import Any

MOST_BYTES = 40e6
MOST_MS = 100.0
"""The GISLR competition's limits: model.tflite under 40 MB, under 100 ms a clip on average."""


def to_markdown(report: dict[str, Any]) -> str:
    """report.json for people."""
    verdict = "Verified." if report["verified"] else f"**Failed: do not use.** {report['failure']}"
    clips = report["clips"]
    parts = [
        "# Export report",
        verdict,
        f"{report['backbone']}, {report['parameters']:,} parameters, {report['signs']} signs; "
        f"compared with the trained recognizer on {clips['real']} real clips "
        f"and {len(clips['cruel'])} cruel ones made of them "
        f"({', '.join(clips['cruel'])}). Route: {report['backend']}.",
        "## Agreement with the recognizer",
        _table(
            ["file", "largest difference", "mean", "worst clip", "same top sign", "ties"],
            _hops(report),
        ),
        "A tie is a clip with another top sign where the recognizer's own two probabilities "
        "all but coincide (1e-5; 1e-3 for float16; 1e-2 for dynamic).",
    ]
    if report["latency"]:
        parts += [
            "## Size and speed",
            _table(
                [
                    "file",
                    "MB",
                    "clip",
                    "frames",
                    "median ms",
                    "p95 ms",
                    "first ms",
                    "within the contract",
                ],
                _speeds(report),
            ),
            "One thread of LiteRT on this machine, raw landmarks in; the contract is < 40 MB and "
            "< 100 ms. `first` includes opening the file.",
            "## Operators",
            _table(["file", "operators"], _operators(report)),
        ]
    versions = ", ".join(f"{tool} {number}" for tool, number in report["versions"].items())
    parts += ["## Made with", f"{versions}; {report['machine']}."]
    return "\n\n".join(parts) + "\n"


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


def _speeds(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for variant, lengths in report["latency"].items():
        size = report["bytes"].get(f"model_{variant}.tflite", 0)
        for name, t in lengths.items():
            within = "yes" if size < MOST_BYTES and t["median_ms"] < MOST_MS else "**no**"
            times = (f"{t[key]:.2f}" for key in ("median_ms", "p95_ms", "first_ms"))
            yield variant, f"{size / 1e6:.2f}", name, str(t["frames"]), *times, within


def _operators(report: dict[str, Any]) -> Iterable[Sequence[str]]:
    for variant, counts in report["operators"].items():
        yield variant, ", ".join(f"{name} {count}" for name, count in counts.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
