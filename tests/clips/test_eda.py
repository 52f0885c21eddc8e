import re
import shutil
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from asl.clips.eda import detected_parts, signing_hand, write_report
from asl.clips.measures import measure
from asl.clips.prepare import prepare
from asl.clips.problems import find_problems
from asl.clips.sources.gislr import GislrSource, read_clip, write_clip
from asl.clips.sources.npz import NpzSource


@pytest.fixture(scope="module")
def report(synthetic_store, tmp_path_factory):
    return write_report(synthetic_store, tmp_path_factory.mktemp("report"))


def test_the_page_is_whole_by_itself(report):
    page = report.read_text("utf-8")
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) > 8
    assert all(picture.startswith("data:image/png;base64,") for picture in pictures)
    assert not re.search(r"https?://|<script|<link", page)


def test_all_tables_named_in_the_page_exist(report):
    links = re.findall(r'href="([^"]+)"', report.read_text("utf-8"))
    tables = [link for link in links if not link.startswith("#")]
    assert len(tables) > 8
    assert all((report.parent / table).stat().st_size for table in tables)


def test_the_tables_count_every_clip(report, synthetic_store):
    for name, column in [("signs.csv", "clips"), ("signers.csv", "clips")]:
        assert pd.read_csv(report.parent / name)[column].sum() == len(synthetic_store)
    coverage = pd.read_csv(report.parent / "coverage.csv", index_col=0)
    assert (coverage == 2).all(axis=None)


def test_columns_of_the_recordings_are_counted(columns_store, tmp_path):
    page = write_report(columns_store, tmp_path).read_text("utf-8")
    table = pd.read_csv(tmp_path / "columns.csv", dtype=str).set_index(["column", "value"])
    assert table.loc[("view", "front"), "clips"] == "6"
    assert table.loc[("view", "side"), "signers"] == "2"
    assert "take (60 values)" in page
    assert "take" not in table.index.get_level_values("column")


@pytest.fixture
def columns_store(tmp_path):
    """66 clips of two signers, six of them from the front; each of the others a take of its own."""
    count = 66
    clips = np.random.default_rng(0).random((count, 5, 20, 3), np.float32)
    take = np.array(["0"] * 6 + [str(number) for number in range(count - 6)])
    np.savez(
        tmp_path / "a.npz",
        X=clips,
        sign=np.array(["yes", "no"])[np.arange(count) % 2],
        participant_id=np.arange(count) % 2,
        view=np.array(["front"] * 6 + ["side"] * (count - 6)),
        take=take,
    )
    source = NpzSource(tmp_path, layout="kinect20", file="a.npz")
    return prepare(source, tmp_path / "store", workers=1)


def test_missing_parts_and_left_handed_signers_are_detected(synthetic_store, report):
    detected = detected_parts(synthetic_store, range(len(synthetic_store)))
    assert detected["pose"].eq(1).all()
    hands = signing_hand(detected)
    assert (hands.sum(axis=1) - 1).abs().max() < 1e-9
    assert hands["left"].idxmax() == "3"
    table = pd.read_csv(report.parent / "detected.csv", index_col=0)
    assert table.loc["all", "face"] > 0.9
    assert "Missing, of the frames of a clip on average: face " in report.read_text("utf-8")
    assert "left-handed by this measure: 3." in report.read_text("utf-8")


def test_a_part_that_is_missing_at_the_end_is_seen_over_time(synthetic_raw, tmp_path):
    raw = Path(shutil.copytree(synthetic_raw, tmp_path / "raw"))
    for path in raw.glob("train_landmark_files/*/*.parquet"):
        clip = read_clip(path)
        clip[len(clip) // 2 :, 489:522] = np.nan
        write_clip(path, clip)
    missing = measure(prepare(GislrSource(raw), tmp_path / "store"), range(40)).missing["pose"]
    assert missing.iloc[0] == 0
    assert missing.iloc[-1] == 1


def test_the_real_words_have_no_face(words15_store):
    detected = detected_parts(words15_store, range(0, 1350, 50))
    assert detected["face"].eq(0).all()
    assert detected["right_hand"].mean() > 0.8


def test_a_sample_of_a_layout_without_hands(shared_data, tmp_path, monkeypatch):
    monkeypatch.setattr("asl.clips.problems.SAMPLED_CLIPS", 40)
    with np.load(shared_data / "isl30/isl30.npz") as file:
        signs = file["sign"] < "c"
        some = {name: file[name][signs][::9] for name in ("X", "length", "sign", "participant_id")}
    np.savez(tmp_path / "some.npz", **some)
    store = prepare(NpzSource(tmp_path, file="some.npz", layout="kinect20"), tmp_path / "store")
    page = write_report(store, tmp_path / "report").read_text("utf-8")
    assert f"a random sample of 40 of the {len(store)} clips" in page
    assert "Which hand signs" not in page
    assert not (tmp_path / "report/hands.csv").exists()


@pytest.fixture(scope="module")
def odd_page(odd_store, tmp_path_factory) -> str:
    return write_report(odd_store, tmp_path_factory.mktemp("odd report")).read_text("utf-8")


def test_names_are_shown_as_they_are_and_are_no_html(odd_page, odd_names):
    assert all(escape(name) in odd_page for name in odd_names)
    assert "<i>" not in odd_page


def test_clips_of_one_length_are_said_to_be(odd_page):
    assert "All clips have 5 frames." in odd_page


def test_a_store_of_some_landmarks_is_measured(synthetic_raw, tmp_path):
    store = prepare(GislrSource(synthetic_raw), tmp_path / "store", keep="gislr118")
    assert find_problems(store).empty
    assert detected_parts(store, range(40))["left_hand"].mean() > 0
