"""Whatever names and clips a data set has, each command ends well or says in one sentence why not.

Sets are made for every reader and go through prepare and train, some through eda, export, predict.
"""

import contextlib
import csv
import io
import json
import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from asl.cli import run
from asl.clips.sources.base import Entry
from asl.clips.sources.gislr import write_clip, write_lists
from asl.clips.sources.pose import pose_bytes
from asl.clips.store import ClipStore
from asl.landmarks import MEDIAPIPE_HOLISTIC
from asl.tracking.find import download, find_runs
from asl.tracking.store import open_tracker

NAMES = [
    "hello", "two words", " edges ", "a,b", 'say "hi"', "it's", "line\nbreak", "a\r\nb", "a\tb",
    "100%", "null", "NA", "nan", "None", "true", "1e3", "007", "7", "-1", "a/b", "..", "é中\u202e",
    "$5", r"$\frac$", "a$_$b", "[bye]", "[/b]", "[red]x[/red]", "x" * 5000, "9" * 5000,
]  # fmt: skip
FILE_NAMES = [name for name in NAMES if len(name) < 99 and "/" not in name and name != ".."]
GLOVE_SIGNS = [name for name in FILE_NAMES if not name[-1].isdigit()]  # a number follows
GLOVE_SIGNERS = ["ann", "ben", "x", "null", "nan", "true"]
FRAMES = {"one frame": 1, "long": 10_000}
VALUES = {
    "constant": 0.5,
    "zero": 0.0,
    "large": 1e6,
    "huge": 1e20,
    "infinite": np.inf,
    "empty": np.nan,
}
KINDS = ["plain", "plain", *FRAMES, *VALUES]
SUFFIXES = {
    "gislr": ".parquet", "npy": ".npy", "npz": ".npz", "pose": ".pose", "auslan95": ".sign",
}  # fmt: skip
READERS = list(SUFFIXES)
SKIPPED = {reader: {"huge", "infinite"} for reader in READERS}
SKIPPED["npy"].add("empty")  # its length is that up to the last detection
SKIPPED["auslan95"].add("empty")  # a glove measures always
PATHS = [
    "/etc/passwd", "../outside.npy", "a/../../b.npy", "missing.npy", "x" * 5000, "0.npy/inside.npy",
]  # fmt: skip


@dataclass(frozen=True)
class OddSet:
    """A data set: sign, signer and kind of each clip, and how it is stored and divided."""

    clips: list[tuple[str, str, str]]
    reader: str
    split: str

    def array(self, number: int) -> np.ndarray:
        """A clip, float32 [frames, landmarks, channels]."""
        kind = self.clips[number][2]
        landmarks, channels = {"npy": (20, 3), "npz": (20, 3), "auslan95": (1, 8)}.get(
            self.reader, (543, 3)
        )
        frames = FRAMES.get(kind, 6)
        frames = min(frames, 100) if landmarks == 543 else frames
        clip = np.random.default_rng(number).random((frames, landmarks, channels), np.float32)
        clip[:2] = VALUES.get(kind, clip[:2])
        if kind in ("constant", "zero", "empty"):
            clip[:] = VALUES[kind]
        return clip


@st.composite
def odd_sets(draw, readers=READERS):
    reader = draw(st.sampled_from(readers))
    signs, signers = (
        draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
        for names in names_of(reader)
    )
    # Not every sign by every signer: some are missing from training or test.
    pairs = st.tuples(*map(st.sampled_from, (signs, signers, KINDS)))
    clips = draw(st.lists(pairs, min_size=1, max_size=16))
    return OddSet(clips, reader, draw(st.sampled_from(["signer_holdout", "random"])))


def names_of(reader: str) -> tuple[list[str], list[str]]:
    """Names of signs and of signers that a reader may meet."""
    return (GLOVE_SIGNS, GLOVE_SIGNERS) if reader == "auslan95" else (NAMES, NAMES)


ONE_SIGN = OddSet([("null", who, "plain") for who in ("1e3", "NA", "$5")], "npz", "signer_holdout")
ONE_SIGNER = OddSet([(sign, "[/b]", "plain") for sign in ("a,b", "7")], "npz", "signer_holdout")
POSES = OddSet(
    [(sign, who, "plain") for sign in ("$5", "a\r\nb") for who in ("null", "1e3", "..")]
    + [("$5", "null", kind) for kind in (*FRAMES, *VALUES)],
    "pose",
    "signer_holdout",
)
GLOVES = OddSet(
    [(sign, who, "plain") for sign in ("$", "a\r\nb") for who in ("null", "ann", "x")]
    + [("$", "null", kind) for kind in (*FRAMES, *VALUES)],
    "auslan95",
    "signer_holdout",
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('odd')}/mlflow.db"


