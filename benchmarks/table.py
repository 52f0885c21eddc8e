"""What the benchmarks share: fair rounds, and a table for people beside JSON for programs."""

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        what: was measured.
        value: the figure.
        unit: of it.
        ratio: to another figure, None where there is nothing to compare with.
        says: what the ratio says, with {} in its place.
        wanted: the target in words, empty where there is none.
        met: whether the figure reaches it.
    """

    what: str
    value: float
    unit: str
    ratio: float | None = None
    says: str = "{}"
    wanted: str = ""
    met: bool | None = None


def at_least(bound: float, figure: float) -> dict[str, Any]:
    """A row's target: the figure is to be no smaller than the bound."""
    return {"wanted": f"≥ {bound:g}", "met": figure >= bound}


def below(bound: float, figure: float) -> dict[str, Any]:
    """A row's target: the figure is to be smaller than the bound."""
    return {"wanted": f"< {bound:g}", "met": figure < bound}


def rounds(contestants: Mapping[str, Callable[[], object]], times: int) -> dict[str, float]:
    """The median seconds that each contestant takes in several rounds.

    Everyone runs once a round, and every second round goes backwards, so that a machine that slows
    down or warms up favours nobody.
    """
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(times):
        for name in list(contestants)[:: -1 if number % 2 else 1]:
            began = time.perf_counter()
            contestants[name]()
            taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def report(path: Path, title: str, facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Writes `path`.md and `path`.json, and gives the Markdown."""
    lines = [f"## {title}", "", *(f"- {name}: {fact}" for name, fact in facts.items()), ""]
    lines += ["| what | measured | ratio | target |", "|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else row.says.format(f"{shown(row.ratio)} ×")
        target = f"{row.wanted} {'✓' if row.met else '✗ MISSED'}" if row.wanted else ""
        lines.append(f"| {row.what} | {shown(row.value)} {row.unit} | {ratio} | {target} |")
    text = "\n".join(lines) + "\n"
    content = {"title": title, "facts": facts, "rows": [asdict(row) for row in rows]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return text


def shown(figure: float) -> str:
    """Three significant digits, and no fewer than stand before the point."""
    if figure == 0 or abs(figure) >= 100:
        return f"{figure:,.0f}"
    return f"{figure:#.3g}"


def machine(packages: Sequence[str]) -> dict[str, str]:
    """On what the figures were measured; nothing that names the user."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    commit = ["git", "describe", "--always", "--dirty"]
    folder = Path(__file__).parent
    found = subprocess.run(commit, cwd=folder, capture_output=True, text=True, check=False)
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
        "commit": found.stdout.strip() or "unknown",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
