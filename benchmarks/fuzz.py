"""Fuzzing: damaged and hostile files of every format, read by processes of limited memory.

`python -m benchmarks.fuzz` damages genuine files (bits, cuts, holes, bytes of other files), reads
each one as the commands do, and counts what came of it. A file may be refused in a sentence or read
as another reader reads it. Anything else is a fault: another clip, another exception, more memory
than the limit, a minute without an answer, a file outside the folder. A crash ends the process that
reads, as in `asl predict` and `asl prepare`, and never the one that started it. Some of the genuine
files are hostile: they run a command where they are unpickled, or where what they name is called.

The parquet files are those of tests/clips/test_mutations.py.
"""

import argparse
import importlib
import io
import json
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from asl.errors import UserError
from asl.paths import PROJECT
from benchmarks.table import machine

SHARES = {
    "parquet": 20, "npy": 12, "npz": 12, "tflite": 20, "csv": 7, "map": 7, "yaml": 7,
    "checkpoint": 6, "zip": 7, "labels": 6, "pose": 6, "sign": 4, "mp4": 6,
}  # fmt: skip
MEMORY = 6 << 30  # of a process's address space; torch alone takes 3 GB of it
SECONDS = 60  # within which a file is read
MARKER = Path("/tmp/asl-fuzz-ran")
RUNS = f"touch {MARKER}"
OUTSIDE = Path("/tmp/asl-fuzz-outside")


# --- files --------------------------------------------------------------------------------------


def damage(content: bytes, others: list[bytes], luck: random.Random) -> bytes:
    """The bytes of a file with one to three changes; few are left as they are."""
    mutations = importlib.import_module("test_mutations")
    changes = [getattr(mutations, f"_{name}") for name in ("bits", "cut", "hole", "more")]
    changes += [getattr(mutations, f"_{name}") for name in ("garbage", "of_another", "doubled")]
    damaged = bytearray(content)
    for _ in range(luck.choice([0, 1, 1, 1, 2, 3])):
        if damaged:
            luck.choice(changes)(damaged, luck, others)
    return bytes(damaged)


