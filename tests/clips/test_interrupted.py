"""`prepare` under kills, concurrent runs, a full disk and changing files: nothing is lost."""

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from asl.clips.prepare import prepare
from asl.clips.sources.base import Entry, Reading
from asl.clips.sources.gislr import GislrSource, read_clip, write_clip
from asl.clips.store import ClipStore
from asl.errors import UserError

FOLDER, MAP = "train_landmark_files", "sign_to_prediction_index_map.json"


def write_data_set(root: Path, clips: int) -> Path:
    """Many clips of one frame, so that there are several shards that are packed fast."""
    rng = np.random.default_rng(0)
    lines = ["path,participant_id,sequence_id,sign"]
    for number in range(clips):
        path = f"{FOLDER}/{number % 5}/{number}.parquet"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_clip(root / path, rng.random((1, 543, 3)))
        lines.append(f"{path},{number % 5},{number},sign{number % 4}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    (root / MAP).write_text(json.dumps({f"sign{i}": i for i in range(4)}))
    return root


@pytest.fixture(scope="module")
def several(tmp_path_factory) -> Path:
    """Packed by one process into several shards."""
    return write_data_set(tmp_path_factory.mktemp("several"), 66)


@pytest.fixture(scope="module")
def enough(tmp_path_factory) -> Path:
    """Enough clips for worker processes."""
    return write_data_set(tmp_path_factory.mktemp("enough"), 420)


class Counting(GislrSource):
    """Records the files that it reads."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_paths: list[str] = []

    def read(self, entry: Entry) -> Reading:
        self.read_paths.append(entry.path)
        return super().read(entry)


def pack(raw: Path, store: Path) -> list[str]:
    """Packs without interruption in this process; returns the files that were read."""
    source = Counting(raw)
    prepare(source, store, workers=1, name="test", echo=lambda line: None)
    return source.read_paths


def files(store: Path) -> dict[str, bytes]:
    """All files of a store except its lock, with their content."""
    paths = [path for path in sorted(store.rglob("*")) if path.is_file() and path.name != ".lock"]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in paths}


def written(store: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of each shard's file, which show whether it was written again."""
    states = {path.name: path.stat() for path in (store / "shards").glob("*")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def differing(store: Path, whole: dict[str, bytes]) -> list[str]:
    """The files that differ from those of the complete store, missing and extra ones included."""
    here = files(store)
    return [name for name in {**here, **whole} if here.get(name) != whole.get(name)]


def again(before: dict, after: dict) -> list[str]:
    return [name for name in before if name in after and before[name] != after[name]]


def content(store: Path) -> list[tuple[str, str, bytes]] | None:
    """The content of the store for a reader; None where there is no store."""
    try:
        opened = ClipStore.open(store)
    except UserError:
        return None
    rows = zip(opened.clips["path"], opened.clip_signs, range(len(opened)), strict=True)
    return [(str(path), str(sign), opened.read(row).tobytes()) for path, sign, row in rows]


# --- killed -------------------------------------------------------------------------------------

# Waits for lines with a folder of raw clips, a store, a number of steps and a number of seconds,
# and packs in a child of its own, so that a try costs no start of Python. The child is killed when
# it is about to take so many steps on the disk, or after so many seconds.
CHILDREN = """
import json, os, signal, sys, time
from asl.clips.sources.gislr import GislrSource
from asl.clips.prepare import prepare

STEPS = ("os.rename", "os.remove", "os.truncate", "os.link", "os.mkdir")

def is_step(event, arguments):
    return event in STEPS or event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)

def pack(raw, store, steps):
    taken = 0
    def watch(event, arguments):
        nonlocal taken
        if is_step(event, arguments) and str(arguments[0]).startswith(store):
            taken += 1
            if taken == steps:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    prepare(GislrSource(raw), store, workers=1, name="test", echo=lambda line: None)

for line in sys.stdin:
    raw, store, steps, seconds = json.loads(line)
    child = os.fork()
    if not child:
        try:
            pack(raw, store, steps)
            os._exit(0)
        finally:
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    ends = {signal.SIGKILL: "killed", 0: "finished"}
    print(ends.get(os.WTERMSIG(status) if os.WIFSIGNALED(status) else status, "failed"), flush=True)
"""

Attempt = Callable[..., str]


@pytest.fixture(scope="module")
def attempt() -> Iterator[Attempt]:
    """Packs in a process that may be killed; returns whether it was."""
    command = [sys.executable, "-c", CHILDREN]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, bufsize=1) as parent:

        def start(raw: Path, store: Path, steps: int = 0, seconds: float | None = None) -> str:
            parent.stdin.write(json.dumps([str(raw), str(store), steps, seconds]) + "\n")
            end = parent.stdout.readline().strip()
            assert end in ("killed", "finished"), end
            return end

        yield start
        parent.stdin.close()


@pytest.mark.slow
def test_resumes_after_a_kill_before_any_disk_operation(several, attempt, tmp_path):
    pack(several, tmp_path / "whole")
    whole, seen = files(tmp_path / "whole"), content(tmp_path / "whole")
    wrong = {}
    for step in range(1, 200):
        store = tmp_path / f"store{step}"
        if attempt(several, store, step) == "finished":
            break
        assert content(store) in (None, seen)
        before = written(store)
        pack(several, store)
        assert len(again(before, written(store))) <= 2  # the data and the journal of one shard
        wrong[step] = differing(store, whole)
        shutil.rmtree(store)
    assert 10 < step < 199
    assert not {step: names for step, names in wrong.items() if names}


@pytest.mark.slow
def test_an_update_killed_before_any_step_leaves_the_old_store_or_none(several, attempt, tmp_path):
    """A reader sees the old store, the new one or none, never a mixture."""
    raw = shutil.copytree(several, tmp_path / "raw")
    pack(raw, tmp_path / "old")
    edit_list(raw, lambda lines: [*lines[4:], lines[2]])
    for path in clips_of(raw)[10:40]:
        write_clip(path, np.full((2, 543, 3), 0.5))
    pack(raw, tmp_path / "new")
    whole = files(tmp_path / "new")
    seen = content(tmp_path / "old"), content(tmp_path / "new"), None
    mixed, wrong = [], {}
    for step in range(1, 200):
        store = shutil.copytree(tmp_path / "old", tmp_path / f"store{step}")
        if attempt(raw, store, step) == "finished":
            break
        if content(store) not in seen:
            mixed.append(step)
        pack(raw, store)
        wrong[step] = differing(store, whole)
        shutil.rmtree(store)
    assert 10 < step < 199
    assert not mixed
    assert not {step: names for step, names in wrong.items() if names}


@pytest.mark.slow
def test_resumes_after_kills_at_twenty_random_moments(several, attempt, tmp_path):
    pack(several, tmp_path / "whole")
    whole = files(tmp_path / "whole")
    began = time.perf_counter()
    assert attempt(several, tmp_path / "measured") == "finished"
    longest = time.perf_counter() - began
    luck, killed, store = random.Random(0), 0, tmp_path / "store"
    for _ in range(250):
        if attempt(several, store, seconds=luck.uniform(0, longest)) == "finished":
            assert not differing(store, whole)
            shutil.rmtree(store)  # so that there is always work left
            continue
        killed += 1
        if killed == 20:
            break
    assert killed == 20
    before = written(store) if store.exists() else {}
    pack(several, store)
    assert len(again(before, written(store))) <= 2
    assert not differing(store, whole)


PREPARE = """
import sys
from asl.clips.sources.gislr import GislrSource
from asl.clips.prepare import prepare
if __name__ == "__main__":
    source = GislrSource(sys.argv[1])
    print("go", flush=True)
    prepare(source, sys.argv[2], workers=2, name="test")
"""


def start(script: Path, raw: Path, store: Path) -> subprocess.Popen:
    """Starts packing with two workers in a new process group, and waits until they read clips."""
    script.write_text(PREPARE)
    command = [sys.executable, str(script), str(raw), str(store)]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True)
    process.stdout.readline()
    return process


