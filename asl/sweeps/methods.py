"""Which values are tried next, and which trial is given up: Optuna's samplers and pruners by name.

Sources: TPE (Bergstra et al. 2011; multivariate as in BOHB, Falkner et al. 2018), CMA-ES (Hansen &
Ostermeier 2001), Gaussian processes (Optuna's GPSampler), NSGA-II (Deb et al. 2002), Hyperband (Li
et al. 2018), the median rule (Golovin et al. 2017, section 3.2).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna import pruners, samplers

from asl.errors import UserError, unknown
from asl.sweeps.space import Space

SAMPLERS = ("random", "grid", "tpe", "cmaes", "gp", "nsga2")
PRUNERS = ("none", "median", "hyperband", "halving", "patient", "threshold")
_NUMERIC = ("cmaes",)  # samplers that know nothing of choices
_FLAT = ("cmaes", "gp")  # samplers that know nothing of conditions


def make_sampler(name: str, options: Mapping[str, Any], seed: int) -> samplers.BaseSampler:
    """A sampler of Optuna's.

    Args:
        name: one of `SAMPLERS`; a grid's points are given to the study, and nothing is drawn.
        options: arguments of Optuna's class.
        seed: of its random numbers.

    Raises:
        UserError: there is no such sampler, or it has no such option.
    """
    # Workers side by side are not to try the same: constant_liar. Sweeps are short: with Optuna's
    # own fifty to a generation many would see no second one.
    made: dict[str, tuple[Callable[..., samplers.BaseSampler], dict[str, Any]]] = {
        "random": (samplers.RandomSampler, {}),
        "grid": (samplers.RandomSampler, {}),
        "tpe": (
            samplers.TPESampler,
            {"multivariate": True, "group": True, "constant_liar": True},
        ),
        "cmaes": (samplers.CmaEsSampler, {"warn_independent_sampling": False}),
        "gp": (samplers.GPSampler, {"warn_independent_sampling": False}),
        "nsga2": (samplers.NSGAIISampler, {"population_size": 16}),
    }
    if name not in made:
        raise unknown("sweep.sampler", name, SAMPLERS)
    sampler, defaults = made[name]
    _check_options("sweep.sampler_options", name, sampler, options)
    sampler_made: samplers.BaseSampler = sampler(**{**defaults, **options, "seed": seed})
    return sampler_made


def make_pruner(name: str, options: Mapping[str, Any], epochs: int) -> pruners.BasePruner:
    """A pruner of Optuna's, which is told every epoch.

    Args:
        name: one of `PRUNERS`; with `none`, options say nothing.
        options: arguments of Optuna's class; of the median's too for `patient`, which prunes where
            the median rule would and the trial's own best is `patience` epochs old.
        epochs: most epochs that a trial has.

    Raises:
        UserError: there is no such pruner, or it has no such option.
    """
    made: dict[str, tuple[Callable[..., pruners.BasePruner], dict[str, Any]]] = {
        "median": (pruners.MedianPruner, {}),
        "hyperband": (pruners.HyperbandPruner, {"max_resource": epochs}),
        "halving": (pruners.SuccessiveHalvingPruner, {"min_resource": 1}),
        "patient": (_patient, {"patience": 5}),
        "threshold": (pruners.ThresholdPruner, {}),
    }
    if name == "none":
        return pruners.NopPruner()
    if name not in made:
        raise unknown("sweep.pruner", name, PRUNERS)
    pruner, defaults = made[name]
    _check_options("sweep.pruner_options", name, pruner, options)
    if name == "threshold" and not {"lower", "upper"} & set(options):
        raise UserError(
            "sweep.pruner=threshold: say +sweep.pruner_options.lower=… or upper=…; "
            "n_warmup_steps=… are epochs without it"
        )
    try:
        return pruner(**{**defaults, **options})
    except (TypeError, ValueError) as error:
        raise UserError(f"sweep.pruner_options={dict(options)}: {error}") from None


def _patient(
    patience: int, min_delta: float = 0.0, n_startup_trials: int = 5
) -> pruners.BasePruner:
    return pruners.PatientPruner(pruners.MedianPruner(n_startup_trials), patience, min_delta)


def fitting(sampler: str, pruner: str, space: Space, objectives: int) -> list[str]:
    """What the sampler does with this space that a person may not expect, a sentence each.

    Raises:
        UserError: it can do nothing with the space, or with so many objectives.
    """
    if objectives > 1 and pruner != "none":
        raise UserError(
            f"sweep.pruner={pruner}: Optuna prunes no trial of two objectives; choose none"
        )
    if objectives > 1 and sampler not in ("nsga2", "tpe", "random", "grid"):
        raise UserError(
            f"sweep.sampler={sampler}: seeks one objective; choose from nsga2, tpe, random, grid"
        )
    if sampler == "grid":
        space.grid()
    chosen = [p.key for p in space.parameters if p.choices]
    conditional = [p.key for p in space.parameters if p.when]
    ranges = len(space.parameters) - len(chosen)
    notes = []
    if sampler in _NUMERIC and not ranges:
        raise UserError(
            f"sweep.sampler={sampler}: the space has choices alone, which it would draw at random; "
            "choose from tpe, gp, random, grid"
        )
    if sampler in _NUMERIC and chosen:
        notes.append(f"{sampler} draws {', '.join(chosen)} at random: it searches ranges alone")
    if sampler == "gp" and not ranges:
        notes.append("gp sees the space's choices as equally far from each other; tpe is as good")
    if sampler in _FLAT and (loose := [key for key in conditional if key not in chosen]):
        notes.append(f"{sampler} draws {', '.join(loose)} at random: it knows no conditions")
    if sampler == "gp" and (loose := [key for key in conditional if key in chosen]):
        notes.append(f"gp draws {', '.join(loose)} at random: it knows no conditions")
    return notes


def quieten() -> None:
    """Silence what Optuna says of itself; what matters is said by the sweep."""
    import warnings

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message=".*Heartbeat of storage is supposed to be used.*")


def _check_options(
    key: str, name: str, maker: Callable[..., Any], options: Mapping[str, Any]
) -> None:
    known = [word for word in inspect.signature(maker).parameters if word not in ("self", "seed")]
    for option, value in options.items():
        if option not in known:
            raise UserError(
                f"{key}.{option}={value}: {name} has no such option; choose from "
                f"{', '.join(known) or 'none'}, and take this one out by '~{key}.{option}'"
            )
