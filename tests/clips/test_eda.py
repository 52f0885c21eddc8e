import re

import pandas as pd
import pytest

from asl.clips.eda import detected_parts, signing_hand, write_report


@pytest.fixture(scope="module")
def report(synthetic_store, tmp_path_factory):
    return write_report(synthetic_store, tmp_path_factory.mktemp("report"))


def test_all_files_named_in_the_report_exist(report):
    links = re.findall(r"\]\(([^)]+)\)", report.read_text())
    assert len(links) > 10
    assert all((report.parent / link).stat().st_size for link in links)


def test_the_tables_count_every_clip(report, synthetic_store):
    for name, column in [("signs.csv", "clips"), ("signers.csv", "clips")]:
        assert pd.read_csv(report.parent / name)[column].sum() == len(synthetic_store)
    coverage = pd.read_csv(report.parent / "coverage.csv", index_col=0)
    assert (coverage == 2).all(axis=None)


def test_missing_parts_and_left_handed_signers_are_detected(synthetic_store, report):
    detected = detected_parts(synthetic_store, range(len(synthetic_store)))
    assert detected["pose"].eq(1).all()
    hands = signing_hand(detected)
    assert (hands.sum(axis=1) - 1).abs().max() < 1e-9
    assert hands["left"].idxmax() == "3"
    table = pd.read_csv(report.parent / "detected.csv", index_col=0)
    assert table.loc["all", "face"] > 0.9


def test_the_real_words_have_no_face(words15_store):
    detected = detected_parts(words15_store, range(0, 1350, 50))
    assert detected["face"].eq(0).all()
    assert detected["right_hand"].mean() > 0.8


def test_a_layout_without_hands(shared_data, tmp_path):
    from asl.clips.prepare import prepare
    from asl.clips.sources.npz import NpzSource

    source = NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")
    store = prepare(source, tmp_path / "store", workers=1)
    report = write_report(store, tmp_path / "report")
    assert "30" in report.read_text()
    assert "Which hand signs" not in report.read_text()
    assert not (tmp_path / "report/hands.png").exists()


def test_names_are_drawn_as_they_are(odd_store, tmp_path):
    report = write_report(odd_store, tmp_path / "report")
    assert len(list(report.parent.glob("*.png"))) > 5