def workers_of(process: subprocess.Popen) -> list[int]:
    """The worker processes of a process."""
    try:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in text.split()}
    except OSError:  # it has just ended
        return []
    return [pid for pid, line in lines.items() if "resource_tracker" not in line]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def kill(process: subprocess.Popen, whom: str) -> bool:
    """Kills the group, the parent or one worker; returns whether it was still at work."""
    workers = workers_of(process)
    if process.poll() is not None or (whom == "a worker" and not workers):
        process.communicate(timeout=60)
        return False
    if whom == "all":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        os.kill(process.pid if whom == "the parent" else workers[-1], signal.SIGKILL)
    error = process.communicate(timeout=60)[1]
    if whom == "a worker":
        assert not process.returncode or "UserError: " in error.strip().splitlines()[-1], error
    deadline = time.monotonic() + 10
    while not all(gone(pid) for pid in workers):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.02)
    return True


def kill_often(raw: Path, store: Path, script: Path, whom: str, times: int, longest: float) -> None:
    """Restarts `asl prepare` until it has been killed this many times while it was packing.

    A store that it finishes in between is thrown away, so that there is always work left.
    """
    luck, killed = random.Random(whom), 0
    for _ in range(20 * times):
        process = start(script, raw, store)
        time.sleep(luck.uniform(0, longest))
        killed += kill(process, whom)
        if killed == times:
            return
        if process.returncode == 0:
            shutil.rmtree(store)
    raise AssertionError(f"only {killed} of {times} kills found it at work")


