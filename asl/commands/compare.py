"""asl compare: recognizers side by side, and what may be claimed of their difference."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from asl.config.compose import run_command
from asl.config.overrides import format_override
from asl.config.plan import chosen_data, chosen_split, chosen_tracker
from asl.terminal import printable


def main(arguments: Sequence[str]) -> None:
    """Run the command; arguments without a key are runs and files."""
    names = [a for a in arguments if "=" not in a and not a.startswith(("-", "~"))]
    rest = [a for a in arguments if a not in names]
    run_command("compare", [*([format_override("runs", names)] if names else []), *rest], _compare)


def _compare(cfg: DictConfig) -> None:
    from asl.commands.tables import console, plain_table
    from asl.runs.comparison import compare

    compared = compare(
        [str(name) for name in cfg.runs],
        chosen_tracker(cfg),
        data=chosen_data(cfg),
        split=chosen_split(cfg),
        directory=Path(cfg.compare.dir) if cfg.compare.dir else None,
    )
    first, *others = compared.metrics.columns
    table = plain_table(str(first), numbers=[str(name) for name in others])
    for row in compared.metrics.itertuples(index=False):
        table.add_row(*(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row))
    print(printable(compared.protocol))
    console().print(table)
    print(printable("\n".join(compared.claims)))
    print(f"comparison: {printable(str(compared.page))}  id: {compared.run_id}")
