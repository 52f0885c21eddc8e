"""SIGKILL at random moments of each command, alone and two at once: nothing finished is lost.

    python -m benchmarks.kills --folder data/kills --kills 500

After every kill no run stays RUNNING, finished runs keep their checkpoints, the store is the old
one, the new one or none, and a folder of exported files has a report only if it has all that the
report names. Then the next command is killed, too, or goes on, or says in one sentence why not.
Each kill is a line in FOLDER/kills.jsonl; the same command goes on where it was stopped, and
`--summary` prints the table.
"""

import argparse
import gc
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import psutil

COMMAND_SECONDS = 900  # a command that takes longer hangs
SMALL = ["model=lstm", "model.hidden=16", "trainer=smoke", "trainer.enable_progress_bar=false"]
SHARES = {
    "train": 80, "export": 50, "crossval": 60, "ensemble": 60, "sweep": 60, "prepare": 80,
    "download": 60, "train and prepare": 20, "two resumes": 10, "two exports": 5,
    "two crossvals": 10, "two sweeps": 5,
}  # fmt: skip
"""Kills of each case, of 500."""

IMPORTED = (
    "asl.api", "asl.commands.crossval", "asl.commands.download", "asl.commands.ensemble",
    "asl.commands.prepare", "asl.commands.sweep", "asl.commands.train", "asl.config.sweep_plan",
    "asl.evaluation.plots", "asl.export.export", "asl.export.passes.int8", "asl.fetch.kaggle",
    "asl.sweeps.run", "alembic.command", "fsspec.implementations.local", "hydra.main",
    "matplotlib.pyplot", "mlflow.store.tracking.sqlalchemy_store", "onnxruntime", "onnxscript",
    "pandas", "pyarrow.parquet", "sqlalchemy.dialects.sqlite", "torch.onnx",
)  # fmt: skip

ROUND = 50
"""Kills of all cases together, before each has its next ones."""

IN_TURN = 3
"""The same command is killed so often before it may come to its end."""

KEPT = ("no checkpoint to go on from", "did it finish?", "no such training run")
"""Why a run that was killed early is not resumed."""


class Length(NamedTuple):
    """How long a command takes: seconds by the clock, and of computing."""

    seconds: float
    cpu: float


@dataclass
class Workspace:
    """A folder with a data set, its store and runs."""

    folder: Path
    port: int = 0
    known: dict[str, Any] = field(default_factory=dict)

    @property
    def tracking(self) -> str:
        """The override that names the store of runs."""
        return f"tracking.uri=sqlite:///{self.folder}/mlruns/mlflow.db"

    def data(self, store: str = "store") -> list[str]:
        """Overrides that name the data set."""
        sizes = ["data.source.signs=4", "data.source.signers=4", "data.source.clips_per_sign=3"]
        where = [f"data.root={self.folder}/raw", f"data.store={self.folder}/{store}"]
        return ["data=synthetic", *where, *sizes]

    def train(self, seed: int) -> list[str]:
        """The command of a small training."""
        return ["train", *SMALL, *self.data(), self.tracking, f"seed={seed}"]


# --- processes ----------------------------------------------------------------------------------


def start(function: Callable[[], int], log: Path) -> int:
    """Fork a process group that calls the function; its id. What is imported here it has, too."""
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)  # here too, as the kill may come before the child does it
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = function()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def command(arguments: Sequence[str], log: Path) -> int:
    """Start `asl …`."""
    from asl.cli import run

    return start(lambda: run(arguments), log)


def wait(pid: int, until: float, cpu: float = float("inf")) -> int | None:
    """The exit status of a process; None where it is still at work.

    Args:
        pid: its id.
        until: the time of `time.monotonic` at which it is given up.
        cpu: seconds of computing after which it is given up.
    """
    process = psutil.Process(pid)
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until or sum(process.cpu_times()[:4]) > cpu:
            return None
        time.sleep(0.005)