linux_only = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks into /proc")


@linux_only
@pytest.mark.slow
@pytest.mark.parametrize("whom", ["all", "the parent", "a worker"])
def test_resumes_after_kills_with_workers(whom, enough, tmp_path):
    pack(enough, tmp_path / "whole")
    kill_often(enough, tmp_path / "store", tmp_path / "script.py", whom, times=1, longest=0.6)
    pack(enough, tmp_path / "store")
    assert not differing(tmp_path / "store", files(tmp_path / "whole"))


@linux_only
@pytest.mark.slow
@pytest.mark.parametrize("whom", ["all", "the parent", "a worker"])
def test_resumes_with_real_clips_after_many_kills(whom, shared_data, tmp_path):
    raw, store = shared_data / "words15", tmp_path / "store"
    pack(raw, tmp_path / "whole")
    began = time.perf_counter()
    assert start(tmp_path / "script.py", raw, tmp_path / "measured").wait() == 0
    longest = time.perf_counter() - began
    assert not differing(tmp_path / "measured", files(tmp_path / "whole"))
    kill_often(raw, store, tmp_path / "script.py", whom, times=8, longest=longest)
    before = written(store) if store.exists() else {}
    pack(raw, store)
    assert len(again(before, written(store))) <= 4  # a shard in the hands of each worker
    assert not differing(store, files(tmp_path / "whole"))


# --- at the terminal ----------------------------------------------------------------------------


def command(raw: Path, store: Path) -> list[str]:
    asl = [sys.executable, "-c", "from asl.cli import main; main()", "prepare", "data=gislr"]
    where = [f"data.root={raw}", f"data.store={store}"]
    return [*asl, *where, "data.dtype=float32", "data.name=test"]


