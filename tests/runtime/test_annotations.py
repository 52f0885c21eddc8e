"""Segments as files that other programs read."""

import csv
import json
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from asl.runtime.annotations import Spotted, as_csv, as_eaf, as_json

SEGMENTS = [
    Spotted(0.5, 1.2344, "hello", 0.91),
    Spotted(2.0, 2.5, '<b> & "ünï" \x07\n', 0.66),
    Spotted(3599.9996, 3601.0, "thank-you", 1.0),
]


@pytest.fixture
def eaf(tmp_path) -> ElementTree.Element:
    text = as_eaf(SEGMENTS, tmp_path / "videos" / "a day.mp4", tmp_path / "out")
    file = tmp_path / "a.eaf"
    file.write_text(text, encoding="utf-8")
    return ElementTree.parse(file).getroot()


def test_elan_finds_the_segments_in_milliseconds(eaf):
    times = {
        slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in eaf.iter("TIME_SLOT")
    }
    found = [
        (times[a.get("TIME_SLOT_REF1")], times[a.get("TIME_SLOT_REF2")], a[0].text)
        for a in eaf.iter("ALIGNABLE_ANNOTATION")
    ]
    assert found == [
        (500, 1234, "hello"),
        (2000, 2500, '<b> & "ünï"   '),
        (3600000, 3601000, "thank-you"),
    ]


def test_the_scores_stand_on_a_tier_below(eaf):
    signs, scores = eaf.findall("TIER")
    assert scores.get("PARENT_REF") == signs.get("TIER_ID")
    parents = [a.get("ANNOTATION_ID") for a in signs.iter("ALIGNABLE_ANNOTATION")]
    below = {a.get("ANNOTATION_REF"): a[0].text for a in scores.iter("REF_ANNOTATION")}
    assert below == dict(zip(parents, ["0.910", "0.660", "1.000"], strict=True))


def test_the_document_is_in_the_order_of_elans_schema_and_its_references_lead_somewhere(eaf):
    assert eaf.get("FORMAT") == "3.0"
    order = [child.tag for child in eaf]
    assert order == [
        *("HEADER", "TIME_ORDER", "TIER", "TIER"),
        *("LINGUISTIC_TYPE", "LINGUISTIC_TYPE", "CONSTRAINT"),
    ]
    ids = [element.get("ANNOTATION_ID") for element in eaf.iter() if element.get("ANNOTATION_ID")]
    assert len(ids) == len(set(ids)) == int(eaf.find("HEADER/PROPERTY").text)
    types = {kind.get("LINGUISTIC_TYPE_ID"): kind for kind in eaf.iter("LINGUISTIC_TYPE")}
    assert {tier.get("LINGUISTIC_TYPE_REF") for tier in eaf.iter("TIER")} == set(types)
    constraints = {kind.get("CONSTRAINTS") for kind in types.values()} - {None}
    assert constraints == {each.get("STEREOTYPE") for each in eaf.iter("CONSTRAINT")}


def test_the_video_is_linked_relative_to_the_document(eaf):
    media = eaf.find("HEADER/MEDIA_DESCRIPTOR")
    assert unquote(media.get("RELATIVE_MEDIA_URL")) == "./../videos/a day.mp4"
    assert " " not in media.get("RELATIVE_MEDIA_URL")
    assert media.get("MIME_TYPE") == "video/mp4"


def test_a_clip_of_landmarks_is_no_video(tmp_path):
    root = ElementTree.fromstring(as_eaf([], tmp_path / "long.parquet", tmp_path))
    assert root.find("HEADER/MEDIA_DESCRIPTOR") is None
    assert len(root.findall("TIER")) == 2
    assert not list(root.iter("ANNOTATION"))


def test_csv_and_json_say_the_same(tmp_path):
    rows = list(csv.DictReader(as_csv(SEGMENTS).splitlines(keepends=True)))
    content = json.loads(as_json(SEGMENTS, tmp_path / "a day.mp4"))
    assert content["recording"] == "a day.mp4"
    assert [each["sign"] for each in content["segments"]] == [row["sign"] for row in rows]
    assert float(rows[0]["end"]) == pytest.approx(content["segments"][0]["end"], abs=1e-3)
