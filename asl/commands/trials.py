"""What a worker of a sweep does: trials, each of them `asl train` with some more overrides."""

import contextlib
import hashlib
import json
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from asl.config import CONF, register_resolvers
from asl.sweeps.claim import Attempt, Plan, Worker
from asl.sweeps.space import Space, Values
from asl.sweeps.study import Direction, Place
from asl.sweeps.worker import Outcome

if TYPE_CHECKING:
    import optuna

    from asl.clips.store import ClipStore
    from asl.commands.train import Trained
    from asl.tracking.find import FoundRun
    from asl.tracking.store import Tracker
    from asl.training.fit import AfterEpoch

# What the study keeps with a trial.
OVERRIDES = "overrides"  # its own
RUN = "run_id"  # of its run; with .1, .2, … behind it, of further ones


@dataclass(frozen=True)
class Task:
    """All that a worker must know, as plain values that travel to its process.

    Attributes:
        place: where the study is.
        identity: what tells it from others.
        label: before a trial's number in its runs' tags.
        space: what varies.
        total: trials to finish.
        points: of a grid.
        directions: of each objective.
        second_objective: `size` or `latency` of the exported file, a second objective; or None.
        sampler: its name, its options and its seed.
        pruner: its name, its options and the most epochs of a trial.
        overrides: of every trial.
        parts: further overrides of each run of a trial; the mean of the runs counts.
        test: whether runs are tested at their end.
        monitor: the validation metric that is the objective.
        tracking: where runs are kept.
        parent: the run that all runs belong under.
        locks: folder in which workers of this machine see each other.
        log: what runs print.
        max_failures: crashed trials after which a worker gives up.
        final_seeds: with which the best values are run once more, and tested.
    """

    place: Place
    identity: Mapping[str, Any]
    label: str
    space: Space
    total: int
    points: Sequence[Values]
    directions: tuple[Direction, ...]
    second_objective: str | None
    sampler: tuple[str, Mapping[str, Any], int]
    pruner: tuple[str, Mapping[str, Any], int]
    overrides: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...]
    test: bool
    monitor: str
    tracking: Mapping[str, Any]
    parent: str
    locks: Path
    log: Path
    max_failures: int
    final_seeds: tuple[int, ...]

    @property
    def plan(self) -> Plan:
        """What the study is to come to."""
        return Plan(self.space, self.total, self.points)


def open_study(task: Task, number: int = 0) -> "optuna.Study":
    """The study of a task, for the worker of that number."""
    from asl.sweeps.methods import make_pruner, make_sampler
    from asl.sweeps.study import TOTAL, join_study

    name, options, seed = task.sampler
    names = [task.monitor, *([task.second_objective] if task.second_objective else [])]
    study = join_study(task.place, task.directions, task.identity, task.locks, names)
    if study.user_attrs.get(TOTAL) != task.total:
        study.set_user_attr(TOTAL, task.total)
    # Neither a worker beside this one nor the command that goes on may draw the same numbers again.
    begun = len(study.get_trials(deepcopy=False))
    study.sampler = make_sampler(name, options, seed + 1000 * number + begun)
    study.pruner = make_pruner(*task.pruner)
    return study


def final_task(task: Task, study: "optuna.Study") -> Task | None:
    """The best values again, with some seeds and with the test: a small study of its own.

    None where that is not asked for, or the study has not come to its end.
    """
    from asl.sweeps.claim import is_over
    from asl.sweeps.space import Parameter
    from asl.sweeps.study import best_trial, final_name

    best = best_trial(study)
    if best is None or not task.final_seeds or not is_over(study, task.plan):
        return None
    own = tuple(best.user_attrs[OVERRIDES])
    space = Space((Parameter("seed", choices=task.final_seeds),))
    return replace(
        task,
        place=replace(task.place, name=final_name(task.place.name, best.number)),
        identity={"overrides": list(own), **{k: task.identity[k] for k in ("data", "settings")}},
        label=f"final-{best.number}-",
        space=space,
        total=len(task.final_seeds),
        points=space.grid(),
        directions=task.directions[:1],
        second_objective=None,
        sampler=("random", {}, 0),
        pruner=("none", {}, 1),
        overrides=(*task.overrides, *own),
        parts=((),),
        test=True,
        final_seeds=(),
    )


def work_on(number: int, task: Task, after_trial: Callable[[], None] = lambda: None) -> None:
    """Do a task's trials until they are done, then the final ones, beside other workers."""
    from asl.commands.parts import tracker
    from asl.sweeps.worker import work

    _import_what_trials_need()
    runs = tracker(task.tracking)
    worker = Worker(task.locks)
    stores: dict[str, ClipStore] = {}
    stage: Task | None = task
    try:
        while stage:
            study = open_study(stage, number)
            trials = Trials(stage, study, runs, stores)
            work(study, stage.plan, worker, trials, stage.max_failures, after_trial)
            stage = final_task(stage, study)
    finally:
        worker.leave()


