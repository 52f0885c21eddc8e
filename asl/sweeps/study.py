"""An Optuna study in its database: found by name, shared by any number of processes.

The storage is a database for two reasons: it stays consistent when a process is killed in the
middle of a write, and it records when each trial's worker was last alive (Optuna's heartbeat).
"""

import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from filelock import FileLock
from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from asl.addresses import without_passwords
from asl.errors import UserError, first_line
from asl.sweeps.optuna_private import storage_of

Direction = Literal["maximize", "minimize"]
Identity = Mapping[str, Any]

# User attributes of a study; studies hold these strings.
IDENTITY = "identity"
TOTAL = "n_trials"
COMMAND = "command"  # that resumes it
REFUSED = "refused"  # why a worker did not take part, last; empty where all did
_FINAL = "-final-"
SQLITE = "sqlite:///"
LOCK_FILE = "sweep-studies.lock"  # held while a study or its run is created
HEARTBEAT_SECONDS = 20
DEAD_AFTER_SECONDS = 120
_LOCKED_SECONDS = 100  # that SQLite waits for another process's write
_CREATION_SECONDS = 20  # within which the process that created a study sets its identity


@dataclass(frozen=True)
class StudyAddress:
    """Where a study is.

    Attributes:
        url: of the database, `sqlite:///FILE` or a server's, which may contain a password.
        name: of the study.
    """

    url: str
    name: str

    @property
    def redacted_url(self) -> str:
        """The address as it may be printed."""
        return without_passwords(self.url)


def quiet_optuna() -> None:
    """Silence Optuna's log; the sweep prints what matters."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message=".*Heartbeat of storage is supposed to be used.*")


def open_storage(url: str, create: bool = True) -> RDBStorage:
    """Open a database of studies.

    Args:
        url: of the database.
        create: whether it is created on first use; otherwise an existing one is read.

    Raises:
        UserError: it cannot be opened, or is no database.
    """
    quiet_optuna()
    if "://" not in url:
        raise UserError(
            f"sweep.storage={url.rpartition('@')[2]}: should be sqlite:///FILE, postgresql://… or "
            "mysql://…"
        )
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith(SQLITE):
        file = Path(url.removeprefix(SQLITE))
        if not create and not file.exists():
            raise UserError(f"sweep.storage={url}: there is no such file, and so no study yet")
        file.parent.mkdir(parents=True, exist_ok=True)
        options = {"connect_args": {"timeout": _LOCKED_SECONDS}}
    where = f"sweep.storage={without_passwords(url)}"
    try:
        return RDBStorage(
            url,
            engine_kwargs=options,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=DEAD_AFTER_SECONDS,
            skip_table_creation=not create,
        )
    except ImportError:
        raise UserError(
            f"{where}: the driver of this kind of database is not installed "
            "(pip install 'psycopg[binary]' for postgresql+psycopg://, pymysql for mysql+pymysql://)"
        ) from None
    except Exception as error:  # SQLAlchemy's are many, and quote the address
        reason = without_passwords(first_line(error))
        raise UserError(f"{where}: can't be opened ({reason})") from None


def join_study(
    address: StudyAddress,
    directions: Sequence[Direction],
    identity: Identity,
    locks: Path,
    names: Sequence[str] = (),
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
    current: Callable[[Identity], Identity] = dict,
) -> optuna.Study:
    """Create the study, or open the existing one of this name.

    Args:
        address: where it is.
        directions: of each objective.
        identity: by name, all that must be equal for results to belong to one study.
        locks: a folder of this machine.
        names: of the objectives, as tables show them.
        sampler: draws values.
        pruner: stops unpromising trials.
        current: spells an identity, which an older version may have stored, as this version does.

    Raises:
        UserError: the storage cannot be opened, or holds another study of this name.
    """
    storage = open_storage(address.url)
    locks.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(identity))
    with FileLock(locks / LOCK_FILE):
        try:
            study = optuna.create_study(
                storage=storage,
                study_name=address.name,
                directions=list(directions),
                sampler=sampler,
                pruner=pruner,
            )
            if names:
                study.set_metric_names(list(names))
            study.set_user_attr(IDENTITY, plain)
        except optuna.exceptions.DuplicatedStudyError:
            study = optuna.load_study(
                storage=storage, study_name=address.name, sampler=sampler, pruner=pruner
            )
            _check_same(study, plain, current)
    return study


def find_study(address: StudyAddress) -> optuna.Study:
    """Open an existing study to read it; raises UserError where there is none."""
    storage = open_storage(address.url, create=False)
    try:
        return optuna.load_study(storage=storage, study_name=address.name)
    except KeyError:
        names = study_names(storage)
        choices = f"choose from {', '.join(names)}" if names else "there is none at all"
        raise UserError(
            f"status={address.name}: there is no such study in {address.redacted_url}; {choices}"
        ) from None


def study_names(storage: RDBStorage) -> list[str]:
    """The names of all studies but the final ones; see `final_studies`."""
    names = optuna.get_all_study_names(storage)
    return [name for name in names if not any(_is_final(name, of) for of in names)]


def final_name(name: str, best: int) -> str:
    """The name of the study that trains and tests a study's best values with several seeds."""
    return f"{name}{_FINAL}{best}"


def final_studies(study: optuna.Study) -> list[optuna.Study]:
    """The studies that train and test this one's best values, see `final_name`."""
    storage = storage_of(study)
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


def _check_same(
    study: optuna.Study, identity: Identity, current: Callable[[Identity], Identity]
) -> None:
    stored = study.user_attrs.get(IDENTITY)
    waited = 0.0
    while stored is None and waited < _CREATION_SECONDS:  # another machine is creating it
        time.sleep(0.5)
        waited += 0.5
        stored = study.user_attrs.get(IDENTITY)
    if stored is None:  # the process that created it was killed
        study.set_user_attr(IDENTITY, dict(identity))
        return
    stored, asked = current(stored), current(identity)
    other = [name for name in asked if stored.get(name) != asked[name]]
    if other:
        differences = ", ".join(_difference(name, stored.get(name), asked[name]) for name in other)
        raise UserError(
            f"sweep.name={study.study_name}: the study of this name has another {differences}; "
            "give this one another name"
        )


def _difference(name: str, stored: Any, asked: Any) -> str:
    if not isinstance(stored, dict) or not isinstance(asked, dict):
        return name
    keys = [key for key in sorted({*stored, *asked}) if stored.get(key) != asked.get(key)]
    shown = ", ".join(f"{key}={stored.get(key)}" for key in keys[:3])
    return f"{name} ({shown}{', …' if len(keys) > 3 else ''})"
