"""Optuna's samplers, which draw the next values, and pruners, which stop unpromising trials.

Sources: TPE (Bergstra et al. 2011; multivariate as in BOHB, Falkner et al. 2018), CMA-ES (Hansen &
Ostermeier 2001), Gaussian processes (Optuna's GPSampler), NSGA-II (Deb et al. 2002), Hyperband (Li
et al. 2018), the median rule (Golovin et al. 2017, section 3.2).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from optuna import pruners, samplers

from asl.errors import UserError, check_choice
from asl.sweeps.space import Choice, Space


def _patient(
    patience: int, min_delta: float = 0.0, n_startup_trials: int = 5
) -> pruners.BasePruner:
    """Prune where the median rule would and the trial's own best is `patience` epochs old."""
    return pruners.PatientPruner(pruners.MedianPruner(n_startup_trials), patience, min_delta)


# By name: Optuna's class, and options that differ from its defaults. Parallel workers should not
# try the same values: constant_liar. Sweeps are short: with Optuna's 50 trials a generation many
# would see no second one. The points of a grid are queued, and nothing is drawn.
SAMPLERS: dict[str, tuple[Callable[..., samplers.BaseSampler], dict[str, Any]]] = {
    "random": (samplers.RandomSampler, {}),
    "grid": (samplers.RandomSampler, {}),
    "tpe": (samplers.TPESampler, {"multivariate": True, "group": True, "constant_liar": True}),
    "cmaes": (samplers.CmaEsSampler, {"warn_independent_sampling": False}),
    "gp": (samplers.GPSampler, {"warn_independent_sampling": False}),
    "nsga2": (samplers.NSGAIISampler, {"population_size": 16}),
}
PRUNERS: dict[str, tuple[Callable[..., pruners.BasePruner], dict[str, Any]]] = {
    "none": (pruners.NopPruner, {}),
    "median": (pruners.MedianPruner, {}),
    "hyperband": (pruners.HyperbandPruner, {}),
    "halving": (pruners.SuccessiveHalvingPruner, {"min_resource": 1}),
    "patient": (_patient, {"patience": 5}),
    "threshold": (pruners.ThresholdPruner, {}),
}
_MULTI_OBJECTIVE = ("nsga2", "tpe", "random", "grid")
_NUMERIC = ("cmaes",)  # samplers that ignore choices
_UNCONDITIONAL = ("cmaes", "gp")  # samplers that ignore conditional parameters


def make_sampler(name: str, options: Mapping[str, Any], seed: int) -> samplers.BaseSampler:
    """One of `SAMPLERS`, with options of Optuna's class.

    Raises:
        UserError: there is no such sampler, or it has no such option.
    """
    check_choice("sweep.sampler", name, SAMPLERS)
    make, defaults = SAMPLERS[name]
    _check_options("sweep.sampler_options", name, make, options)
    return make(**{**defaults, **options, "seed": seed})


def make_pruner(name: str, options: Mapping[str, Any], epochs: int) -> pruners.BasePruner:
    """One of `PRUNERS`, which is given a value every epoch.

    Args:
        name: with `none`, options are ignored.
        options: of Optuna's class; for `patient` see `_patient`.
        epochs: the most epochs that a trial has.

    Raises:
        UserError: there is no such pruner, or it has no such option.
    """
    if name == "none":
        return pruners.NopPruner()
    check_choice("sweep.pruner", name, PRUNERS)
    make, defaults = PRUNERS[name]
    _check_options("sweep.pruner_options", name, make, options)
    if name == "threshold" and not {"lower", "upper"} & set(options):
        raise UserError(
            "sweep.pruner=threshold: say +sweep.pruner_options.lower=… or upper=…; "
            "n_warmup_steps=… are epochs without it"
        )
    resource = {"max_resource": epochs} if name == "hyperband" else {}
    try:
        return make(**{**defaults, **resource, **options})
    except (TypeError, ValueError) as error:
        raise UserError(f"sweep.pruner_options={dict(options)}: {error}") from None


def check_fit(sampler: str, pruner: str, space: Space, objectives: int) -> list[str]:
    """Check that sampler and pruner can search this space.

    Returns:
        What the sampler does that the user may not expect, a sentence each.

    Raises:
        UserError: they cannot search the space, or so many objectives.
    """
    if objectives > 1 and pruner != "none":
        raise UserError(
            f"sweep.pruner={pruner}: Optuna prunes no trial of two objectives; choose none"
        )
    if objectives > 1 and sampler not in _MULTI_OBJECTIVE:
        raise UserError(
            f"sweep.sampler={sampler}: seeks one objective; choose from "
            f"{', '.join(_MULTI_OBJECTIVE)}"
        )
    if sampler == "grid":
        space.grid()
    choices = [p.key for p in space.parameters if isinstance(p, Choice)]
    ranges = [p.key for p in space.parameters if p.key not in choices]
    if sampler in _NUMERIC and not ranges:
        raise UserError(
            f"sweep.sampler={sampler}: the space has choices alone, which it would draw at random; "
            "choose from tpe, gp, random, grid"
        )
    notes = []
    if sampler in _NUMERIC and choices:
        notes.append(f"{sampler} draws {', '.join(choices)} at random: it searches ranges alone")
    if sampler == "gp" and not ranges:
        notes.append("gp treats the choices of a parameter as equally distant; tpe is as good")
    ignored = choices if sampler in _NUMERIC else []  # these are named already
    conditional = [p.key for p in space.parameters if p.when and p.key not in ignored]
    if sampler in _UNCONDITIONAL and conditional:
        notes.append(
            f"{sampler} draws {', '.join(conditional)} at random: "
            "it does not model conditional parameters"
        )
    return notes


def _check_options(
    key: str, name: str, make: Callable[..., Any], options: Mapping[str, Any]
) -> None:
    known = [word for word in inspect.signature(make).parameters if word not in ("self", "seed")]
    for option, value in options.items():
        if option not in known:
            raise UserError(
                f"{key}.{option}={value}: {name} has no such option; choose from "
                f"{', '.join(known) or 'none'}, and take this one out by '~{key}.{option}'"
            )