@pytest.mark.slow
def test_two_runs_at_once_both_succeed(enough, tmp_path):
    options = {"stdout": -1, "stderr": -1, "text": True}
    both = [subprocess.Popen(command(enough, tmp_path / "store"), **options) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert all(out.strip().endswith("clips/s") for out, _ in outputs)
    pack(enough, tmp_path / "whole")
    assert not differing(tmp_path / "store", files(tmp_path / "whole"))


def refused(done: subprocess.CompletedProcess, *words: str) -> None:
    """Asserts one sentence and exit status 2."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("asl prepare: ")]
    assert len(lines) == 1, done.stderr
    assert all(word in lines[0] for word in words), lines[0]


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=120, **options)


def test_no_room_for_a_file_is_one_sentence(enough, tmp_path):
    import resource

    def starve() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = run(*command(enough, tmp_path / "store"), preexec_fn=starve)
    refused(done, str(tmp_path / "store"), "cannot be written", "File too large")
    pack(enough, tmp_path / "store")
    pack(enough, tmp_path / "whole")
    assert not differing(tmp_path / "store", files(tmp_path / "whole"))


# In a name space of its own, where anybody may mount: a disk that grows, then forbids writing.
SMALL_DISK = """
import io, json, os, subprocess, sys
from contextlib import redirect_stderr
from pathlib import Path
from asl.cli import run

def mount(*options):
    subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", disk], check=True)

def attempt(name):
    with redirect_stderr(io.StringIO()) as error:
        status = run(arguments)
    files = {p.name: p.stat().st_ino for p in Path(disk).glob("store/shards/[0-9]*")}
    told[name] = {"status": status, "error": error.getvalue(), "files": files}

if __name__ == "__main__":
    disk, out, *arguments = sys.argv[1:]
    told = {}
    mount("-o", "size=64k")
    for size in ("64k", "1500k", "64m"):
        mount("-o", f"remount,size={size}")
        attempt(size)
    subprocess.run(["cp", "-r", f"{disk}/store", out], check=True)
    subprocess.run(["rm", "-r", f"{disk}/store"], check=True)
    mount("-o", "remount,ro")
    attempt("read-only")
    Path(out, "told.json").write_text(json.dumps(told))
"""


@pytest.fixture(scope="module")
def small_disk(enough, tmp_path_factory) -> Path:
    """The outcomes of `asl prepare` on a disk that is too small and grows."""
    if shutil.which("unshare") is None or run("unshare", "-rm", "true").returncode:
        pytest.skip("this machine does not allow a disk of one's own")
    disk, out = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("out")
    (out / "script.py").write_text(SMALL_DISK)
    apart = ["unshare", "-rm", sys.executable, str(out / "script.py"), str(disk), str(out)]
    done = run(*apart, *command(enough, disk / "store")[3:])
    assert done.returncode == 0, done.stderr
    return out


def told(out: Path, name: str) -> tuple[subprocess.CompletedProcess, dict[str, int]]:
    """Exit status, messages, and the files of the shards afterwards."""
    one = json.loads((out / "told.json").read_text())[name]
    return subprocess.CompletedProcess([], one["status"], "", one["error"]), one["files"]


@pytest.mark.slow
@pytest.mark.parametrize("size", ["64k", "1500k"])
def test_a_full_disk_is_one_sentence(small_disk, size):
    refused(told(small_disk, size)[0], "cannot be written", "No space left on device")


@pytest.mark.slow
def test_finished_shards_stay_on_a_full_disk(small_disk, enough, tmp_path):
    (_, before), (done, after) = told(small_disk, "1500k"), told(small_disk, "64m")
    assert done.returncode == 0, done.stderr
    assert len(before) >= 4  # two shards at least, with their journals
    assert len([name for name in before if before[name] != after.get(name)]) <= 4  # in work then
    assert len(before.items() & after.items()) >= 4
    pack(enough, tmp_path / "whole")
    assert not differing(small_disk / "store", files(tmp_path / "whole"))


@pytest.mark.slow
def test_a_read_only_disk_is_one_sentence(small_disk):
    refused(told(small_disk, "read-only")[0], "cannot be written", "Read-only file system")


def test_a_finished_store_on_a_read_only_disk_is_opened(several, tmp_path, monkeypatch):
    pack(several, tmp_path / "store")
    before = files(tmp_path / "store")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (tmp_path / "store" / ".lock").unlink()
    opened = prepare(GislrSource(several), tmp_path / "store", name="test")
    assert len(opened) == 66
    assert files(tmp_path / "store") == before
    assert not (tmp_path / "store" / ".lock").exists()
    with pytest.raises(UserError, match=r"not up to date .* cannot be written"):
        prepare(GislrSource(several), tmp_path / "store", name="test", dtype="float16")


def test_a_store_that_is_up_to_date_is_opened_on_a_full_disk(several, tmp_path, monkeypatch):
    pack(several, tmp_path / "store")
    before = files(tmp_path / "store")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)  # as every file is written
    assert len(prepare(GislrSource(several), tmp_path / "store", name="test")) == 66
    assert files(tmp_path / "store") == before
    with pytest.raises(UserError, match="No space left on device"):
        prepare(GislrSource(several), tmp_path / "store", name="test", dtype="float16")


# --- read while it is packed anew ---------------------------------------------------------------


def test_readers_keep_the_version_that_they_opened(several, tmp_path):
    """Another command packs other clips into the same folder: the old shards stay until the end."""
    reader = prepare(GislrSource(several), tmp_path / "store", workers=1)
    expected = reader.read(0)
    other = prepare(GislrSource(several), tmp_path / "store", workers=1, dtype="float16")
    assert other.dtype == "float16"
    np.testing.assert_array_equal(reader.read(0), expected)  # maps its shard only now
    worker = pickle.loads(pickle.dumps(reader))  # as another process opens it
    assert worker.fingerprint == reader.fingerprint
    np.testing.assert_array_equal(worker.read(65), reader.read(65))
    del reader, worker
    prepare(GislrSource(several), tmp_path / "store", workers=1, dtype="float16")
    prepare(GislrSource(several), tmp_path / "fresh", workers=1, dtype="float16", name="store")
    assert not differing(tmp_path / "store", files(tmp_path / "fresh"))


def test_a_version_that_is_removed_says_so(several, tmp_path):
    pickled = pickle.dumps(prepare(GislrSource(several), tmp_path / "store", workers=1))
    prepare(GislrSource(several), tmp_path / "store", workers=1, dtype="float16")
    with pytest.raises(UserError, match="packed anew"):
        pickle.loads(pickled)


# --- overtaken by changes -----------------------------------------------------------------------


def clips_of(raw: Path) -> list[Path]:
    return sorted(raw.glob(f"{FOLDER}/*/*.parquet"))


def edit_list(raw: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = (raw / "train.csv").read_text().splitlines()
    (raw / "train.csv").write_text("\n".join([lines[0], *change(lines[1:])]) + "\n")


def _add(raw: Path) -> None:
    shutil.copyfile(clips_of(raw)[4], raw / FOLDER / "new.parquet")
    edit_list(raw, lambda lines: [*lines, f"{FOLDER}/new.parquet,99,1,sign1"])


def _remove(raw: Path) -> None:
    gone = clips_of(raw)[3]
    gone.unlink()
    edit_list(raw, lambda lines: [line for line in lines if f"/{gone.name}" not in line])


def _touch(raw: Path) -> None:
    clips_of(raw)[3].touch()


def _rewrite(raw: Path) -> None:
    write_clip(clips_of(raw)[3], np.full((3, 543, 3), 0.25))


def _rewrite_unseen(raw: Path) -> None:
    """Another clip, in a file of the same size and time."""
    path, rng = clips_of(raw)[3], np.random.default_rng(1)
    old = path.stat()
    path.write_bytes(b"")
    while path.stat().st_size != old.st_size:
        write_clip(path, rng.random((1, 543, 3)))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))


def _replace_unseen(raw: Path) -> None:
    """The same with a file that is moved into place."""
    path = clips_of(raw)[3]
    _rewrite_unseen(raw)
    os.replace(path, raw / "other")
    shutil.copy2(raw / "other", path)


def _rename(raw: Path) -> None:
    path = clips_of(raw)[3]
    path.rename(path.with_name("renamed.parquet"))
    edit_list(raw, lambda lines: [n.replace(f"/{path.name}", "/renamed.parquet") for n in lines])


def _exchange(raw: Path) -> None:
    a, b = clips_of(raw)[3], clips_of(raw)[17]
    a.rename(raw / "aside")
    b.rename(a)
    (raw / "aside").rename(b)


def _other_sign(raw: Path) -> None:
    edit_list(raw, lambda lines: [lines[0].replace("sign0", "sign1"), *lines[1:]])


def _other_signer(raw: Path) -> None:
    edit_list(raw, lambda lines: [lines[0].replace(",0,", ",77,"), *lines[1:]])


def _other_order(raw: Path) -> None:
    edit_list(raw, lambda lines: lines[::-1])


def _other_labels(raw: Path) -> None:
    (raw / MAP).write_text(json.dumps({f"sign{i}": 3 - i for i in range(4)}))


def _break(raw: Path) -> None:
    clips_of(raw)[3].write_bytes(b"PAR1")


def _lose(raw: Path) -> None:
    clips_of(raw)[3].unlink()


CHANGES: dict[Callable[[Path], None], int] = {
    _add: 1,
    _remove: 0,
    _touch: 1,
    _rewrite: 1,
    _rewrite_unseen: 1,
    _replace_unseen: 1,
    _rename: 1,
    _exchange: 2,
    _other_sign: 0,
    _other_signer: 0,
    _other_order: 0,
    _other_labels: 0,
    _break: 1,
    _lose: 1,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__[1:])
def test_a_change_updates_the_store_and_its_undoing_restores_it(change, several, tmp_path):
    """Only changed files are read, and the store equals that of a first run, also after undoing."""
    raw, store = tmp_path / "raw", tmp_path / "store"
    shutil.copytree(several, raw)
    pack(raw, store)
    first = ClipStore.open(store).fingerprint
    change(raw)
    assert len(pack(raw, store)) == CHANGES[change]
    pack(raw, tmp_path / "fresh")
    assert not differing(store, files(tmp_path / "fresh"))
    second = ClipStore.open(store)
    for row, path in enumerate(second.clips["path"]):
        np.testing.assert_array_equal(second.read(row), read_clip(raw / path))
    assert (second.fingerprint == first) == (change is _touch)
    assert not pack(raw, store)
    assert not differing(store, files(tmp_path / "fresh"))
