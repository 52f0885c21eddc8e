import csv
import os
import subprocess
import sys

import numpy as np
import pytest

from asl.clips.prepare import prepare
from asl.clips.sources.gislr import GislrSource, read_clip, write_clip
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.landmarks import landmark_set


class Counting:
    """A source that records the files that it reads."""

    def __init__(self, root):
        self.inner = GislrSource(root)
        self.root, self.layout, self.signs = self.inner.root, self.inner.layout, self.inner.signs
        self.settings = self.inner.settings
        self.read_paths = []

    def listing(self):
        return self.inner.listing()

    def read(self, entry):
        self.read_paths.append(entry.path)
        return self.inner.read(entry)


def pack(root, store, **options):
    source = Counting(root)
    packed = prepare(source, store, name="test", echo=lambda line: None, **options)
    return packed, source.read_paths


def files(store):
    """All files of a store with their content."""
    paths = [path for path in sorted(store.rglob("*")) if path.is_file()]
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in paths}


def problems(store):
    with (store / "problems.csv").open() as file:
        return {row["path"]: (row["reason"], row["kept"]) for row in csv.DictReader(file)}


def paths(root):
    return sorted(root.glob("train_landmark_files/*/*.parquet"))


def test_every_clip_is_read_back_unchanged(synthetic_raw, synthetic_store):
    entries = GislrSource(synthetic_raw).listing().entries
    store = ClipStore.open(synthetic_store.directory)
    assert len(store) == len(entries) == 40
    some = np.array([522, 3, 500])
    for row, entry in enumerate(entries):
        clip = read_clip(synthetic_raw / entry.path)
        assert store.clip_signs[row] == entry.sign
        assert store.clip_signers[row] == entry.signer
        assert store.clips.loc[row, "sequence_id"] == entry.sequence_id
        np.testing.assert_array_equal(store.read(row), clip)
        np.testing.assert_array_equal(store.read(row, some), clip[:, some])


def test_float16_is_half_the_size_and_nearly_the_same(synthetic_raw, synthetic_store, tmp_path):
    half, _ = pack(synthetic_raw, tmp_path / "half", dtype="float16")
    clip = half.read(7)
    assert clip.dtype == np.float32
    np.testing.assert_allclose(clip, synthetic_store.read(7), rtol=1e-3, atol=1e-4)
    assert half.fingerprint != synthetic_store.fingerprint


def test_a_store_of_a_landmark_subset(raw, tmp_path):
    whole, _ = pack(raw, tmp_path / "whole")
    some, _ = pack(raw, tmp_path / "some", keep="hands_pose")
    wanted = np.array(landmark_set("hands_pose").indices)
    np.testing.assert_array_equal(some.read(7, wanted), whole.read(7, wanted))
    np.testing.assert_array_equal(some.view(7), whole.read(7, wanted))
    clip = some.read(7)
    assert clip.shape == whole.read(7).shape
    np.testing.assert_array_equal(clip[:, wanted], whole.read(7, wanted))
    assert np.isnan(np.delete(clip, wanted, axis=1)).all()
    assert some.fingerprint != whole.fingerprint
    with pytest.raises(UserError, match="holds 76 of 543 landmarks"):
        some.read(7, np.array(landmark_set("gislr118").indices))


def test_an_unchanged_data_set_is_not_read_again(raw, tmp_path):
    store, read = pack(raw, tmp_path / "store")
    assert len(read) == 40
    before = files(tmp_path / "store")
    again, read = pack(raw, tmp_path / "store")
    assert not read
    assert files(tmp_path / "store") == before
    assert again.fingerprint == store.fingerprint


def test_only_what_changed_is_read_again(raw, tmp_path):
    fingerprint = pack(raw, tmp_path / "store")[0].fingerprint
    changed, touched, gone = paths(raw)[:3]
    changed.write_bytes(paths(raw)[5].read_bytes())
    touched.touch()
    lines = (raw / "train.csv").read_text().splitlines()
    (raw / "train.csv").write_text("\n".join(line for line in lines if gone.stem not in line))
    gone.unlink()
    new, read = pack(raw, tmp_path / "store")
    assert sorted(read) == [p.relative_to(raw).as_posix() for p in (changed, touched)]
    assert len(new) == 39
    assert new.fingerprint != fingerprint
    pack(raw, tmp_path / "fresh")
    assert files(tmp_path / "store") == files(tmp_path / "fresh")


def test_a_change_that_keeps_size_and_time_is_noticed(raw, tmp_path):
    pack(raw, tmp_path / "store")
    path = paths(raw)[0]
    old, content = path.stat(), path.read_bytes()
    middle = len(content) // 3
    path.write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    _, read = pack(raw, tmp_path / "store")
    assert read == [path.relative_to(raw).as_posix()]


def test_a_touched_file_with_the_same_content_changes_nothing(raw, tmp_path):
    store, _ = pack(raw, tmp_path / "store")
    for path in paths(raw):
        path.touch()
    again, read = pack(raw, tmp_path / "store")
    assert len(read) == 40
    assert again.fingerprint == store.fingerprint


