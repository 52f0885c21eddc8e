"""The page as a folder: what is in it, and what it may reach."""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import signal
import zipfile
from pathlib import Path

import pytest

from asl.errors import UserError
from asl.page import assets
from asl.page import build as building
from asl.page.build import build, open_recognizer, policy, recognising, write_page
from asl.paths import WEB

INDEX = (WEB / "index.html").read_text(encoding="utf-8")
MODULES = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js")}
TEXTS = json.loads((WEB / "texts.json").read_text(encoding="utf-8"))


@pytest.fixture
def recognizer(tiny_tflite, tmp_path):
    path = tiny_tflite(tmp_path / "model_float16_n9.tflite", 9)
    (tmp_path / "labels.json").write_text('["again", "<b>bird", "cat"]')
    return open_recognizer(path)


def test_the_folder_holds_all_that_the_page_asks_for(packages, recognizer, tmp_path):
    folder = tmp_path / "site"
    build(folder, recognizer, 0.7)
    settings = json.loads((folder / "page.json").read_text())
    assert (folder / settings["model"]).read_bytes() == recognizer.path.read_bytes()
    assert settings["signs"] == ["again", "<b>bird", "cat"]
    assert (settings["frames"], settings["threshold"], settings["unknown"]) == (9, 0.7, None)
    named = re.findall(r'(?:src|href)="([^"]+)"', INDEX)
    named += json.loads(re.search(r"importmap\">(.*?)</script>", INDEX)[1])["imports"].values()
    named += [name for code in MODULES.values() for name in re.findall(r'from "(\./[^"]+)"', code)]
    named += [*re.findall(r'"(vendor/[^"]+\.js)"', MODULES["recognizer.js"]), "texts.json"]
    assert len(named) > 20
    for name in named:
        assert (folder / name).is_file(), name
    assert (folder / "licenses" / "Apache-2.0.txt").is_file()


def test_a_page_is_replaced_and_anything_else_is_left_alone(packages, recognizer, tmp_path):
    build(tmp_path / "site", recognizer, 0.7)
    build(tmp_path / "site", recognizer, 0.2)
    assert json.loads((tmp_path / "site" / "page.json").read_text())["threshold"] == 0.2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    for other in (tmp_path / "mine", tmp_path / "mine" / "notes.txt"):
        with pytest.raises(UserError, match="holds something else than a page"):
            build(other, recognizer, 0.2)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".tmp")]


@pytest.mark.parametrize("moment", ["the page of before is moved", "the new one is moved"])
def test_a_killed_build_leaves_nothing_for_long(moment, packages, recognizer, tmp_path):
    """The next one into the same folder clears what is left, and until then no page is lost."""
    site = tmp_path / "here" / "site"
    build(site, recognizer, 0.7)
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    if not (child := os.fork()):
        _die_at(["the page of before is moved", "the new one is moved"].index(moment))
        with contextlib.suppress(Exception):
            build(site, recognizer, 0.2)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert len(list(site.parent.iterdir())) > 1
    package = packages / assets.HOLISTIC.archive
    whole = package.read_bytes()
    package.write_bytes(b"torn")
    with pytest.raises(UserError, match="is not @mediapipe/holistic"):
        build(site, recognizer, 0.3)
    assert list(site.parent.iterdir()) == [site]
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    package.write_bytes(whole)
    build(site, recognizer, 0.4)
    assert json.loads((site / "page.json").read_text())["threshold"] == 0.4
    assert list(site.parent.iterdir()) == [site]


def _die_at(number: int) -> None:
    """Kill this process when it renames a folder for that time."""
    rename, calls = Path.rename, itertools.count()

    def rename_or_die(path, target):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(path, target)

    Path.rename = rename_or_die


def test_a_page_that_cannot_take_its_place_leaves_that_of_before(
    packages, recognizer, tmp_path, monkeypatch
):
    site = tmp_path / "here" / "site"
    build(site, recognizer, 0.7)
    rename = Path.rename

    def refuse(path, target):
        if path.name == "page":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="No space left"):
        build(site, recognizer, 0.2)
    assert json.loads((site / "page.json").read_text())["threshold"] == 0.7
    assert list(site.parent.iterdir()) == [site]