class Hostile:
    """Unpickling it runs a command."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os

        return os.system, (RUNS,)


def genuine(kind: str, folder: Path) -> list[bytes]:
    """Files of a format, hostile ones among them, as bytes."""
    return list(GENUINE[kind](folder))


def _clip() -> np.ndarray:
    return np.random.default_rng(0).random((3, 543, 3), dtype=np.float32)


def _parquets(folder: Path) -> Iterator[bytes]:
    from asl.clips.sources.gislr import write_clip

    for number in range(3):
        write_clip(folder / "clip.parquet", _clip()[: number + 1], number)
        yield (folder / "clip.parquet").read_bytes()


def _saved(save: Callable[..., None], *arrays: object, **named: object) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def _npys(folder: Path) -> Iterator[bytes]:
    for kind in (np.float32, np.float64, np.int16):
        yield _saved(np.save, _clip().astype(kind))
    yield _saved(np.save, np.array([Hostile()], object))


def _npzs(folder: Path) -> Iterator[bytes]:
    yield _saved(np.savez, clip=_clip())
    yield _saved(np.savez_compressed, clip=_clip())
    yield _saved(np.savez, clip=np.array([Hostile()], object))
    yield _saved(np.savez_compressed, clip=np.zeros((200_000, 543, 3), np.float32))  # 1.3 GB


def _tflites(folder: Path) -> Iterator[bytes]:
    for path in sorted((PROJECT / "exports").glob("*/*.tflite")):
        if path.stat().st_size < 3e6:
            yield path.read_bytes()
    write = importlib.import_module("conftest").tiny_tflite.__wrapped__()
    yield write(folder / "tiny.tflite").read_bytes()
    crashing = importlib.import_module("test_strangers").crashing.__wrapped__(folder)
    content = crashing.read_bytes()
    crashing.unlink()
    yield content


def _csvs(folder: Path) -> Iterator[bytes]:
    rows = ["path,participant_id,sequence_id,sign"]
    rows += [f"train_landmark_files/1/{i}.parquet,{i % 3},{i},sign{i % 4}" for i in range(20)]
    yield "\n".join(rows).encode()
    rows += ["../../outside.parquet,1,1,sign1", "/etc/passwd,1,2,sign1", "=cmd,1,3,sign1"]
    yield "\n".join(rows).encode()


def _maps(folder: Path) -> Iterator[bytes]:
    yield json.dumps({f"sign{i}": i for i in range(9)}).encode()
    yield ("[" * 3000).encode()


def _yamls(folder: Path) -> Iterator[bytes]:
    yield b"layout: kinect20\nfile: a.npz\nclips: X\nsigns: {0: yes, 1: no}\nmissing: nan\n"
    yield f"layout: !!python/object/apply:os.system ['{RUNS}']\n".encode()
    yield b"a: &a [1]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nlayout: *c\n"


def _checkpoints(folder: Path) -> Iterator[bytes]:
    import torch

    from asl.config.plan import plan
    from asl.recognizer.build import build_recognizer

    spec = dict(plan("model=lstm", "model.hidden=8", "model.embed=8").recognizer)
    recognizer = build_recognizer(spec, ["a", "b"])
    weights = {f"recognizer.{key}": value for key, value in recognizer.state_dict().items()}
    spawn = {"_target_": "setuptools._distutils.spawn.spawn", "cmd": RUNS.split()}
    for part in ("none", "scaler", "model", "head", "features"):
        description = {"spec": spec | {part: spawn}, "signs": ["a", "b"]}
        yield _saved(_save_torch(torch), {"recognizer": description, "state_dict": weights})
    yield _saved(_save_torch(torch), Hostile())
    yield pickle.dumps(Hostile())


def _save_torch(torch: object) -> Callable[..., None]:
    return lambda buffer, content: torch.save(content, buffer)  # type: ignore[attr-defined]


def _zips(folder: Path) -> Iterator[bytes]:
    for names in (["a/b.txt", "c.txt"], ["../up.txt"], [str(OUTSIDE)], ["a\\..\\..\\b"]):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.writestr(name, "content" * 50)
        yield buffer.getvalue()


def _labels(folder: Path) -> Iterator[bytes]:
    tiny = list(_tflites(folder))[-2]
    for text in ('{"signs": ["a", "b", "c"]}', '{"signs": [1, 2, 3]}', "[" * 3000, '{"signs": {}}'):
        path = folder / "labelled.tflite"
        path.write_bytes(tiny)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("labels.json", text)
        yield path.read_bytes()


def _poses(folder: Path) -> Iterator[bytes]:
    from asl.clips.sources.pose import pose_bytes
    from asl.landmarks import MEDIAPIPE_HOLISTIC

    for frames in (1, 3):
        yield pose_bytes(_clip()[:frames], MEDIAPIPE_HOLISTIC)


def _gloves(folder: Path) -> Iterator[bytes]:
    line = "0.01,-0.02,0.3,0.5,-1,-1,0.25,0.5,0.75,0,0,0xFF,0,0,0"
    yield "\n".join([line] * 20).encode()
    yield "\n".join([line.replace("0.3", "1e39"), line.replace("0.3", "nan")]).encode()
    yield line.replace("0.3", "9" * 5000).encode()


def _videos(folder: Path) -> Iterator[bytes]:
    import cv2

    for suffix, code in (("mp4", "mp4v"), ("avi", "MJPG")):
        path = folder / f"genuine.{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 30, (64, 48))
        for shade in range(5):
            writer.write(np.full((48, 64, 3), 50 * shade, np.uint8))
        writer.release()
        yield path.read_bytes()
        path.unlink()


GENUINE: dict[str, Callable[[Path], Iterator[bytes]]] = {
    "parquet": _parquets, "npy": _npys, "npz": _npzs, "tflite": _tflites, "csv": _csvs,
    "map": _maps, "yaml": _yamls, "checkpoint": _checkpoints, "zip": _zips, "labels": _labels,
    "pose": _poses, "sign": _gloves, "mp4": _videos,
}  # fmt: skip


# --- reading ------------------------------------------------------------------------------------


def read_parquet(path: Path) -> str:
    """As row by row with pandas."""
    mutations = importlib.import_module("test_mutations")
    from asl.clips.sources.gislr import read_clip

    return _same(read_clip(path), mutations._by_pandas, path)


def read_numpy(path: Path) -> str:
    """As `np.load` reads it."""
    from asl.runtime.clips import read_clip

    def by_numpy(path: Path) -> np.ndarray:
        loaded = np.load(path, allow_pickle=False)
        return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]

    return _same(read_clip(path), by_numpy, path)


def _same(clip: np.ndarray, reader: Callable[[Path], np.ndarray], path: Path) -> str:
    try:
        other = reader(path).astype(np.float32)
    except Exception:  # a stricter reader is no proof of a wrong clip; equal bytes are counted
        return "read, and not by the other reader"
    return "read" if np.array_equal(clip, other, equal_nan=True) else "WRONG CLIP"


def read_tflite(path: Path) -> str:
    """Answers a clip of its own shape."""
    from asl.runtime.litert import load

    load(path)
    return "read"


def read_labels(path: Path) -> str:
    """Names, and what `asl predict` and `asl spot` take of what the file says."""
    from asl.runtime import labels, spotting

    facts, signs = labels.read_facts(path), labels.read_labels(path)
    labels.read_threshold(path)
    spotting.trained_window(facts)
    spotting.hands_of(facts)
    return "read" if all(isinstance(sign, str) for sign in signs) and facts is not None else "WRONG"


def read_list(path: Path) -> str:
    """A `train.csv` or a sign map: no entry leads out of the folder."""
    from asl.clips.sources.gislr import SIGN_MAP, TRAIN_CSV, GislrSource

    root = path.with_suffix("")
    root.mkdir()
    for name, suffix in ((TRAIN_CSV, "csv"), (SIGN_MAP, "map")):
        text = path.read_bytes() if path.suffix == f".{suffix}" else next(GENUINE[suffix](root))
        (root / name).write_bytes(text)
    entries = GislrSource(root).listing().entries
    inside = all((root / entry.path).resolve().is_relative_to(root.resolve()) for entry in entries)
    return "read" if inside else "OUTSIDE"


def read_yaml(path: Path) -> str:
    """A description; there are no arrays beside it."""
    from asl.clips.sources.npz import described_npz

    root = path.with_suffix("")
    root.mkdir()
    shutil.copy(path, root / "clips.yaml")
    described_npz(root)
    return "read"


def read_checkpoint(path: Path) -> str:
    """A recognizer."""
    from asl.training.checkpoint import load_recognizer

    load_recognizer(path)
    return "read"


def read_zip(path: Path) -> str:
    """Unpacked into a folder of its own."""
    from asl.fetch.unzip import unzip

    unzip(path, path.with_suffix("") / "unpacked")
    return "read"


def read_other(path: Path) -> str:
    """A clip of a format that has one reader."""
    from asl.runtime.clips import read_clip

    return "WRONG CLIP" if np.isinf(read_clip(path)).any() else "read"


def read_video(path: Path) -> str:
    """Every frame."""
    from asl.video.decode import open_video, read

    for frame in read(open_video(path)):
        if frame.dtype != np.uint8:
            return "WRONG"
    return "read"


READERS: dict[str, Callable[[Path], str]] = {
    "parquet": read_parquet, "npy": read_numpy, "npz": read_numpy, "tflite": read_tflite,
    "csv": read_list, "map": read_list, "yaml": read_yaml, "checkpoint": read_checkpoint,
    "zip": read_zip, "labels": read_labels, "pose": read_other, "sign": read_other,
    "mp4": read_video,
}  # fmt: skip


def read_all(kind: str, folder: Path, start: int) -> None:
    """In a process of its own: print each file's name, and then what came of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for path in _files(kind, folder)[start:]:
        print(path.name, flush=True)
        try:
            outcome = READERS[kind](path)
        except (UserError, OSError):
            outcome = "refused"
        except ValueError as error:  # with a reason that `asl predict` prints
            outcome = (
                "refused"
                if kind in ("npy", "npz", "pose", "sign")
                else f"ERROR {type(error).__name__}"
            )
        except MemoryError:
            outcome = "MEMORY"
        except Exception as error:
            outcome = f"ERROR {type(error).__name__}: {str(error)[:100]}"
        print(f"\t{outcome}", flush=True)