def write(odd: OddSet, root: Path) -> list[str]:
    """Write the raw data set; returns the arguments that name it."""
    root.mkdir(parents=True)
    places = [f"data.root={root}", f"data.store={root.parent}/store", "data.dtype=float32"]
    if odd.reader == "auslan95":
        write_gloves(odd, root)
        return ["data=auslan95", *places]
    signs = list(dict.fromkeys(sign for sign, *_ in odd.clips))
    arrays = [odd.array(number) for number in range(len(odd.clips))]
    suffix = SUFFIXES[odd.reader]
    paths = [f"{number}{suffix}" for number in range(len(odd.clips))]
    rows = [(p, sign, signer) for p, (sign, signer, _) in zip(paths, odd.clips, strict=True)]
    rows += [(path, signs[0], "hello") for path in (*PATHS, paths[0])]
    if odd.reader == "gislr":
        write_lists(root, [Entry(p, who, str(i), s) for i, (p, s, who) in enumerate(rows)], signs)
        for path, clip in zip(paths, arrays, strict=True):
            write_clip(root / path, clip)
    elif odd.reader in ("npy", "pose"):
        with (root / "list.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "sign", "participant_id"), *rows])
        for path, clip in zip(paths, arrays, strict=True):
            if odd.reader == "npy":
                np.save(root / path, clip)
            else:
                (root / path).write_bytes(pose_bytes(clip, MEDIAPIPE_HOLISTIC))
        if odd.reader == "pose":
            return ["data=pose", *places, "data.source.files=list.csv"]
        (root / "clips.yaml").write_text("{layout: kinect20, files: list.csv}")
    else:
        padded = np.full((len(arrays), max(map(len, arrays)), 20, 3), np.nan, np.float32)
        for row, clip in zip(padded, arrays, strict=True):
            row[: len(clip)] = clip
        signs, signers, _ = map(np.array, zip(*odd.clips, strict=True))
        lengths = np.array([len(clip) for clip in arrays])
        np.savez(root / "all.npz", X=padded, length=lengths, sign=signs, participant_id=signers)
        (root / "clips.yaml").write_text("{layout: kinect20, file: all.npz}")
    landmarks = "gislr118" if odd.reader == "gislr" else "kinect20"
    return [f"data={odd.reader}", *places, f"data.landmarks={landmarks}"]


def write_gloves(odd: OddSet, root: Path) -> None:
    for number, (sign, signer, _) in enumerate(odd.clips):
        file = root / f"{signer}1" / f"{sign}{number}.sign"
        file.parent.mkdir(exist_ok=True)
        x, y, z, roll, *bends = odd.array(number)[:, 0].T
        columns = [x, y, z, roll, -x, -x, *bends, bends[-1]]
        frames = zip(*(column.tolist() for column in columns), strict=True)
        lines = [", ".join([*map(str, frame), "0xFF", "0", "0", "0"]) for frame in frames]
        file.write_text("\n".join(lines), encoding="utf-8")


def outcome(*arguments: str) -> tuple[int, str, str]:
    """Exit status and output of a command: 0, 2 with one sentence, of predict 1 for some clips."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(list(arguments))
    assert status in ((0, 1, 2) if arguments[0] == "predict" else (0, 2)), err.getvalue()
    assert "Traceback" not in err.getvalue()
    if status == 2:
        assert f"asl {arguments[0]}: " in err.getvalue()
    return status, out.getvalue(), err.getvalue()


def check(odd: OddSet, root: Path, uri: str, export: bool) -> None:
    data = write(odd, root / "raw")
    kept = [clip for clip in odd.clips if clip[2] not in SKIPPED[odd.reader]]
    status, _, err = outcome("prepare", *data)
    assert (status == 0) == bool(kept), err
    if status:
        return
    store = ClipStore.open(root / "store")
    packed = list(zip(store.clip_signs, store.clip_signers, strict=True))
    if odd.reader == "auslan95":  # in the order of its files' names
        packed, kept = sorted(packed), sorted(kept)
    assert packed == [clip[:2] for clip in kept]
    assert np.isfinite(np.nan_to_num(store.read(0))).all()

    tiny = ["model=lstm", "model.hidden=16", "features.frames=8", "trainer=smoke"]
    tiny += ["trainer.max_epochs=1", f"split={odd.split}"]
    tracking = f"tracking.uri={uri}"
    status, _, err = outcome("train", *data, *tiny, tracking)
    if status:
        assert "split" in err or "are all of the sign" in err, err
        return
    tracker = open_tracker({"uri": uri})
    trained = max(find_runs(tracker), key=lambda found: found.started)
    assert trained.status == "FINISHED"
    clips = pd.read_parquet(download(tracker, trained.run_id, "test/predictions.parquet"))
    assert set(clips["sign"]) <= {sign for sign, *_ in kept}
    assert set(clips["signer"]) <= {signer for _, signer, _ in kept}
    assert clips["clip"].is_unique
    if not export:
        return
    assert outcome("eda", *data, f"report.dir={root}/eda")[0] == 0
    chosen = ["export.variants=[float32]", f"export.dir={root}/export", "export.register=null"]
    assert outcome("export", f"run={trained.run_id}", *chosen, tracking)[0] == 0
    files = sorted(map(str, (root / "raw").rglob(f"*{SUFFIXES[odd.reader]}")))
    if odd.reader == "npz":
        files = [f"{files[0]}:{row}" for row in range(len(odd.clips))]
    _, out, _ = outcome("predict", f"{root}/export/model_float32.tflite", *files, "--json")
    answers = json.loads(out)
    assert len(answers) >= len(store)
    for answer in answers:
        assert {each["sign"] for each in answer["predictions"]} <= set(store.signs)


def settled(examples: int):
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        # No shrinking: an example takes seconds, and a smaller one is found by hand.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=quiet,
    )


def checked(odd: OddSet, tmp_path: Path, uri: str, export: bool) -> None:
    if odd.reader == "pose" and find_spec("pose_format") is None:
        return
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    check(odd, tmp_path / "set", uri, export)


@given(odd=odd_sets())
@example(odd=ONE_SIGN)
@example(odd=ONE_SIGNER)
@example(odd=POSES)
@example(odd=GLOVES)
@settled(1)
def test_an_odd_data_set_is_trained_on_or_refused_in_a_sentence(odd, tmp_path, uri):
    checked(odd, tmp_path, uri, export=False)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(odd=odd_sets())
@example(odd=POSES)
@example(odd=GLOVES)
@settled(4)
def test_an_odd_data_set_goes_as_far_as_the_phone(odd, tmp_path, uri):
    checked(odd, tmp_path, uri, export=True)


@pytest.mark.slow
def test_four_hundred_signers(tmp_path, uri):
    signers = [f"{NAMES[i % 28]} {i}" for i in range(400)]
    clips = [(sign, signer, "plain") for signer in signers for sign in ("hello", "bye")]
    for split in ("signer_holdout", "signer_kfold"):
        checked(OddSet(clips, "npz", split), tmp_path, uri, export=split == "signer_holdout")


# --- videos -------------------------------------------------------------------------------------


def write_videos(root: Path, kinds: list[tuple[str, str, str]]) -> None:
    """Videos `SIGNER/SIGN/NUMBER.mp4`: of nobody, cut short, empty, or of text."""
    cv2 = pytest.importorskip("cv2", reason="the extra [video] is not installed")
    root.mkdir(parents=True)
    film = root.parent / "nobody.mp4"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"mp4v"), 30, (64, 48))
    for shade in (20, 90):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    nobody = film.read_bytes()
    contents = {
        "nobody": nobody, "cut": nobody[: len(nobody) // 2], "empty": b"",
        "text": b"no video" * 99,
    }  # fmt: skip
    for number, (sign, signer, kind) in enumerate(kinds):
        path = root / signer / sign / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[kind])


@pytest.fixture
def landmark_models():
    from asl.video.models import are_there

    if not are_there():
        pytest.skip("no models of MediaPipe")


def test_videos_of_nobody_are_reported(tmp_path, landmark_models):
    kinds = ["nobody", "cut", "empty", "text"]
    videos = [(FILE_NAMES[i], FILE_NAMES[-i], kinds[i % 4]) for i in range(len(FILE_NAMES))]
    write_videos(tmp_path / "raw", videos)
    places = [f"data.root={tmp_path}/raw", f"data.store={tmp_path}/store"]
    kept = f"data.source.clips={tmp_path}/landmarks"
    status, _, err = outcome("prepare", "data=video", *places, kept)
    assert status == 2
    assert f"holds no clip that can be read ({len(videos)} problems" in err
    problems = pd.read_csv(tmp_path / "store/problems.csv")
    assert problems["reason"].str.contains("shows no person|no video|is empty|no frame").all()
    assert problems["reason"].str.contains("shows no person").sum() == -(-len(videos) // 4)


VIDEO_NAMES = [
    "two words", "a,b", 'say "hi"', "it's", "line\nbreak", "a\r\nb", "a\tb", "$5", r"$\frac$",
    "100%", "[bye]", "null", "nan", "1e3", "007", "-1", "{sign}", "#1?", "=1+1", "&amp;<b>",
    "x" * 200, "é中\u202e", "\U0001f91f\U0001f3fd", "a\x1b[2Jb",
]  # fmt: skip


@pytest.fixture
def landmarker(monkeypatch):
    """A stand-in: six frames of every video, by its name; all readers work in this process."""
    pytest.importorskip("cv2", reason="the extra [video] is not installed")
    from asl.runs import landmarks
    from asl.runtime import clips, process, recognise, spotting
    from asl.video import extract

    def found(path, **_):
        random = np.random.default_rng(list(os.fsencode(path)))
        return extract.Extraction(random.random((6, 543, 3), np.float32), 30.0, "")

    def frames(path, *_, **__):
        return 30.0, found(path).clip

    monkeypatch.setattr(extract, "extract", found)
    monkeypatch.setattr(landmarks, "extract", found)
    for module in (clips, spotting):
        monkeypatch.setattr(module, "read_frames", frames)
    served = {recognise.__name__: recognise.recognise, spotting.__name__: spotting.spot}
    monkeypatch.setattr(process, "_lines", lambda module, request: served[module](*request))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_videos_of_odd_names_go_as_far_as_elan(tmp_path, uri, landmarker):
    """Each name is that of a file, a sign and a signer."""
    root, count = tmp_path / "raw", len(VIDEO_NAMES)
    videos = []
    for (place, sign), step in product(enumerate(VIDEO_NAMES), (1, 5, 9)):
        signer = VIDEO_NAMES[(place + step) % count]
        videos.append(root / signer / sign / f"{VIDEO_NAMES[place - step]}.mp4")
        videos[-1].parent.mkdir(parents=True)
        videos[-1].write_bytes(b"looked at by the stand-in")
    data = ["data=video", f"data.root={root}", f"data.store={tmp_path}/store"]
    data.append(f"data.source.clips={tmp_path}/landmarks")
    status, _, err = outcome("prepare", *data, "workers=1")
    assert status == 0, err
    store = ClipStore.open(tmp_path / "store")
    packed = sorted(zip(store.clip_signers, store.clip_signs, strict=True))
    assert packed == sorted(video.parts[-3:-1] for video in videos)

    tiny = ["model=lstm", "model.hidden=16", "features.frames=8", "trainer=smoke"]
    tiny += ["trainer.max_epochs=1", "split=random", f"tracking.uri={uri}"]
    status, _, err = outcome("train", *data, *tiny)
    assert status == 0, err
    chosen = ["export.variants=[float32]", f"export.dir={tmp_path}/export", "export.register=null"]
    run_id = max(find_runs(open_tracker({"uri": uri})), key=lambda found: found.started).run_id
    status, _, err = outcome("export", f"run={run_id}", *chosen, f"tracking.uri={uri}")
    assert status == 0, err

    model, typed = f"{tmp_path}/export/model_float32.tflite", [str(video) for video in videos]
    status, out, err = outcome("predict", model, *typed, "--json")
    assert (status, [answer["clip"] for answer in json.loads(out)]) == (0, typed), err
    _, out, _ = outcome("predict", model, *typed, "--csv", "--top=1")
    assert [row["clip"] for row in csv.DictReader(io.StringIO(out, newline=""))] == typed
    assert len(outcome("predict", model, *typed)[1].splitlines()) == len(videos)

    named = list({video.stem: video for video in videos}.values())
    assert {video.stem for video in named} == set(VIDEO_NAMES)
    clips, spotted = tmp_path / "clips", tmp_path / "spotted"
    for _ in range(2):  # the second time they are there already
        status, out, err = outcome("landmarks", *map(str, named), f"out={clips}")
        assert (status, len(out.splitlines())) == (0, count), err
        threshold = "--threshold=0.001"
        status, out, err = outcome("spot", model, *map(str, named), f"out={spotted}", threshold)
        assert (status, len(out.splitlines())) == (0, count), err
        assert "\x1b" not in out
    assert {path.stem for path in clips.iterdir()} == set(VIDEO_NAMES)
    for video in named:
        (segment,) = json.loads((spotted / f"{video.stem}.json").read_text())["segments"]
        (row,) = csv.DictReader((spotted / f"{video.stem}.csv").open(newline=""))
        assert segment["sign"] == row["sign"]
        assert segment["sign"] in VIDEO_NAMES
        document = ElementTree.parse(spotted / f"{video.stem}.eaf")
        link = document.find("HEADER/MEDIA_DESCRIPTOR").get("MEDIA_URL")
        assert unquote(link.removeprefix("file://")) == str(video)