def test_one_build_at_a_time_makes_a_page(packages, recognizer, tmp_path, monkeypatch):
    site = tmp_path / "site"

    def build_again(*_):
        build(site, recognizer, 0.2)

    monkeypatch.setattr(building, "write_page", build_again)
    with pytest.raises(UserError, match=f"build={site}: another asl page builds there"):
        build(site, recognizer, 0.7)


def test_a_page_does_not_take_the_place_of_the_folder_that_one_is_in(recognizer):
    with pytest.raises(UserError, match="name a folder of the page's own"):
        build(Path("."), recognizer, 0.7)


def test_the_policy_forbids_every_other_host():
    rules = dict(rule.strip().split(" ", 1) for rule in policy().split(";"))
    assert rules["default-src"] == "'none'"
    own = {"'self'", "'none'", "'wasm-unsafe-eval'", "blob:", "data:"}
    for rule, sources in rules.items():
        assert all(s in own or s.startswith("'sha256-") for s in sources.split()), rule
    assert rules["connect-src"] == "'self'"
    inline = re.search(r'<script type="importmap">(.*?)</script>', INDEX, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in rules["script-src"]


def test_the_sources_name_no_other_host():
    for path in WEB.glob("*.*"):
        addresses = re.findall(r"https?://[^\s\"']+", path.read_text(encoding="utf-8"))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path.name


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"signs": ["a", "b", "c"], "run": {"name": "<b>best"}}, "<b>best"),
        ({"signs": ["a", "b", "c"], "run": {"name": "half \udcff"}}, r"half \udcff"),
        ({"signs": ["a", "b", "c"], "run": "best"}, "model_float16_n9"),
        (["a", "b", "c"], "model_float16_n9"),
    ],
)
def test_the_page_is_named_after_the_run_of_the_file_else_after_the_file(
    facts, name, tiny_tflite, tmp_path
):
    path = tiny_tflite(tmp_path / "model_float16_n9.tflite", 9)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.json", json.dumps(facts))
    assert open_recognizer(path).name == name


def test_the_page_is_told_the_threshold_of_the_files_own_score(scored_tflite, tmp_path):
    recognizer = open_recognizer(scored_tflite(tmp_path / "model.tflite", 0.6, 9))
    assert recognising(recognizer, 0.5)["unknown"] == 0.6


def test_a_file_of_a_free_number_of_frames_is_refused(tiny_tflite, tmp_path):
    path = tiny_tflite(tmp_path / "model.tflite")
    with pytest.raises(UserError, match=r"need a fixed number of frames; `asl export .*frames=64"):
        open_recognizer(path)


def test_a_file_whose_labels_do_not_fit_is_refused(tiny_tflite, tmp_path):
    path = tiny_tflite(tmp_path / "model.tflite", 9)
    (tmp_path / "labels.json").write_text('["again", "bird"]')
    with pytest.raises(UserError, match="gives 3 probabilities for 2 labels"):
        open_recognizer(path)


def test_a_page_that_records_needs_no_recognizer(packages, tmp_path):
    write_page(tmp_path / "page", {"mode": "record"})
    assert not (tmp_path / "page" / "vendor" / "litert").exists()
    assert (tmp_path / "page" / "vendor" / "holistic" / "holistic.js").is_file()


def test_the_skeleton_has_hands_and_body_and_leaves_the_face_free(packages, recognizer, tmp_path):
    write_page(tmp_path / "page", recognising(recognizer, 0.5), recognizer.path)
    bones = json.loads((tmp_path / "page" / "page.json").read_text())["bones"]
    rows = {row for bone in bones for row in bone}
    assert {468, 500, 501, 522} <= rows
    assert min(rows) >= 468


# --- texts --------------------------------------------------------------------------------------


def test_both_languages_say_the_same_things():
    english, german = TEXTS["en"], TEXTS["de"]
    assert list(english) == list(german)
    for key, words in english.items():
        assert words.strip(), key
        assert german[key].strip(), key
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", german[key])), key


def test_every_text_that_the_page_shows_is_there_and_no_other():
    code, known = "".join(MODULES.values()), set(TEXTS["en"])
    shown = set(re.findall(r'data-(?:text|label)="(\w+)"', INDEX))
    shown |= set(re.findall(r'say\("[\w-]+", "(\w+)"', code))
    assert shown <= known
    named = shown | set(re.findall(r'"(\w+)"', code))
    assert not {key for key in known - named if key.removesuffix("_record") not in shown}