def _files(kind: str, folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"*.{kind}") if path.is_file())


def outcomes(kind: str, folder: Path) -> dict[str, str]:
    """What came of each file of a format; a process that dies is followed by another one."""
    names = [path.name for path in _files(kind, folder)]
    done: dict[str, str] = {}
    while len(done) < len(names):
        command = [sys.executable, "-m", "benchmarks.fuzz", "--read", kind, str(folder)]
        child = subprocess.Popen(
            [*command, str(len(done))], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        current = ""
        assert child.stdout is not None
        signal.alarm(SECONDS)
        try:
            for line in child.stdout:
                signal.alarm(SECONDS)
                if line.startswith("\t"):
                    done[current] = line.strip()
                else:
                    current = line.strip()
        except TimeoutError:
            child.kill()
            done[current or names[len(done)]] = "HANGS"
        finally:
            signal.alarm(0)
        if child.wait() and len(done) < len(names) and current not in done:
            status = child.returncode
            name = signal.Signals(-status).name if status < 0 else f"status {status}"
            done[current or names[len(done)]] = f"crashed its process ({name})"
    return done


# --- all of it ----------------------------------------------------------------------------------


def fuzz(count: int, seed: int, folder: Path, kinds: Sequence[str]) -> dict[str, Counter[str]]:
    """Make and read so many files of formats by their shares; the outcomes of each format."""
    shutil.rmtree(folder, ignore_errors=True)
    for path in (MARKER, OUTSIDE):
        path.unlink(missing_ok=True)
    found: dict[str, Counter[str]] = {}
    shares = {kind: SHARES[kind] for kind in kinds}
    for kind, share in shares.items():
        place = folder / kind
        place.mkdir(parents=True)
        originals = genuine(kind, place)
        for number in range(-(-count * share // sum(shares.values()))):
            luck = random.Random(f"{seed} {kind} {number}")
            content = damage(luck.choice(originals), originals, luck)
            (place / f"{number:06d}.{kind}").write_bytes(content)
        told = outcomes(kind, place)
        found[kind] = Counter(told.values())
        for name, outcome in told.items():
            if outcome[0].isupper():
                print(f"{place / name}: {outcome}", file=sys.stderr, flush=True)
            elif (place / name).exists():
                (place / name).unlink()
        print(f"{kind}: {dict(found[kind])}", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, Counter[str]], seconds: float) -> str:
    """The outcomes as Markdown."""
    lines = [
        "| format | files | read | refused | crashed their process | faults |",
        "|---|---|---|---|---|---|",
    ]
    for kind, outcomes in found.items():
        read = sum(n for outcome, n in outcomes.items() if outcome.startswith("read"))
        crashed = sum(n for outcome, n in outcomes.items() if outcome.startswith("crashed"))
        faults = {outcome: n for outcome, n in outcomes.items() if outcome[0].isupper()}
        shown = ", ".join(f"{n} × {outcome}" for outcome, n in faults.items()) or "0"
        cells = [kind, outcomes.total(), read, outcomes["refused"], crashed, shown]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    total = sum(outcomes.total() for outcomes in found.values())
    ran = "a command RAN" if MARKER.exists() else "no command ran"
    outside = "a file was WRITTEN OUTSIDE" if OUTSIDE.exists() else "none was written outside"
    lines += ["", f"{total:,} files in {seconds / 60:.0f} minutes; {ran}; {outside}."]
    return "\n".join(lines)


def main() -> None:
    """Fuzz, or with --read be one of the processes that read."""
    parser = argparse.ArgumentParser("python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(SHARES), choices=list(SHARES))
    parser.add_argument("--folder", type=Path, default=PROJECT / "data" / "bench" / "fuzz")
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path[:0] = [str(PROJECT / "tests" / place) for place in ("", "clips", "runtime")]
    if options.read:
        kind, folder, start = options.read
        read_all(kind, Path(folder), int(start))
        return

    def late(number: int, frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, late)
    began = time.perf_counter()
    found = fuzz(options.files, options.seed, options.folder, options.kinds)
    facts = machine(["numpy", "pyarrow", "torch", "ai-edge-litert"])
    text = table(found, time.perf_counter() - began)
    print("\n".join([*(f"- {name}: {fact}" for name, fact in facts.items()), "", text]))


if __name__ == "__main__":
    main()