def kill(pid: int) -> None:
    """Kill a process with all that it has started."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def finish(workspace: Workspace, arguments: Sequence[str]) -> tuple[int, str]:
    """Run a command to its end: exit status and what it printed."""
    log = workspace.folder / "next.log"
    log.unlink(missing_ok=True)
    pid = command(arguments, log)
    status = wait(pid, time.monotonic() + COMMAND_SECONDS)
    if status is None:
        kill(pid)
        return 1, f"hangs: asl {' '.join(arguments)}"
    return status, log.read_text(errors="replace")


def ask(workspace: Workspace, function: Callable[[Workspace], Any]) -> Any:
    """What a function returns in a process of its own, so that this one opens no database."""
    answer, log = workspace.folder / "answer.json", workspace.folder / "answer.log"
    answer.unlink(missing_ok=True)
    log.unlink(missing_ok=True)

    def call() -> int:
        answer.write_text(json.dumps(function(workspace)))
        return 0

    if wait(start(call, log), time.monotonic() + COMMAND_SECONDS) != 0:
        raise AssertionError(log.read_text())
    return json.loads(answer.read_text())


# --- what holds after every kill ----------------------------------------------------------------


def runs(workspace: Workspace) -> list[dict[str, Any]]:
    """Every run as plain values; those of killed processes are ended first."""
    from asl.tracking.database import list_runs
    from asl.tracking.store import open_tracker

    tracking = {"uri": workspace.tracking.partition("=")[2], "experiment": "asl"}
    open_tracker(tracking)
    return [
        {"id": run.run_id, "status": run.status, "kind": run.tags.get("kind"), "name": run.name}
        | {"seed": run.params.get("seed"), "parent": run.tags.get("mlflow.parentRunId")}
        for run in list_runs(tracking)
    ]


def faults(workspace: Workspace) -> list[str]:
    """The faults of a workspace, in sentences; remembers its finished runs for the next call."""
    found, workspace.known["finished"] = ask(workspace, _look)
    return list(found)


def _look(workspace: Workspace) -> tuple[list[str], dict[str, int]]:
    """The faults in sentences, and each finished run's id with the size of its checkpoint."""
    now = runs(workspace)
    found = [f"{run['name']} is RUNNING" for run in now if run["status"] == "RUNNING"]
    finished = _finished(workspace, now)
    found += _lost(workspace, now, finished) + _store_faults(workspace)
    for folder in (workspace.folder / "exports").glob("*"):
        found += _export_faults(folder)
    return found, finished


def _lost(workspace: Workspace, now: list[dict[str, Any]], finished: dict[str, int]) -> list[str]:
    """Finished runs whose status or checkpoint is gone; only new checkpoints are opened."""
    from asl.training.checkpoint import load_recognizer

    before = workspace.known["finished"]
    found = [
        f"{run} was FINISHED, with a checkpoint of {size} bytes"
        for run, size in before.items()
        if finished.get(run) != size
    ]
    for run in now:
        if run["id"] in finished.keys() - before.keys() and run["kind"] in ("train", "ensemble"):
            try:
                load_recognizer(_checkpoint(workspace, run["id"]))
            except Exception as error:
                found.append(f"{run['name']} is FINISHED without its checkpoint: {error}")
    return found


def _finished(workspace: Workspace, now: list[dict[str, Any]]) -> dict[str, int]:
    """The finished runs, and the sizes of their checkpoints, 0 of those that have none."""
    ids = [run["id"] for run in now if run["status"] == "FINISHED"]
    files = {run: _checkpoint(workspace, run) for run in ids}
    return {run: file.stat().st_size if file.exists() else 0 for run, file in files.items()}


def _checkpoint(workspace: Workspace, run: str) -> Path:
    return workspace.folder / "mlruns/artifacts" / run / "artifacts/checkpoints/best.ckpt"


def _store_faults(workspace: Workspace) -> list[str]:
    from asl.clips.store import ClipStore
    from asl.errors import UserError

    known = workspace.known["fingerprints"]
    found = []
    for name in ("store", "packed"):
        try:
            store = ClipStore.open(workspace.folder / name)
        except UserError as error:
            if "no finished clip store" not in str(error):
                found.append(str(error))
            continue
        for row in range(len(store)):
            store.read(row)
        if store.fingerprint not in known:
            found.append(f"{name}: a mixture of clips")
    return found


