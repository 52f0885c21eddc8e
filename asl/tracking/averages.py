"""Runs that differ only in seed and held-out signers, averaged."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from asl.tracking.found import DEFAULT_METRICS, SPLIT_BY_DIGEST, FoundRun
from asl.tracking.ranking import rank

# What tells repetitions of one experiment apart.
REPETITION = {"seed", "split.test", "split.fold", "split.val", "split.seed"}


@dataclass(frozen=True)
class Average:
    """Runs of one set of choices.

    Attributes:
        choices: the parameters, `validation`, `monitor`, `split.by`, and the digests of packed
            `clips` and of the `groups` that are kept apart, in which these runs differ from the
            other averages' runs.
        data: the data set.
        split: the split's kind, `signer_holdout` say.
        tests: how many of the runs have each test, by its protocol.
        test_signer_independent: whether no test signer was trained on, in any of the runs.
        val_signer_independent: whether no validation signer was trained on.
        runs: how many there are.
        metrics: mean and standard deviation (None of one run) of each metric that all of them have.
    """

    choices: dict[str, str]
    data: str
    split: str
    tests: dict[str, int]
    test_signer_independent: bool
    val_signer_independent: bool
    runs: int
    metrics: dict[str, tuple[float, float | None]]


def averages(runs: Sequence[FoundRun], metrics: Sequence[str] = DEFAULT_METRICS) -> list[Average]:
    """Average finished training runs over seeds and folds, the best mean first.

    Of runs of one seed and one split the newest counts.

    Args:
        runs: of any kinds.
        metrics: the averages are sorted by the first of these that they have.
    """
    repeated: dict[tuple[str, str, frozenset[tuple[str, str]]], list[FoundRun]] = defaultdict(list)
    for run in runs:
        if run.is_training and run.status == "FINISHED":
            params = {k: v for k, v in run.params.items() if k not in REPETITION}
            params |= {"validation": run.validation, "monitor": run.monitor}
            params["split.by"] = run.split_by
            params["clips"] = run.tags.get("data.fingerprint", "")
            params["groups"] = run.tags.get(SPLIT_BY_DIGEST, "")
            repeated[run.data, run.split_kind, frozenset(params.items())].append(run)
    groups = {key: _newest(members) for key, members in repeated.items()}
    choices = [dict(sorted(chosen)) for _, _, chosen in groups]
    told_apart = {
        name
        for chosen in choices
        for name in chosen
        if len({other.get(name) for other in choices}) > 1
    }
    found = [
        Average(
            choices={name: value for name, value in chosen.items() if name in told_apart},
            data=data,
            split=split,
            tests=dict(Counter(run.split for run in members)),
            test_signer_independent=all(run.test_signer_independent for run in members),
            val_signer_independent=members[0].val_signer_independent,
            runs=len(members),
            metrics=_statistics(members),
        )
        for chosen, ((data, split, _), members) in zip(choices, groups.items(), strict=True)
    ]
    means = {id(each): {name: m for name, (m, _) in each.metrics.items()} for each in found}
    return sorted(found, key=lambda each: rank(means[id(each)], metrics))


def _newest(runs: Sequence[FoundRun]) -> list[FoundRun]:
    """The newest run of each repetition."""
    newest = {}
    for run in sorted(runs, key=lambda run: run.started):
        varied = frozenset((key, run.params.get(key)) for key in REPETITION)
        newest[varied, run.split, run.tags.get("val_protocol")] = run
    return list(newest.values())


def _statistics(runs: Sequence[FoundRun]) -> dict[str, tuple[float, float | None]]:
    shared = set.intersection(*(set(run.metrics) for run in runs))
    values = {name: [run.metrics[name] for run in runs] for name in sorted(shared)}
    return {n: (mean(v), stdev(v) if len(v) > 1 else None) for n, v in values.items()}
