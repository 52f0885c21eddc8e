"""The how-to page on own recordings works as typed there, and other forms by their configs."""

import re
from pathlib import Path

import numpy as np
import pytest

from asl.clips.sources.gislr import GislrSource
from asl.clips.store import ClipStore
from asl.landmarks import MEDIAPIPE_HOLISTIC

PAGE = (Path(__file__).parents[2] / "docs/how-to/recordings.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Arrays with a description")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def clips(synthetic_raw):
    """Twelve clips `[T, 543, 3]` for each of Anna and Ben: four of each of three signs."""
    source = GislrSource(synthetic_raw)
    entries = [e for e in source.listing().entries if e.sign in source.signs[:3]]
    return {
        (signer, sign, number): source.read(entry).clip
        for sign in source.signs[:3]
        for number, entry in enumerate([e for e in entries if e.sign == sign][:8])
        for signer in [("anna", "ben")[number % 2]]
    }


def flat(clip):
    """258 numbers a frame: pose with visibilities, left hand, right hand; 0 where missing."""
    parts = [clip[:, MEDIAPIPE_HOLISTIC.parts[p]] for p in ("pose", "left_hand", "right_hand")]
    parts[0] = np.dstack([parts[0], np.full(parts[0].shape[:2], 0.99)])
    return np.nan_to_num(np.hstack([part.reshape(len(clip), -1) for part in parts]))


@pytest.fixture
def recordings(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for (signer, sign, number), clip in clips.items():
        path = Path("recordings", signer, sign, f"{number}.npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, flat(clip))
    return tmp_path / "recordings"


def test_the_pages_example_as_it_is_typed(recordings, clips, workbench, tmp_path, capsys):
    description, commands = re.findall(r"```(?:yaml|bash)\n(.*?)```", SECTION, re.DOTALL)[:2]
    (recordings / "clips.yaml").write_text(description)
    typed = [line.split()[1:] for line in commands.splitlines()]
    assert [command for command, *_ in typed] == ["prepare", "train"]
    for command, *arguments in typed:
        assert workbench(command, *arguments, f"data.store={tmp_path}/store") == 0
    assert "SKIPPED" not in capsys.readouterr().out
    store = ClipStore.open(tmp_path / "store")
    assert store.signers == ["anna", "ben"]
    hands_and_pose = slice(MEDIAPIPE_HOLISTIC.parts["left_hand"].start, None)
    for row, path in enumerate(store.clips["path"]):
        signer, sign, name = path.split("/")
        clip = clips[signer, sign, int(name.removesuffix(".npy"))]
        read = store.read(row)
        assert np.isnan(read[:, MEDIAPIPE_HOLISTIC.parts["face"]]).all()
        np.testing.assert_array_equal(read[:, hands_and_pose], clip[: len(read), hands_and_pose])
        assert np.isnan(clip[len(read) :, hands_and_pose]).all()


def test_keys_can_be_typed_instead_of_the_file(recordings, workbench, tmp_path):
    keys = {
        "files": '"{signer}/{sign}/{sequence}.npy"',
        "layout": "mediapipe_holistic",
        "axes": "[time,feature]",
        "landmarks": "[{pose:xyzv},left_hand,right_hand]",
        "missing": "0",
    }
    typed = [f"data.source.{key}={value}" for key, value in keys.items()]
    data = ["data=npy", "data.root=recordings", f"data.store={tmp_path}/store"]
    assert workbench("prepare", *data, *typed) == 0
    assert len(ClipStore.open(tmp_path / "store")) == 24


def test_padded_clips_of_a_kinect_without_signers(workbench, tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", skeletons=rng.random((8, 3, 6, 20)), y=np.arange(8) % 2)
    (tmp_path / "clips.yaml").write_text(
        "{layout: kinect20, file: mine.npz, axes: [clip, coordinate, time, landmark], "
        "clips: skeletons, sign: y, signer: none, signs: [hello, thanks]}"
    )
    data = ["data=npz", f"data.root={tmp_path}", f"data.store={tmp_path}/store"]
    usual = ["landmarks=kinect20", "split.test=null"]
    assert workbench("train", *data, *usual) == 2
    assert "only signer ? is there" in capsys.readouterr().err
    assert workbench("train", *data, "landmarks=kinect20", "split=random") == 0
    assert ClipStore.open(tmp_path / "store").signs == ["hello", "thanks"]
    assert "split=random" in (tmp_path / "store/problems.csv").read_text()


@pytest.mark.parametrize(
    ("description", "typed", "words"),
    [
        ("layout: kinect20", [], ["clips.yaml: must say files"]),
        ("axis: 3", [], ["clips.yaml: axis=3: choose from layout, files, axes"]),
        ("", ["data.source.layout=kinect"], ["clips.yaml"]),
        ("files: a.csv", ["data.source.layout=kinect"], ["layout=kinect: choose from mediapipe"]),
        ("layout: kinect20", ["data.source.axis=3"], ["data.source.axis"]),
        (None, ["data.root=nowhere"], ["data.root=nowhere: there is no such folder"]),
    ],
)
def test_a_fault_is_one_sentence(description, typed, words, workbench, tmp_path, capsys):
    if description is not None:
        (tmp_path / "clips.yaml").write_text(description)
    data = ["data=npy", f"data.root={tmp_path}", f"data.store={tmp_path}/store"]
    assert workbench("prepare", *data, *typed) == 2
    printed = capsys.readouterr().err
    assert "Traceback" not in printed
    assert len(printed.strip().splitlines()) == 1, printed
    for word in words:
        assert word in printed