def _export_faults(folder: Path) -> list[str]:
    from asl.runtime.litert import load

    found = []
    for file in folder.glob("*.tflite"):
        load(file)
    if (zipped := folder / "submission.zip").exists():
        found += [f"{zipped}: damaged"] * bool(zipfile.ZipFile(zipped).testzip())
    if (report := folder / "report.json").exists():
        sizes = json.loads(report.read_text())["bytes"]
        found += [
            f"{folder / name}: is in the report, and missing or cut short"
            for name, size in sizes.items()
            if not (folder / name).exists() or (folder / name).stat().st_size != size
        ]
    return found


# --- the cases ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Commands that run at once and are killed, and what goes on afterwards.

    Attributes:
        commands: of one attempt.
        follow: does the next command, and gives the faults; None where it did nothing.
    """

    commands: Callable[[Workspace, int], list[list[str]]]
    follow: Callable[[Workspace, int], list[str] | None]


def again(workspace: Workspace, number: int, arguments: list[str]) -> list[str] | None:
    """The same command does the rest, where it has been killed often enough."""
    if (number + 1) % IN_TURN:
        return None
    status, text = finish(workspace, arguments)
    return [] if status == 0 else [f"status {status}: {text[-1500:]}"]


def resume(workspace: Workspace, number: int) -> list[str] | None:
    """Killed trainings of this attempt go on, or say why not."""
    found = None
    for run in ask(workspace, runs):
        if run["kind"] == "train" and run["status"] == "KILLED" and run["seed"] == str(number):
            status, text = finish(workspace, ["train", f"resume={run['id']}", workspace.tracking])
            found = found or []
            said = status == 2 and any(why in text for why in KEPT)
            if status and not (said and "Traceback" not in text):
                found.append(f"resume: status {status}: {text[-1500:]}")
    return found


def crossval(workspace: Workspace, number: int) -> list[str]:
    """The command of a cross-validation of two folds."""
    kfold = ["split=signer_kfold", "split.folds=2", "workers=1", f"seed={number // IN_TURN}"]
    return ["crossval", *SMALL, *workspace.data(), workspace.tracking, *kfold]


def sweep(workspace: Workspace, number: int) -> list[str]:
    """The command of a sweep of two trials."""
    few = ["sweep=quick", "sweep.n_trials=2", "sweep.fixed=['trainer.max_epochs=2']"]
    study = f"sweep.name=kills{number // IN_TURN}"
    name = [study, f"sweep.storage=sqlite:///{workspace.folder}/optuna.db"]
    return ["sweep", *workspace.data(), workspace.tracking, *few, *name, "trainer=smoke"]


def export(workspace: Workspace, number: int) -> list[str]:
    """The command of an export; ten share a folder."""
    folder = workspace.folder / "exports" / str(number // 10)
    run = workspace.known["members"][0]
    checks = ["export.clips=4", "export.variants=[float16]"]
    return ["export", f"run={run}", f"export.dir={folder}", *checks, workspace.tracking]


def follow_export(workspace: Workspace, number: int) -> list[str] | None:
    """Most of the time the next export is killed, too."""
    if number % 5:
        return None
    folder = workspace.folder / "exports" / str(number // 10)
    status, text = finish(workspace, export(workspace, number))
    found = [] if status == 0 else [f"status {status}: {text[-1500:]}"]
    left = [path.name for path in folder.glob(".*")]
    return found + [f"{folder}: {left} left"] * bool(left)


def ensemble(workspace: Workspace, number: int) -> list[str]:
    """The command of an ensemble of two runs."""
    return ["ensemble", f"runs=[{','.join(workspace.known['members'])}]", workspace.tracking]


def prepare(workspace: Workspace, number: int) -> list[str]:
    """The command that packs a store of its own, in turns as float16 and float32."""
    return [
        "prepare",
        *workspace.data("packed"),
        f"data.dtype=float{16 * (1 + number // IN_TURN % 2)}",
    ]


def follow_prepare(workspace: Workspace, number: int) -> list[str] | None:
    """The same command does the rest; sometimes the next one begins anew."""
    found = again(workspace, number, prepare(workspace, number))
    if number % 7 == 0:
        shutil.rmtree(workspace.folder / "packed")
    return found


def download(workspace: Workspace, number: int) -> list[str]:
    """The command that fetches the archive from the stand-in."""
    return ["download", "data=gislr", f"data.root={workspace.folder}/downloaded"]


def follow_download(workspace: Workspace, number: int) -> list[str] | None:
    """The same command does the rest."""
    found = again(workspace, number, download(workspace, number))
    if found is not None:
        shutil.rmtree(workspace.folder / "downloaded", ignore_errors=True)
    return found


def interrupted(workspace: Workspace, number: int) -> list[list[str]]:
    """Two resumes of one run that was killed after its first epoch."""
    work = workspace.folder / "mlruns" / "work"
    others = set(work.glob("*"))  # other cases leave killed runs' files
    pid = command(
        [*workspace.train(number), "trainer.max_epochs=40"], workspace.folder / "killed.log"
    )
    until = time.monotonic() + COMMAND_SECONDS
    begun: set[Path] = set()
    while not begun and time.monotonic() < until:
        time.sleep(0.02)
        begun = {path.parent for path in work.glob("*/last-*.ckpt")} - others
    kill(pid)
    run = begun.pop().name
    return [["train", f"resume={run}", "trainer.max_epochs=4", workspace.tracking]] * 2


def clean_work(workspace: Workspace, number: int) -> list[str] | None:
    """The run goes on; then its files make room for the next attempt's."""
    found = resume(workspace, number)
    shutil.rmtree(workspace.folder / "mlruns" / "work", ignore_errors=True)
    return found