def _import_what_trials_need() -> None:
    """Before a trial is taken: none is to be charged for it."""
    import asl.commands.results
    import asl.evaluation.plots
    import asl.training.fit  # noqa: F401


def log_of(folder: Path, sweep: str) -> Path:
    """What a sweep's runs print on this machine: others may share the folder, but no file in it."""
    return folder / f"sweep-{sweep}-{socket.gethostname()}.log"


@contextlib.contextmanager
def printing_to(log: Path) -> Iterator[None]:
    """What runs print goes to a file: the terminal has a line a trial."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", buffering=1, encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield


@dataclass
class Trials:
    """Does one trial after the other; imports and the clips are paid for once."""

    task: Task
    study: "optuna.Study"
    runs: "Tracker"
    stores: dict[str, "ClipStore"]

    def __call__(self, attempt: Attempt) -> Outcome:
        """Train the runs of a trial, or go on with them."""
        with printing_to(self.task.log):
            try:
                return self._trial(attempt)
            except Exception:
                traceback.print_exc()
                raise

    def _trial(self, attempt: Attempt) -> Outcome:
        own = overrides_of(attempt.values)
        attempt.trial.set_user_attr(OVERRIDES, own)
        done: list[float] = []
        for part, further in enumerate(self.task.parts):
            outcome = self._part(attempt, part, [*own, *further], done)
            if outcome.pruned:
                return outcome
            done += outcome.values
        if self.task.second_objective:
            return Outcome((fmean(done), self._costs(attempt, own)[self.task.second_objective]))
        return Outcome((fmean(done),))

    def _costs(self, attempt: Attempt, own: Sequence[str]) -> dict[str, float]:
        """Size and latency of a trial's exported file.

        An export takes longer than many a trial, and weights change neither figure: of the trials
        that differ in them alone, the first is exported for all.
        """
        from asl.commands.parts import make_split
        from asl.commands.trained import kept_checkpoint
        from asl.export import cost
        from asl.tracking.sweep import runs_of_trial
        from asl.training.checkpoint import load_recognizer

        run = runs_of_trial(self.runs, self.task.parent, self._label(attempt.trial.number))[0]
        cfg, _ = composed_trial([*self.task.overrides, *own], test=False)
        key = f"cost.{architecture(cfg)}"
        known: dict[str, float] = self.study.user_attrs.get(key, {})
        if not known:
            store = self._store(cfg)
            rows = sorted(make_split(cfg.split, store).val, key=lambda row: store.frames[row])
            recognizer = load_recognizer(kept_checkpoint(run, self.runs))
            known = cost.cost(recognizer, store.read(rows[len(rows) // 2]))
            self.study.set_user_attr(key, known)
        for name, value in known.items():
            self.runs.client.log_metric(run.run_id, f"tflite/{name}", value)
        return known

    def _part(
        self, attempt: Attempt, part: int, overrides: list[str], done: Sequence[float]
    ) -> Outcome:
        from asl.tracking.sweep import bury, mark

        runs = self.runs
        cfg, hydra = composed_trial([*self.task.overrides, *overrides], self.task.test)
        cfg.tracking = OmegaConf.create(dict(self.task.tracking))
        tell = None if self.task.second_objective else self._teller(attempt, part, cfg, done)
        found = self._begun(attempt, part)

        def begun(run_id: str) -> None:
            attempt.trial.set_user_attr(f"{RUN}.{part}" if part else RUN, run_id)

        if found:
            mark(runs, found.run_id, trial=self._label(attempt.trial.number))
            begun(found.run_id)
        if found and found.status == "FINISHED":  # only its trial was not told
            run_id, metrics, pruned = found.run_id, found.metrics, found.tags.get("pruned")
        else:
            if found and not any((runs.work / found.run_id).glob("last-*.ckpt")):
                bury(runs, found)
                mark(runs, found.run_id, trial=f"{self._label(attempt.trial.number)}, lost")
                found = None
            trained = self._train(attempt, part, cfg, hydra, overrides, found, tell, begun)
            run_id, metrics, pruned = trained.run_id, trained.metrics, trained.pruned
        ended = "FINAL" if self.task.test else "COMPLETE"
        mark(runs, run_id, state="PRUNED" if pruned else ended)
        return Outcome(pruned=pruned) if pruned else Outcome((metrics[self.task.monitor],))

    def _train(
        self,
        attempt: Attempt,
        part: int,
        cfg: DictConfig,
        hydra: DictConfig,
        overrides: Sequence[str],
        found: "FoundRun | None",
        tell: "AfterEpoch | None",
        begun: Callable[[str], None],
    ) -> "Trained":
        from asl.commands.train import chosen_params, go_on_with, train
        from asl.tracking.sweep import OVERRIDES as TAG
        from asl.tracking.sweep import PART, SWEEP, TRIAL

        store = self._store(cfg)
        if found:
            return go_on_with(cfg.tracking, found.run_id, {}, store, tell, pictures=self.task.test)
        tags = {
            SWEEP: self.task.place.name,
            TRIAL: self._label(attempt.trial.number),
            PART: str(part),
            TAG: " ".join([*self.task.overrides, *overrides]),
        }
        return train(
            cfg,
            chosen_params(cfg, hydra),
            self.task.parent,
            tags,
            store,
            tell,
            pictures=self.task.test,
            begun=begun,
        )

    def _begun(self, attempt: Attempt, part: int) -> "FoundRun | None":
        """The run in which an earlier attempt at this trial was killed."""
        from asl.tracking.sweep import PART, runs_of_trial

        for number in attempt.before:
            for run in runs_of_trial(self.runs, self.task.parent, self._label(number)):
                if run.tags.get(PART) == str(part):
                    return run
        return None

    def _label(self, number: int) -> str:
        return f"{self.task.label}{number}"

    def _store(self, cfg: DictConfig) -> "ClipStore":
        from asl.commands.parts import open_store

        key = json.dumps(OmegaConf.to_container(cfg.data, resolve=True), sort_keys=True)
        if key not in self.stores:
            self.stores[key] = open_store(cfg.data)
        return self.stores[key]

    def _teller(
        self, attempt: Attempt, part: int, cfg: DictConfig, done: Sequence[float]
    ) -> "AfterEpoch":
        """Tells the study of each epoch, and gives up a trial that the pruner finds hopeless.

        A trial that goes on where another one was killed is told that one's epochs first. None is
        pruned before all that begins late in it has settled.
        """
        from asl.commands.train import regularization
        from asl.training.fit import Pruned

        epochs, monitor, trial = cfg.trainer.max_epochs, self.task.monitor, attempt.trial
        settling = regularization(cfg).in_grace_period
        trials = {t.number: t for t in self.study.get_trials(deepcopy=False)}
        told: set[int] = set(trials[trial.number].intermediate_values)
        for number in attempt.before[:1]:
            for step, value in trials[number].intermediate_values.items():
                if step not in told:
                    trial.report(value, step)
                    told.add(step)

        def tell(epoch: int, metrics: Mapping[str, float]) -> None:
            step = part * epochs + epoch
            if step not in told:
                trial.report(fmean([*done, metrics[monitor]]), step)
                told.add(step)
            unsettled = any(settling(later) for later in range(epoch, epochs))
            if not unsettled and trial.should_prune():
                where = f"run {part + 1} of {len(self.task.parts)}, " * (len(self.task.parts) > 1)
                raise Pruned(
                    f"{self.task.pruner[0]} after {where}epoch {epoch + 1}: "
                    f"{monitor} {metrics[monitor]:.4f}"
                )

        return tell


def architecture(cfg: DictConfig) -> str:
    """Short for all that a recognizer of this config is built of, but for what training alone has.

    Two with the same one become files of the same operators and the same size.
    """
    from asl.config import recognizer_spec

    bare = OmegaConf.create(OmegaConf.to_container(cfg))
    assert isinstance(bare, DictConfig)
    bare.regularization = dict.fromkeys(bare.regularization)
    spec = json.dumps(recognizer_spec(bare), sort_keys=True)
    return hashlib.sha256(spec.encode()).hexdigest()[:12]


# --- overrides ----------------------------------------------------------------------------------


def composed_trial(overrides: Sequence[str], test: bool) -> tuple[DictConfig, DictConfig]:
    """The config of `asl train` with these overrides, and Hydra's own part of it."""
    register_resolvers()
    with initialized():
        cfg = compose(
            "train",
            overrides=[*overrides, f"test={str(test).lower()}"],
            return_hydra_config=True,
        )
    hydra = cfg.hydra
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, hydra


@contextlib.contextmanager
def initialized() -> Iterator[None]:
    """Hydra ready to compose: as the command has it, or set up in a worker's process."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def overrides_of(values: Values) -> list[str]:
    """A trial's values as they are typed."""
    return [f"{key}={typed(value)}" for key, value in values.items()]


def typed(value: object) -> str:
    """A value in the grammar of Hydra's overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{typed(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(typed(item) for item in value) + "]"
    if isinstance(value, str) and not value.replace("_", "").replace("-", "").isalnum():
        return "'" + value.replace("'", "\\'") + "'"
    return str(value)


def say(line: str) -> None:
    """A line on the terminal."""
    print(line, file=sys.stderr, flush=True)