def test_the_fingerprint_does_not_depend_on_the_folder(synthetic_raw, raw, tmp_path):
    here, _ = pack(raw, tmp_path / "here")
    there, _ = pack(synthetic_raw, tmp_path / "there")
    assert here.fingerprint == there.fingerprint


def test_another_label_changes_the_fingerprint_without_reading(raw, tmp_path):
    store, _ = pack(raw, tmp_path / "store")
    first, second = GislrSource(raw).signs[:2]
    text = (raw / "train.csv").read_text().replace(first, second, 1)
    (raw / "train.csv").write_text(text)
    again, read = pack(raw, tmp_path / "store")
    assert not read
    assert again.fingerprint != store.fingerprint
    assert again.clip_signs[0] == second


def test_an_invalid_clip_is_reported_and_skipped(raw, tmp_path):
    cut, empty, gone = paths(raw)[:3]
    cut.write_bytes(cut.read_bytes()[:5000])
    empty.write_bytes(b"")
    gone.unlink()
    (raw / "train_landmark_files/1/7.parquet").write_bytes(b"never listed")
    store, _ = pack(raw, tmp_path / "store")
    assert len(store) == 37
    reported = problems(tmp_path / "store")
    assert {path.split("/")[-1]: kept for path, (_, kept) in reported.items()} == {
        cut.name: "no",
        empty.name: "no",
        gone.name: "no",
        "7.parquet": "no",
    }
    assert reported[gone.relative_to(raw).as_posix()][0] == "there is no such file"
    again, read = pack(raw, tmp_path / "store")
    assert not read
    assert problems(tmp_path / "store") == reported
    assert again.fingerprint == store.fingerprint


def test_an_invalid_clip_fails_the_run_under_fail(raw, tmp_path):
    paths(raw)[3].write_bytes(b"")
    with pytest.raises(UserError, match=paths(raw)[3].name):
        pack(raw, tmp_path / "store", on_problem="fail")
    with pytest.raises(UserError, match="holds no finished clip store"):
        ClipStore.open(tmp_path / "store")


def test_a_clip_without_any_detection_is_kept_and_counted(raw, tmp_path):
    from asl.clips.sources.gislr import write_clip

    write_clip(paths(raw)[0], np.full((4, 543, 3), np.nan))
    store, _ = pack(raw, tmp_path / "store", on_problem="fail")
    assert len(store) == 40
    assert list(problems(tmp_path / "store").values()) == [
        ("no landmark was detected in any frame", "yes")
    ]


def without_hands(clip: np.ndarray) -> np.ndarray:
    clip[:, [*range(468, 489), *range(522, 543)]] = np.nan
    return clip