def twice(
    make: Callable[[Workspace, int], list[str]],
) -> Callable[[Workspace, int], list[list[str]]]:
    """The same command two times at once."""
    return lambda workspace, number: [make(workspace, number)] * 2


def once(
    make: Callable[[Workspace, int], list[str]],
) -> Callable[[Workspace, int], list[list[str]]]:
    """One command."""
    return lambda workspace, number: [make(workspace, number)]


def same(
    make: Callable[[Workspace, int], list[str]],
) -> Callable[[Workspace, int], list[str] | None]:
    """The same command does the rest."""
    return lambda workspace, number: again(workspace, number, make(workspace, number))


CASES = {
    "train": Case(lambda workspace, number: [workspace.train(number)], resume),
    "export": Case(once(export), follow_export),
    "crossval": Case(once(crossval), same(crossval)),
    "ensemble": Case(once(ensemble), same(ensemble)),
    "sweep": Case(once(sweep), same(sweep)),
    "prepare": Case(once(prepare), follow_prepare),
    "download": Case(once(download), follow_download),
    "train and prepare": Case(
        lambda workspace, number: [
            workspace.train(number),
            ["prepare", *workspace.data(), f"data.dtype=float{16 * (1 + number % 2)}"],
        ],
        resume,
    ),
    "two resumes": Case(interrupted, clean_work),
    "two exports": Case(twice(export), follow_export),
    "two crossvals": Case(twice(crossval), same(crossval)),
    "two sweeps": Case(twice(sweep), same(sweep)),
}


# --- the kills ----------------------------------------------------------------------------------


