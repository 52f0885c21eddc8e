"""The study in Optuna's own storage: opened by name, the same for as many processes as like.

The storage is a database, for two reasons: it stays whole when a process is killed in the middle
of a write, and it remembers when each trial's worker was last alive (Optuna's heartbeat).
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from asl.errors import UserError
from asl.sweeps.methods import quieten

Direction = Literal["maximize", "minimize"]

# What a study says of itself.
IDENTITY = "identity"
TOTAL = "n_trials"
COMMAND = "command"  # that goes on with it
_FINAL = "-final-"
SQLITE = "sqlite:///"
HEARTBEAT_SECONDS = 20
DEAD_AFTER_SECONDS = 120
_LOCKED_SECONDS = 100  # that SQLite waits for another process's write
_MADE_SECONDS = 20  # that a study's maker has to say what it is


@dataclass(frozen=True)
class Place:
    """Where a study is.

    Attributes:
        url: of the database, `sqlite:///FILE` or a server's, its password with it.
        name: of the study.
    """

    url: str
    name: str

    @property
    def said(self) -> str:
        """The address as it may be printed."""
        return without_password(self.url)


def without_password(text: str) -> str:
    """The text with the passwords of its addresses left out."""
    return re.sub(r"://([^/@\s:]*):[^/@\s]*@", r"://\1:***@", text)


def open_storage(url: str, make: bool = True) -> RDBStorage:
    """Open a storage.

    Args:
        url: of the database.
        make: whether it is made on first use; else only what is there is read.

    Raises:
        UserError: it cannot be opened, or is no database.
    """
    quieten()
    if "://" not in url:
        raise UserError(
            f"sweep.storage={url}: should be sqlite:///FILE, postgresql://… or mysql://…"
        )
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith(SQLITE):
        file = Path(url.removeprefix(SQLITE))
        if not make and not file.exists():
            raise UserError(f"sweep.storage={url}: there is no such file, and so no study yet")
        file.parent.mkdir(parents=True, exist_ok=True)
        options = {"connect_args": {"timeout": _LOCKED_SECONDS}}
    try:
        return RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=DEAD_AFTER_SECONDS,
            skip_table_creation=not make,
        )
    except ImportError:
        raise UserError(
            f"sweep.storage={without_password(url)}: the driver of this kind of database is not "
            "installed (pip install 'psycopg[binary]' for postgresql+psycopg://, pymysql for "
            "mysql+pymysql://)"
        ) from None
    except Exception as error:  # SQLAlchemy's are many, and quote the address
        reason = without_password((str(error).splitlines() or [""])[0])
        raise UserError(
            f"sweep.storage={without_password(url)}: can't be opened ({reason})"
        ) from None


def join_study(
    place: Place,
    directions: Sequence[Direction],
    identity: Mapping[str, Any],
    locks: Path,
    names: Sequence[str] = (),
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """Make the study, or go on with it.

    Args:
        place: where it is.
        directions: of each objective.
        identity: by name, all that must be the same for results to belong to one study.
        locks: a folder of this machine's.
        names: of the objectives, as tables show them.
        sampler: draws values.
        pruner: gives trials up.

    Raises:
        UserError: the storage cannot be opened, or holds another study of this name.
    """
    storage = open_storage(place.url)
    locks.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(identity))
    with FileLock(locks / "sweep-studies.lock"):
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=place.name,
                directions=list(directions),
                sampler=sampler,
                pruner=pruner,
            )
            if names:
                study.set_metric_names(list(names))
            study.set_user_attr(IDENTITY, plain)
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(
                storage=storage, study_name=place.name, sampler=sampler, pruner=pruner
            )
            _check_same(study, plain)
    return study


def find_study(place: Place) -> optuna.Study:
    """The study of that name, to be read; raises UserError where there is none."""
    storage = open_storage(place.url, make=False)
    try:
        return optuna.load_study(storage=storage, study_name=place.name)
    except KeyError:
        names = study_names(storage)
        choices = f"choose from {', '.join(names)}" if names else "there is none at all"
        raise UserError(
            f"status={place.name}: there is no such study in {place.said}; {choices}"
        ) from None


def study_names(storage: RDBStorage) -> list[str]:
    """Every study but for those of best values done once more; see `final_studies`."""
    names = optuna.get_all_study_names(storage)
    return [name for name in names if not any(_is_final(name, of) for of in names)]


def final_name(name: str, best: int) -> str:
    """The study in which a study's best trial is done once more."""
    return f"{name}{_FINAL}{best}"


def final_studies(study: optuna.Study) -> list[optuna.Study]:
    """The studies in which this one's best values were done once more, with the test."""
    storage = study._storage
    names = [n for n in optuna.get_all_study_names(storage) if _is_final(n, study.study_name)]
    return [optuna.load_study(storage=storage, study_name=name) for name in names]


def _is_final(name: str, of: str) -> bool:
    number = name.removeprefix(f"{of}{_FINAL}")
    return number != name and number.isdecimal()


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials that count: those with a value, and those that were pruned."""
    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=done)


def best_trial(study: optuna.Study) -> optuna.trial.FrozenTrial | None:
    """The trial with the best value of the first objective; None where none has a value yet.

    Of equally good ones it is the best by the next objective, and so a point of the Pareto front.
    """
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not complete:
        return None
    signs = [-1 if way is StudyDirection.MAXIMIZE else 1 for way in study.directions]

    def order(trial: optuna.trial.FrozenTrial) -> tuple[list[float], int]:
        values = zip(signs, trial.values, strict=True)
        return [sign * value for sign, value in values], trial.number

    return min(complete, key=order)


def _check_same(study: optuna.Study, identity: Mapping[str, Any]) -> None:
    known = study.user_attrs.get(IDENTITY)
    waited = 0.0
    while known is None and waited < _MADE_SECONDS:  # another machine is making it
        time.sleep(0.5)
        waited += 0.5
        known = study.user_attrs.get(IDENTITY)
    if known is None:  # its maker was killed
        study.set_user_attr(IDENTITY, dict(identity))
        return
    other = [name for name in identity if known.get(name) != identity[name]]
    if other:
        raise UserError(
            f"sweep.name={study.study_name}: the study of this name has another "
            f"{', '.join(_difference(name, known.get(name), identity[name]) for name in other)}; "
            "give this one another name"
        )


def _difference(name: str, known: Any, asked: Any) -> str:
    if not isinstance(known, dict) or not isinstance(asked, dict):
        return name
    keys = [key for key in sorted({*known, *asked}) if known.get(key) != asked.get(key)]
    shown = ", ".join(f"{key}={known.get(key)}" for key in keys[:3])
    return f"{name} ({shown}{', …' if len(keys) > 3 else ''})"
