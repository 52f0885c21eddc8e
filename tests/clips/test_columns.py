"""Columns beyond sign and signer: from every source into the store, and from there into splits."""

import csv
import json
import os
import shutil
from collections import Counter

import numpy as np
import pytest

from asl.clips.columns import choose_columns
from asl.clips.prepare import prepare
from asl.clips.sources.gislr import GislrSource
from asl.clips.sources.npy import NpySource
from asl.clips.sources.npz import NpzSource
from asl.clips.splits import leave_one_signer_out, signer_holdout, signer_kfold
from asl.clips.store import ClipStore
from asl.errors import UserError

VIEWS = {"frontal": [1, 2, 3], "oblique": [4, 5, 6], "profile": [7, 8, 9]}
BY_VIEW = ["repetition", {"view": {"from": "repetition", "groups": VIEWS}}]


def quiet(*arguments, **options):
    return prepare(*arguments, echo=lambda line: None, **options)


def edit_csv(raw, edit):
    """Writes train.csv anew with each row changed; returns the rows."""
    with (raw / "train.csv").open(newline="") as file:
        rows = [edit(number, row) for number, row in enumerate(csv.DictReader(file))]
    with (raw / "train.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def with_sessions(number, row):
    return {"session": f"s{number % 3}", **row, "view": "front, near" if number % 2 else ""}


# --- from the recordings into the store ---------------------------------------------------------


def test_further_columns_of_a_train_csv_are_the_store_s(raw, tmp_path):
    rows = edit_csv(raw, with_sessions)
    (raw / rows[1]["path"]).write_bytes(b"damaged")  # is skipped, and its columns with it
    store = ClipStore.open(quiet(GislrSource(raw), tmp_path / "store").directory)
    kept = [row for row in rows if row is not rows[1]]
    assert store.clips["path"].tolist() == [row["path"] for row in kept]
    assert store.columns["session"].tolist() == [row["session"] for row in kept]
    assert store.columns["view"].tolist() == [row["view"] or "?" for row in kept]
    assert list(store.columns) == ["session", "view"]


def test_a_column_in_another_encoding_does_not_spoil_the_list(raw, tmp_path):
    lines = (raw / "train.csv").read_bytes().splitlines()
    marked = [lines[0] + b",note", *(line + b",Z\xfcrich" for line in lines[1:])]
    (raw / "train.csv").write_bytes(b"\n".join(marked))
    store = quiet(GislrSource(raw), tmp_path / "store")
    assert set(store.columns["note"]) == {"Z\ufffdrich"}


def test_further_arrays_of_an_npz_are_the_store_s(tmp_path):
    clips = np.random.default_rng(0).random((4, 5, 20, 3), dtype=np.float32)
    arrays = {
        "sign": np.array(["yes", "no", "?", "no"]),
        "participant_id": np.array([1, 1, 2, 2]),
        "view": np.array(["front", "side", "front", "side"]),
        "age": np.array([20.0, np.nan, 31.0, 31.0]),
        "left_handed": np.array([True, False, False, False]),
        "names_of_views": np.array(["front", "side"]),
        "session": np.array(["a", "b", "c", "d"], dtype=object),
    }
    np.savez(tmp_path / "a.npz", X=clips, **arrays)
    source = NpzSource(
        tmp_path, layout="kinect20", file="a.npz", signs={"yes": "yes", "no": "no"}
    )  # the third clip has no sign
    store = quiet(source, tmp_path / "store")
    assert {name: values.tolist() for name, values in store.columns.items()} == {
        "view": ["front", "side", "side"],
        "age": ["20", "?", "31"],
        "left_handed": ["True", "False", "False"],
    }
    problems = (tmp_path / "store/problems.csv").read_text()
    assert "session holds Python objects" in problems
    assert 'it is no column",yes' in problems


def test_any_part_of_a_path_and_any_column_of_a_list_of_files_is_the_store_s(tmp_path):
    folder, clip = tmp_path / "raw", np.ones((3, 20, 3), np.float32)
    for number, name in enumerate(("anna/yes/front-0", "anna/no/side-0", "ben/yes/front-1")):
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, clip + number)
    pattern = NpySource(folder, layout="kinect20", files="{signer}/{sign}/{view}-{sequence}.npy")
    store = quiet(pattern, tmp_path / "by_path")
    assert store.clips["path"].tolist()[0] == "anna/no/side-0.npy"
    assert store.columns["view"].tolist() == ["side", "front", "front"]
    assert store.columns["sequence"].tolist() == ["0", "0", "1"]
    rows = ["path,sign,participant_id,age", "ben/yes/front-1.npy,yes,b,", "anna/no/side-0,no,a,7"]
    (folder / "clips.csv").write_text("\n".join([*rows, "anna/no/side-0.npy,no,a,7"]))
    listed = quiet(
        NpySource(folder, layout="kinect20", files="clips.csv"), tmp_path / "by_list", columns="all"
    )
    assert listed.columns["age"].tolist() == ["?", "7"]