def attempt(workspace: Workspace, name: str, number: int, longest: Length) -> dict[str, Any]:
    """Kill the commands of a case at a random moment each, and see what holds.

    A moment is reached by time or by computing, whichever comes first: others may use the machine.
    """
    luck, case = random.Random(f"{name} {number}"), CASES[name]
    began, log = time.monotonic(), workspace.folder / "killed.log"
    log.unlink(missing_ok=True)
    found: list[str] = []
    moments: list[float] = []
    statuses: list[int | None] = []
    commands = case.commands(workspace, number)
    started, used = time.monotonic(), seconds_of_children()
    pids = [command(arguments, log) for arguments in commands]
    ends = sorted((luck.random(), pid) for pid in pids)
    for share, pid in ends:
        status = wait(pid, started + share * longest.seconds, share * longest.cpu)
        if status is None:
            kill(pid)
            moments.append(round(time.monotonic() - started, 3))
        elif status not in (0, 2):
            found.append(f"status {status}: {log.read_text(errors='replace')[-1500:]}")
        statuses.append(status)
    took = time.monotonic() - started, (seconds_of_children() - used) / len(pids)
    line = {"case": name, "number": number, "killed_after": moments, "statuses": statuses}
    last = last_of_turn(number) if ended(line) else number
    try:
        found += faults(workspace)
        if (after := case.follow(workspace, last)) is not None:
            found += after + faults(workspace)
    except AssertionError as error:
        found.append(str(error)[-1500:])
    return line | {"faults": found, "took": took, "seconds": round(time.monotonic() - began, 2)}


def ended(line: dict[str, Any]) -> bool:
    """Whether the commands of an attempt came to their end: another would find nothing to do."""
    return not any(line["statuses"]) and None not in line["statuses"]


def last_of_turn(number: int) -> int:
    """The last attempt that has the same command to do."""
    return number - number % IN_TURN + IN_TURN - 1


def seconds_of_children() -> float:
    """Seconds of computing of all processes that have been waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def set_up(workspace: Workspace) -> None:
    """A store, and two finished runs; known to later calls by a file."""
    file = workspace.folder / "known.json"
    if not file.exists():
        for seed in (1, 2):
            status, text = finish(workspace, workspace.train(seed))
            assert status == 0, text
        for dtype in ("float16", "float32"):
            status, text = finish(
                workspace, ["prepare", *workspace.data("packed"), f"data.dtype={dtype}"]
            )
            assert status == 0, text
            workspace.known.setdefault("fingerprints", []).append(ask(workspace, _fingerprint))
        workspace.known["members"] = [run["id"] for run in ask(workspace, runs)]
        _zip(workspace.folder / "raw", workspace.folder / "archive.zip")
        file.write_text(json.dumps(workspace.known))
    workspace.known = json.loads(file.read_text())
    workspace.known["finished"] = ask(workspace, lambda space: _finished(space, runs(space)))


def _fingerprint(workspace: Workspace) -> str:
    from asl.clips.store import ClipStore

    return ClipStore.open(workspace.folder / "packed").fingerprint


def _zip(raw: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(raw.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                packed.write(file, file.relative_to(raw))


def longest_of(workspace: Workspace, name: str) -> Length:
    """How long the commands of a case take without a kill; measured once."""
    file = workspace.folder / "longest.json"
    known: dict[str, list[float]] = json.loads(file.read_text()) if file.exists() else {}
    if name not in known:
        known[name] = list(_longest_of(workspace, name))
        file.write_text(json.dumps(known))
    return Length(*known[name])


def _longest_of(workspace: Workspace, name: str) -> Length:
    commands = CASES[name].commands(workspace, 10**6)
    began, used = time.monotonic(), seconds_of_children()
    for pid in [command(arguments, workspace.folder / "killed.log") for arguments in commands]:
        wait(pid, began + COMMAND_SECONDS)
    longest = Length(time.monotonic() - began, (seconds_of_children() - used) / len(commands))
    CASES[name].follow(workspace, 10**6)
    return longest


def serve(folder: Path) -> tuple[int, int]:
    """A stand-in for Kaggle in a process of its own: its id and port."""
    server = HTTPServer(("127.0.0.1", 0), Kaggle)
    server.folder = folder  # type: ignore[attr-defined]
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        server.timeout = 1
        while os.getppid() == parent:
            server.handle_request()
        os._exit(0)
    return pid, server.server_port


class Kaggle(BaseHTTPRequestHandler):
    """Sends a client of its API on to the archive."""

    def do_POST(self) -> None:
        """Answer a client of the API."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(302)
        self.send_header("Location", f"http://127.0.0.1:{self.connection.getsockname()[1]}/a.zip")
        self.end_headers()

    def do_GET(self) -> None:
        """Send the archive, slowly."""
        body = (self.server.folder / "archive.zip").read_bytes()  # type: ignore[attr-defined]
        start = int(self.headers.get("Range", "bytes=0-")[6:-1] or 0)
        self.send_response(206 if start else 200)
        for name, value in (("Accept-Ranges", "bytes"), ("ETag", '"one"')):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        try:
            for at in range(start, len(body), 65536):
                self.wfile.write(body[at : at + 65536])
                time.sleep(0.01)
        except ConnectionError:
            pass

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