ODD = {
    "has one frame": lambda clip: clip[len(clip) // 2][None],
    "does not move": lambda clip: np.repeat(clip[len(clip) // 2][None], 9, axis=0),
    "no hand was detected": without_hands,
    "has coordinates of pixels": lambda clip: clip * np.array([640, 480, 1], np.float32),
}


@pytest.mark.parametrize("reason", ODD)
def test_a_clip_that_is_odd_by_itself_is_kept_and_named_or_refused(reason, raw, tmp_path):
    odd = paths(raw)[5]
    name = odd.relative_to(raw).as_posix()
    write_clip(odd, ODD[reason](read_clip(odd)))
    kept, _ = pack(raw, tmp_path / "store")
    assert name in set(kept.clips["path"])
    ((path, (message, is_kept)),) = problems(tmp_path / "store").items()
    assert (path, is_kept) == (name, "yes")
    assert message.startswith(reason)

    refused, _ = pack(raw, tmp_path / "store", refuse_odd=True)
    assert len(refused) == 39
    assert name not in set(refused.clips["path"])
    assert problems(tmp_path / "store")[name] == (message, "no")
    with pytest.raises(UserError, match=odd.name):
        pack(raw, tmp_path / "store", refuse_odd=True, on_problem="fail")
    again, _ = pack(raw, tmp_path / "store")
    assert again.fingerprint == kept.fingerprint


def test_only_invalid_clips_is_one_sentence(raw, tmp_path):
    for path in paths(raw):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="holds no clip that can be read"):
        pack(raw, tmp_path / "store")


@pytest.mark.parametrize(
    "option", [{"dtype": "float8"}, {"on_problem": "shrug"}, {"keep": "kinect20"}]
)
def test_an_unknown_choice_is_answered_with_the_choices(synthetic_raw, tmp_path, option):
    with pytest.raises(UserError, match="choose from"):
        pack(synthetic_raw, tmp_path / "store", **option)


def test_a_truncated_store_is_refused_and_repaired(raw, tmp_path):
    pack(raw, tmp_path / "store")
    before = files(tmp_path / "store")
    shard = next((tmp_path / "store/shards").glob("*.npy"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match="asl prepare"):
        ClipStore.open(tmp_path / "store")
    pack(raw, tmp_path / "store")
    assert files(tmp_path / "store") == before


def test_a_folder_that_cannot_be_written_is_one_sentence(synthetic_raw, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        pack(synthetic_raw, tmp_path / "file" / "store")


@pytest.mark.parametrize(
    "name", ["clip.npy", "notes.txt", "manifest.json", "problems.csv", "shards/clip.npy"]
)
def test_a_folder_that_is_no_store_is_refused_and_left_as_it_was(raw, tmp_path, name):
    folder = tmp_path / "folder"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text('{"format": 2}')
    with pytest.raises(UserError, match=r"data\.store=.*folder: this folder holds other files"):
        pack(raw, folder)
    assert files(folder) == {name: b'{"format": 2}'}


def test_the_recordings_folder_is_refused_as_store(tmp_path):
    from asl.clips.sources.npz import NpzSource

    arrays = {"X": np.ones((2, 3, 20, 3), np.float32), "sign": np.array(["yes", "no"])}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    before = files(tmp_path)
    source = NpzSource(tmp_path, clips="X.npy", sign="sign.npy", signer="none", layout="kinect20")
    with pytest.raises(UserError, match=f"data.store={tmp_path}"):
        prepare(source, tmp_path)
    assert files(tmp_path) == before


def test_files_that_a_user_put_into_a_store_stay(raw, tmp_path):
    pack(raw, tmp_path / "store")
    users = [tmp_path / "store" / name for name in ("a.npy", "b.json", "c.arrow", "shards/d.npy")]
    for path in users:
        path.write_text("mine")
    paths(raw)[0].write_bytes(paths(raw)[5].read_bytes())
    pack(raw, tmp_path / "store")
    assert all(path.read_text() == "mine" for path in users)
    assert len(list((tmp_path / "store").glob("clips-*.arrow"))) == 1
    assert len(list((tmp_path / "store/shards").glob("000-*.npy"))) == 1


def test_the_summary_counts_the_reasons(raw, tmp_path):
    from asl.clips.sources.gislr import write_clip

    for path in paths(raw)[:3]:
        path.write_bytes(b"")
    write_clip(paths(raw)[3], np.full((4, 543, 3), np.nan))
    lines = []
    prepare(GislrSource(raw), tmp_path / "s", name="small", echo=lines.append)
    assert lines[1] == f"3 FILES SKIPPED, see {tmp_path / 's' / 'problems.csv'}:"
    assert " ".join(lines[2].split()) == "3 × is not a readable parquet file …"
    assert lines[3].startswith("1 odd files kept")
    assert lines[4].endswith("  1 × no landmark was detected in any frame")


def test_the_summary_ends_with_the_rate(synthetic_raw, tmp_path):
    lines = []
    prepare(GislrSource(synthetic_raw), tmp_path / "s", name="small", echo=lines.append)
    assert lines[0].startswith("small: 40 clips, ")
    assert lines[-1].endswith(" clips/s")


def test_a_store_is_pickled_as_its_path(synthetic_store):
    import pickle

    sent = pickle.dumps(synthetic_store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).read(3), synthetic_store.read(3))


def test_real_clips_by_two_processes(shared_data, words15_store):
    assert len(words15_store) == 1350
    assert words15_store.signers == ["1", "2", "3"]
    for row in (0, 600, 1349):
        clip = read_clip(shared_data / "words15" / words15_store.clips.loc[row, "path"])
        np.testing.assert_array_equal(words15_store.read(row), clip)


CRASHING_SOURCE = """
import os, sys
from pathlib import Path
import numpy as np
from asl.clips import packing
from asl.clips.prepare import prepare
from asl.clips.sources.base import Entry, Listing, Reading

class CrashingSource:
    root, layout, signs, settings = Path(sys.argv[1]), "kinect20", ["yes"], {}

    def listing(self):
        return Listing([Entry(f"{i}.npy", "1", str(i), "yes") for i in range(300)], [])

    def read(self, entry):
        if entry.path in ("7.npy", "250.npy"):
            os._exit(1)
        return Reading(np.full((2, 20, 3), int(entry.sequence_id), np.float32))

packing._MIN_CLIPS_FOR_WORKERS = 1
store = prepare(CrashingSource(), sys.argv[2], workers=2)
names = store.clips["sequence_id"]
assert all((store.read(row) == int(name)).all() for row, name in enumerate(names))
print(len(store))
"""


def test_a_clip_that_crashes_its_reader_is_reported_and_the_others_are_packed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CRASHING_SOURCE)
    command = [sys.executable, script, tmp_path, tmp_path / "store"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "298"
    reported = problems(tmp_path / "store")
    skipped = [path for path, (_, kept) in reported.items() if kept == "no"]
    assert sorted(skipped) == ["250.npy", "7.npy"]
    assert "ends the process that reads it" in reported["7.npy"][0]
