import numpy as np
import pytest

from asl.clips.prepare import prepare
from asl.clips.sources.base import BadClip
from asl.clips.sources.npy import NpySource
from asl.errors import UserError


@pytest.fixture
def clip():
    return np.random.default_rng(0).normal(size=(5, 20, 3)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, clip):
    """Two clips for each of two signers and two signs."""
    for number, name in enumerate(
        f"{a}/{b}/{c}" for a in "pq" for b in ("no", "yes") for c in "01"
    ):
        save(tmp_path / "raw" / f"{name}.npy", clip + number)
    return tmp_path / "raw"


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array, allow_pickle=True)


def source(root, files="{signer}/{sign}/{sequence}.npy", **options):
    return NpySource(root, **{"layout": "kinect20", "files": files, **options})


def problems(reader):
    return {(problem.path, problem.reason) for problem in reader.listing().problems}


def test_sign_and_signer_come_from_paths(folder, clip, tmp_path):
    store = prepare(source(folder), tmp_path / "store")
    assert store.signs == ["no", "yes"]
    assert store.signers == ["p", "q"]
    assert store.clips["sequence_id"].tolist()[:2] == ["p/no/0", "p/no/1"]
    for row in range(8):
        np.testing.assert_array_equal(store.read(row), clip + row)
    assert not source(folder).listing().problems


def test_new_and_changed_files_update_the_store(folder, clip, tmp_path):
    prepare(source(folder), tmp_path / "store")
    save(folder / "r/maybe/0.npy", clip)
    save(folder / "p/no/0.npy", clip[:3])
    store = prepare(source(folder), tmp_path / "store")
    assert store.signs == ["maybe", "no", "yes"]
    assert store.frames.tolist() == [3, *[5] * 8]


def test_another_description_is_another_store(folder, tmp_path):
    first = prepare(source(folder), tmp_path / "store").fingerprint
    turned = prepare(source(folder, coordinates="yxz"), tmp_path / "store")
    assert turned.fingerprint != first
    clip = turned.read(0)
    back = prepare(source(folder), tmp_path / "store")
    assert back.fingerprint == first
    np.testing.assert_array_equal(clip[..., [1, 0, 2]], back.read(0))


def test_a_store_inside_the_folder_is_skipped(folder):
    prepare(source(folder), folder / "x/store")
    assert len(source(folder).listing().entries) == 8
    assert not source(folder).listing().problems


def test_missing_signers_are_reported_with_the_consequence(folder):
    reader = source(folder, "*/{sign}/{sequence}.npy")
    assert {entry.signer for entry in reader.listing().entries} == {"?"}
    [problem] = reader.listing().problems
    assert problem.kept
    assert "only split=random" in problem.reason


def test_paths_without_a_match_or_with_two_are_problems(tmp_path, clip):
    for name in ("p_no_1", "p_thank_you_1", "p_no", "p_yes_1"):
        save(tmp_path / f"{name}.npy", clip)
    reader = source(tmp_path, "{signer}_{sign}_{sequence}.npy")
    assert [entry.path for entry in reader.listing().entries] == ["p_no_1.npy", "p_yes_1.npy"]
    files = "files={signer}_{sign}_{sequence}.npy"
    assert problems(reader) == {
        ("p_thank_you_1.npy", f"fits {files} in more than one way"),
        ("p_no.npy", f"does not fit {files}"),
    }


def test_a_repeated_field_must_match_the_same_text(tmp_path, clip):
    save(tmp_path / "no/no_1.npy", clip)
    save(tmp_path / "no/yes_1.npy", clip)
    reader = source(tmp_path, "{sign}/{sign}_{sequence}.npy")
    assert [entry.path for entry in reader.listing().entries] == ["no/no_1.npy"]


def test_numeric_labels_get_their_names(tmp_path, clip):
    for label in (0, 1, 2, 10):
        save(tmp_path / f"p/{label}/0.npy", clip)
    assert source(tmp_path).signs == ["0", "1", "2", "10"]
    reader = source(tmp_path, signs={10: "ten", 1: "one", 0: "none"})
    assert reader.signs == ["ten", "one", "none"]
    assert [entry.sign for entry in reader.listing().entries] == ["none", "one", "ten"]
    assert problems(reader) == {("p/2/0.npy", "sign '2' is not in signs")}