def stand_in(port: int) -> None:
    """Point Kaggle's client at the stand-in."""
    os.environ |= {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "c0ffee"}
    from kagglesdk import kaggle_env

    api = f"http://127.0.0.1:{port}"
    kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = api
    plenty = type(shutil.disk_usage("/"))(10**12, 0, 10**12)
    shutil.disk_usage = lambda _: plenty  # type: ignore[assignment]


def import_all() -> None:
    """What commands import, so that a process that is forked starts at once."""
    for module in IMPORTED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # or each process would copy what it only looks through for garbage


def hurry() -> None:
    """Skip slow work that a killed process cannot depend on: fsync, sharp pictures."""
    import matplotlib as mpl
    from mlflow.store.db import utils
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def no_waiting(connection: Any, record: Any) -> None:
        if "sqlite3" in type(connection).__module__:
            connection.execute("PRAGMA synchronous=OFF")

    os.fsync = lambda fd: None
    mpl.rcParams["savefig.dpi"] = 20
    latest = utils._get_latest_schema_revision()  # reads 60 files
    utils._get_latest_schema_revision = lambda: latest


def done(file: Path) -> list[dict[str, Any]]:
    """The recorded attempts."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def summary(lines: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of the kills."""
    rows = ["| killed | kills | faults |", "|---|---|---|"]
    for name in CASES:
        mine = [line for line in lines if line["case"] == name]
        kills = sum(len(line["killed_after"]) for line in mine)
        rows.append(f"| {name} | {kills} | {sum(bool(line['faults']) for line in mine)} |")
    kills = sum(len(line["killed_after"]) for line in lines)
    rows.append(f"| together | {kills} | {sum(bool(line['faults']) for line in lines)} |")
    return "\n".join(rows)


def in_rounds(cases: Sequence[str], kills: int) -> Iterator[tuple[str, int]]:
    """Each case with the kills that it has after a round, so that none waits for all of another."""
    for done_then in [*range(ROUND, kills, ROUND), kills]:
        for name in cases:
            yield name, -(-SHARES[name] * done_then // 500)


def _next(line: dict[str, Any]) -> int:
    """The number of the attempt after one; it names studies and seeds."""
    return 1 + (last_of_turn(line["number"]) if ended(line) else line["number"])


def main() -> None:
    """Kill commands until there are enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("data/kills"))
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--summary", action="store_true", help="print the table so far")
    options = parser.parse_args()
    file = options.folder / "kills.jsonl"
    if options.summary:
        print(summary(done(file)))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(options.folder.resolve())
    server, port = serve(workspace.folder)
    import_all()
    hurry()
    stand_in(port)
    set_up(workspace)
    for name, wanted in in_rounds(options.cases, options.kills):
        mine = [line for line in done(file) if line["case"] == name]
        kills = sum(len(line["killed_after"]) for line in mine)
        number = _next(mine[-1]) if mine else 1000 * (1 + list(CASES).index(name))
        longest = longest_of(workspace, name) if kills < wanted else Length(0, 0)
        while kills < wanted:
            line = attempt(workspace, name, number, longest)
            kills += len(line["killed_after"])
            if ended(line) and number % IN_TURN == 0:  # all of it was done, and by nobody before
                longest = Length(line["took"][0], min(longest.cpu, line["took"][1]))
            number = _next(line)
            with file.open("a") as out:
                print(json.dumps(line), file=out)
            print(name, kills, "of", wanted, line["faults"] or "", flush=True)
    os.kill(server, signal.SIGKILL)
    print(summary(done(file)))


if __name__ == "__main__":
    main()