def test_a_misspelt_part_of_a_path_is_no_column(tmp_path):
    tmp_path.joinpath("a").mkdir()
    np.save(tmp_path / "a/yes.npy", np.ones((3, 20, 3)))
    with pytest.raises(UserError, match=r"files=\{singer\}/\{sign\}.npy: .*choose from \{signer\}"):
        NpySource(tmp_path, layout="kinect20", files="{singer}/{sign}.npy")


def test_columns_are_chosen_renamed_and_grouped():
    found = {"take": ["1", "2", ""], "sign": ["a", "b", "c"], "age": ["7", "8", "9"]}
    assert list(choose_columns(found, "all")) == ["take", "age"]
    assert choose_columns(found, ["age"]) == {"age": ["7", "8", "9"]}
    assert choose_columns(found, []) == {}
    assert choose_columns(found, [{"years": "age"}]) == {"years": ["7", "8", "9"]}
    half = {"half": {"from": "take", "groups": {"first": [1], "second": ["2", 3]}}}
    assert choose_columns(found, ["take", half]) == {
        "take": ["1", "2", "?"],
        "half": ["first", "second", "?"],
    }


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (["view"], "data.columns=view: choose from take, sign"),
        ("take", r"data.columns=take: should be all, or a list: \[take\]"),
        (["sign"], "data.columns: 'sign' is the name of something else; .*NAME: sign"),
        ([{"half": {"from": "take"}}], "data.columns: half=.*should be {from: COLUMN, groups"),
        (
            [{"half": {"from": "take", "groups": {"first": [1]}}}],
            "data.columns: half: take '2' is in none of first",
        ),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence(choice, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        choose_columns({"take": ["1", "2"], "sign": ["a", "b"]}, choice)
    assert "\n" not in str(error.value)


def test_a_data_set_without_columns_says_so(raw, tmp_path):
    with pytest.raises(UserError, match=r"data\.columns=view: choose from none"):
        quiet(GislrSource(raw), tmp_path / "store", columns=["view"])


# --- stores of before, and what identifies a store ----------------------------------------------


def test_columns_leave_the_clips_and_their_fingerprint_as_they_are(raw, tmp_path):
    first = quiet(GislrSource(raw), tmp_path / "store")
    manifest = json.loads((tmp_path / "store/manifest.json").read_text())
    assert "columns" not in manifest  # the store is what it was before columns were kept
    assert manifest["table"] == f"clips-{first.fingerprint}.arrow"
    assert first.columns == {}
    edit_csv(raw, with_sessions)
    lines = []
    second = prepare(GislrSource(raw), tmp_path / "store", echo=lines.append)
    assert second.fingerprint == first.fingerprint
    assert list(second.columns) == ["session", "view"]
    assert "updated the index" in lines[-1]  # no clip was read again
    assert first.columns == {}  # who has the old version open keeps it
    edit_csv(raw, lambda number, row: row | {"view": "side"})
    third = quiet(GislrSource(raw), tmp_path / "store")
    assert set(third.columns["view"]) == {"side"}


def test_a_run_of_before_leaves_the_columns_of_a_store(isl30_store, shared_data, tmp_path):
    """Its config names none; it may be evaluated while a newer run needs them."""
    from asl.runs.data import open_store
    from asl.runs.plan import DataPlan

    def source():
        return NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")

    folder = shutil.copytree(isl30_store.directory, tmp_path / "store")
    plan = DataPlan("isl30", source, str(shared_data / "isl30"), folder, columns=BY_VIEW)
    assert list(open_store(plan).columns) == ["repetition", "view"]
    before = DataPlan("isl30", source, str(shared_data / "isl30"), folder)
    assert list(open_store(before).columns) == ["repetition", "view"]
    assert open_store(before).fingerprint == isl30_store.fingerprint


def test_a_store_on_a_disk_that_cannot_be_written_opens_with_the_columns_it_has(
    raw, tmp_path, monkeypatch
):
    old = quiet(GislrSource(raw), tmp_path / "old").directory
    edit_csv(raw, with_sessions)
    new = quiet(GislrSource(raw), tmp_path / "new").directory
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert quiet(GislrSource(raw), old, name="old").columns == {}
    assert list(quiet(GislrSource(raw), new, name="new").columns) == ["session", "view"]
    edit_csv(raw, lambda number, row: row | {"view": "side"})
    with pytest.raises(UserError, match="is not up to date"):
        quiet(GislrSource(raw), new, name="new")


# --- splits -------------------------------------------------------------------------------------


def recorded(signers=4, views=("front", "oblique", "side"), signs=3, takes=2):
    """Sign, signer and view of clips: every signer makes every sign in every view, twice."""
    grid = [
        (f"sign{sign}", str(signer), view)
        for signer in range(signers)
        for sign in range(signs)
        for view in views
        for _ in range(takes)
    ]
    signs_, signers_, views_ = map(list, zip(*grid, strict=True))
    return signs_, signers_, {"view": views_}


def test_a_split_by_a_column_keeps_its_values_apart_and_says_whose_signers_it_mixes():
    signs, signers, columns = recorded()
    split = leave_one_signer_out(signs, signers, by="view", columns=columns, test=["oblique"])
    views = np.array(columns["view"])
    assert set(views[split.test]) == {"oblique"}
    assert set(views[[*split.train, *split.val]]) == {"front", "side"}
    assert not split.test_signer_independent
    assert not split.val_signer_independent
    assert split.test_signers == ()
    assert split.test_groups == ("oblique",)
    assert (split.fold, split.folds) == (1, 3)
    assert split.protocol == (
        "leave_one_signer_out by=view test=[oblique] (not signer-independent)"
    )
    assert split.val_protocol == "20% of the training clips (not signer-independent)"


def test_folds_and_holdouts_go_by_the_column_too():
    signs, signers, columns = recorded(views=("a", "b", "c", "d", "e"))
    views = np.array(columns["view"])
    tests = []
    for fold in range(2):
        split = signer_kfold(signs, signers, by="view", columns=columns, folds=2, fold=fold)
        tests.append(set(views[split.test]))
        assert split.val_protocol == f"view=[{split.val_groups[0]}] (not signer-independent)"
        assert not set(views[split.val]) & set(views[split.train])
    assert tests[0] | tests[1] == set("abcde")
    assert not tests[0] & tests[1]
    held = signer_holdout(signs, signers, by="view", columns=columns, test=["a"], val=["b"])
    assert set(views[held.test]) == {"a"}
    assert set(views[held.val]) == {"b"}


def test_a_split_by_a_column_within_which_signers_stay_is_signer_independent():
    signs, signers, _ = recorded(signers=6)
    homes = {"home": [f"home {int(signer) // 2}" for signer in signers]}
    split = leave_one_signer_out(signs, signers, by="home", columns=homes, val="none")
    assert split.test_signer_independent
    assert split.protocol == "leave_one_signer_out by=home test=[home 0]"


def test_a_split_by_signer_is_what_it_was():
    signs, signers, columns = recorded()
    one = leave_one_signer_out(signs, signers, columns=columns, fold=1)
    other = leave_one_signer_out(signs, signers, by="signer", fold=1)
    assert one.protocol == other.protocol == "leave_one_signer_out test=[1]"
    np.testing.assert_array_equal(one.train, other.train)
    assert one.by_digest == ""


def test_an_unknown_column_and_clips_without_a_value_are_one_sentence():
    signs, signers, columns = recorded()
    with pytest.raises(UserError, match=r"^split\.by=session: choose from signer, view$"):
        leave_one_signer_out(signs, signers, by="session", columns=columns)
    columns["view"][3] = "?"
    with pytest.raises(UserError, match=r"split\.by=view: 1 of 72 clips have no view"):
        leave_one_signer_out(signs, signers, by="view", columns=columns)
    with pytest.raises(UserError, match=r"split\.folds=5: there are only 3 values of view"):
        signer_kfold(*recorded()[:2], by="view", columns=recorded()[2])


def test_names_with_commas_are_told_apart_in_a_protocol():
    signs = ["yes", "no"] * 4
    signers = ["a,b", "a,b", "c", "c", "a", "a", "b,c", "b,c"]

    def protocol(*test):
        return signer_holdout(signs, signers, test=list(test), val="none").protocol

    assert protocol("a,b", "c") != protocol("a", "b,c")
    assert protocol("a", "c") == "signer_holdout test=[a,c]"


def test_isl30_has_three_views_of_nine_repetitions(isl30_store, shared_data, tmp_path):
    from asl.config.plan import data_plan_of
    from asl.runs.data import open_store

    shutil.copytree(isl30_store.directory, tmp_path / "store")
    where = [f"data.root={shared_data}/isl30", f"data.store={tmp_path}/store"]
    store = open_store(data_plan_of("data=isl30", *where))
    assert store.fingerprint == isl30_store.fingerprint
    assert Counter(store.columns["view"]) == {"frontal": 900, "oblique": 900, "profile": 900}
    # the shoulders' yaw is what tells the views apart: see the comment in conf/data/isl30.yaml
    yaw = {view: np.median(yaws) for view, yaws in shoulder_yaws(store).items()}
    assert yaw["frontal"] < 20 < 35 < yaw["oblique"] < yaw["profile"]


def shoulder_yaws(store):
    """Each view's sample of the angle between shoulders and camera, in degrees."""
    yaws: dict[str, list[float]] = {}
    for row in range(0, len(store), 50):
        left, right = np.nanmean(store.read(row)[:, [2, 3]], axis=0)
        across = left - right
        angle = np.degrees(np.arctan2(abs(across[2]), abs(across[0])))
        yaws.setdefault(store.columns["view"][row], []).append(float(angle))
    return yaws