# --- a file a frame -----------------------------------------------------------------------------


def frames(root, clip, name="no/0", first=0):
    for number, frame in enumerate(clip, start=first):
        save(root / name / f"{number}.npy", frame.reshape(-1))


BY_FRAME = {"files": "{sign}/{sequence}/{frame}.npy", "axes": ["feature"]}


def test_one_file_per_frame(tmp_path, clip):
    long = np.concatenate([clip] * 5)  # frame 10 comes after frame 9
    long += np.arange(25, dtype=np.float32)[:, None, None]
    frames(tmp_path, long)
    frames(tmp_path, clip, "yes/0", first=7)
    reader = source(tmp_path, **BY_FRAME)
    no, yes = reader.listing().entries
    assert (no.path, no.sign, no.sequence_id) == ("no/0", "no", "no/0")
    np.testing.assert_array_equal(reader.read(no).clip, long)
    assert not reader.read(yes).note


def test_a_changed_frame_is_noticed(tmp_path, clip):
    frames(tmp_path, clip)
    prepare(source(tmp_path, **BY_FRAME), tmp_path / "store")
    np.save(tmp_path / "no/0/2.npy", (clip[2] + 1).reshape(-1))
    store = prepare(source(tmp_path, **BY_FRAME), tmp_path / "store")
    np.testing.assert_array_equal(store.read(0)[2], clip[2] + 1)


def test_missing_duplicate_and_unrelated_frames(tmp_path, clip):
    frames(tmp_path, clip, "lost/0")
    (tmp_path / "lost/0/3.npy").unlink()
    frames(tmp_path, clip, "doubled/0")
    frames(tmp_path, clip[:2], "doubled/0".replace("/0", "/1"))
    np.save(tmp_path / "doubled/1/01.npy", clip[1].reshape(-1))
    frames(tmp_path, clip, "strange/0")
    np.save(tmp_path / "strange/0/2.npy", np.zeros(3))
    np.save(tmp_path / "strange/0/last.npy", np.zeros(3))
    reader = source(tmp_path, **BY_FRAME)
    store = prepare(reader, tmp_path / "store")
    text = (tmp_path / "store/problems.csv").read_text()
    assert store.frames.tolist() == [5, 4]
    assert "lost/0,frame 3 is missing,yes" in text
    assert "doubled/1,01.npy and 1.npy are the same frame,no" in text
    assert 'strange/0,"2.npy has the shape [3], but axes=feature of kinect20 need [60]",no' in text
    assert "strange/0/last.npy,does not fit" in text


# --- a csv file ---------------------------------------------------------------------------------


def listed(folder, text, **columns):
    (folder / "clips.csv").write_text(text, encoding="utf-8-sig")
    return source(folder, "clips.csv", **columns)


def test_clips_listed_in_a_csv(folder, tmp_path):
    text = "word,file,person\nhello,p/no/0.npy,anna\nbye,q/yes/1.npy,ben\nbye,p/no/9.npy,ben\n"
    reader = listed(folder, text, path="file", sign="word", signer="person")
    store = prepare(reader, tmp_path / "store")
    assert store.clip_signs.tolist() == ["hello", "bye"]
    assert store.clip_signers.tolist() == ["anna", "ben"]
    text = (tmp_path / "store/problems.csv").read_text()
    assert "p/no/9.npy,there is no such file,no" in text
    assert "q/yes/0.npy,not named in clips.csv,no" in text


def test_invalid_rows_are_problems(folder):
    text = "path,sign\np/no/0.npy,no\np/no/0.npy,yes\n,no\np/no/1.npy,\np/yes/0.npy\n"
    text += "../a.npy,no\na\0.npy,no\n"
    reader = listed(folder, text, signer="none")
    assert [entry.signer for entry in reader.listing().entries] == ["?"]
    assert {
        ("p/no/0.npy", "named more than once in clips.csv"),
        ("clips.csv", "line 4 has an empty cell"),
        ("clips.csv", "line 5 has an empty cell"),
        ("clips.csv", "line 6 has an empty cell"),
        ("../a.npy", "should be relative to the folder, and inside it"),
        ("a\0.npy", "is no name of a file"),
    } <= problems(reader)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ("clips.csv", r"participant_id: choose from path, sign|signer=participant_id"),
        ("none.csv", r"files=none\.csv: .* holds no such file"),
        ("{singer}/{sign}/{sequence}.npy", r"\{sign\}, \{sequence\}, \{frame\} and \*"),
        ("{signer}/{sequence}.npy", r"has \{sign\} in it"),
        ("{sign}/{sequence}.npz", r"ends in \.npy"),
        ("{sign}/{sequence}_{frame}.npy", r"\{frame\} should be alone"),
        ("{frame}/{sign}.npy", r"\{frame\} should be alone"),
    ],
)
def test_an_invalid_files_pattern_is_one_sentence(folder, files, sentence):
    (folder / "clips.csv").write_text("path,sign\n")
    with pytest.raises(UserError, match=sentence):
        source(folder, files)


def test_columns_without_a_csv_are_refused(folder):
    with pytest.raises(UserError, match=r"signer=person: files=.* has no columns"):
        source(folder, signer="person")


# --- bad files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda p, c: p.write_bytes(b""), "is not a whole .npy file of numbers"),
        (lambda p, c: p.write_bytes(p.read_bytes()[:-1]), "is not a whole .npy file of numbers"),
        (lambda p, c: p.write_bytes(b"not an array"), "never unpickled"),
        (lambda p, c: save(p, np.array([c, None], object)), "never unpickled"),
        (lambda p, c: p.write_bytes(archive(c)), "is a .npz file, not a .npy file"),
        (lambda p, c: save(p, c[:0]), "has no frames"),
        (lambda p, c: save(p, c * np.inf), "has an infinite coordinate"),
        (lambda p, c: save(p, c[:, :19]), "has the shape [5, 19, 3]"),
        (lambda p, c: save(p, np.float32(3)), "has the shape []"),
        (lambda p, c: save(p, c.astype(str)), "not numbers"),
        (lambda p, c: save(p, c * np.nan), "shows nothing in any frame"),
    ],
)
def test_an_invalid_file_is_skipped_with_its_reason(folder, clip, tmp_path, damage, reason):
    damage(folder / "p/no/1.npy", clip)
    store = prepare(source(folder), tmp_path / "store")
    assert len(store) == 7
    [line] = (tmp_path / "store/problems.csv").read_text().splitlines()[1:]
    assert line.startswith("p/no/1.npy,")
    assert reason in line


def archive(clip):
    import io

    file = io.BytesIO()
    np.savez(file, clip)
    return file.getvalue()


def test_any_damage_to_a_file_is_a_bad_clip(folder, tmp_path):
    path, rng = folder / "p/no/0.npy", np.random.default_rng(0)
    whole, reader = path.read_bytes(), source(folder)
    entry = reader.listing().entries[0]
    for _ in range(300):
        torn = bytearray(whole)
        torn[rng.integers(0, 128)] = rng.integers(0, 256)
        path.write_bytes(torn)
        try:
            clip = reader.read(entry).clip
        except BadClip:
            continue
        assert clip.shape[1:] == (20, 3)
        assert clip.dtype == np.float32
        assert not np.isinf(clip).any()


def test_an_empty_folder_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"holds no \.npy file"):
        source(tmp_path)


def test_a_header_with_a_huge_shape_is_refused(folder, clip, tmp_path):
    path = folder / "p/no/1.npy"
    path.write_bytes(path.read_bytes().replace(b"(5, 20, 3)", b"(9**9,20,3)"[:10]))
    whole = (folder / "p/no/0.npy").read_bytes()
    (folder / "p/no/0.npy").write_bytes(
        whole.replace(b"(5, 20, 3), }  ", b"(500000000000, 20, 3), }")
    )
    reader = source(folder)
    for entry in reader.listing().entries[:2]:
        with pytest.raises(UserError, match=r"is not a whole \.npy file of numbers"):
            reader.read(entry)
