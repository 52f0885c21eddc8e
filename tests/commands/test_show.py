"""asl show draws one clip, and what a recognizer says of its growing beginning."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from asl.cli import run
from asl.clips.film import Film, Guess, write_film
from asl.errors import UserError
from asl.runs import show as show_module

GUESSES = [Guess(2, [("bye", 0.6), ("<b>", 0.4)]), Guess(5, [("<b>", 0.9), ("bye", 0.1)])]


@pytest.fixture
def show(synthetic_store, synthetic_raw, tmp_path, capsys):
    """Runs the command on the generated clips: status, printed text, errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        data = [f"data.root={synthetic_raw}", f"data.store={synthetic_store.directory}"]
        data += ["data.source.signs=4", "data.source.signers=5", "data.source.clips_per_sign=2"]
        status = run(["show", *arguments, "data=synthetic", *data])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return command


@pytest.fixture
def film(synthetic_store) -> Film:
    return Film(synthetic_store.read(3), synthetic_store.layout, "a <title>", GUESSES)


def read(page) -> dict:
    """The data inside a page."""
    text = page.read_text("utf-8")
    (data,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return json.loads(data)


def test_a_page_plays_every_frame(film, tmp_path):
    write_film(film, tmp_path / "clip.html")
    page, text = read(tmp_path / "clip.html"), (tmp_path / "clip.html").read_text("utf-8")
    assert page["frames"] == list(range(1, len(film.clip) + 1))
    assert len(page["points"]) == len(film.clip)
    assert page["guesses"][1] == [5, [[1, 0.9], [0, 0.1]]]
    assert page["signs"] == ["bye", "<b>"]
    assert "a &lt;title&gt;" in text
    assert "<b>" not in text
    assert not re.search(r"https?://", text)


def test_a_point_lies_where_it_was_detected(film, tmp_path):
    """Inside the square, the left hand's wrist moves as in the clip; y grows downwards."""
    write_film(film, tmp_path / "clip.html")
    page = read(tmp_path / "clip.html")
    rows = sorted({row for bone in film.layout.bones for row in bone})
    shoulder = np.array([frame[rows.index(500)] for frame in page["points"]])
    nose = np.array([frame[rows.index(489)] for frame in page["points"]])
    assert ((shoulder > 0) & (shoulder < page["scale"])).all()
    assert (nose[:, 1] < shoulder[:, 1]).all()
    seen = [frame[rows.index(468)] is not None for frame in page["points"]]
    assert seen == (~np.isnan(film.clip[:, 468, 0])).tolist()


def test_an_animation_has_every_frame(film, tmp_path):
    write_film(film, tmp_path / "clip.gif")
    with Image.open(tmp_path / "clip.gif") as animation:
        assert animation.n_frames == len(film.clip)


def test_a_strip_is_wider_than_high(film, tmp_path):
    write_film(film, tmp_path / "clip.png")
    with Image.open(tmp_path / "clip.png") as strip:
        assert strip.width > 4 * strip.height


def test_of_a_long_clip_some_frames_are_shown(film, tmp_path):
    clip = np.repeat(film.clip, 100, axis=0)
    write_film(film._replace(clip=clip), tmp_path / "clip.html")
    page = read(tmp_path / "clip.html")
    assert 300 <= len(page["frames"]) <= 600
    assert f"of {len(clip)} frames are shown" in (tmp_path / "clip.html").read_text("utf-8")


def test_another_suffix_is_refused(film, tmp_path):
    with pytest.raises(UserError, match=r"must end in \.html, \.png, \.gif"):
        write_film(film, tmp_path / "clip.mp4")


def test_a_clip_has_many_names(synthetic_store):
    path = synthetic_store.clips["path"].iloc[7]
    for name in (path, path.split("/")[-1], path.split("/")[-1].removesuffix(".parquet"), "7"):
        assert synthetic_store.find(name) == 7


def test_the_command_draws_a_clip(show, synthetic_store, tmp_path):
    name = synthetic_store.clips["path"].iloc[7].split("/")[-1]
    status, out, _ = show(name, f"out={tmp_path}/clip.html")
    assert status == 0
    assert f"clip: {tmp_path}/clip.html" in out
    assert name in (tmp_path / "clip.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody"], ["clip=nobody: no clips of synthetic are called so", "0 to 39"]),
        (["40"], ["clip=40: no clips"]),
        (["0", "out=clip.mp4"], ["out=clip.mp4: must end in .html"]),
        (["0", "every=0"], ["every=0: should be"]),
        (["0", "model=absent.tflite"], ["absent.tflite: there is no such file"]),
        (["0", "run=absent"], ["run=absent"]),
        ([], ["show needs a clip"]),
    ],
)
def test_a_mistake_is_one_sentence(show, arguments, words, tmp_path):
    status, _, err = show(*arguments, f"tracking.uri=sqlite:///{tmp_path}/mlflow.db")
    assert status == 2
    assert err.startswith("asl show: ")
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words)


def test_a_file_says_what_it_sees(tiny_tflite, tmp_path, capsys):
    clips = np.random.default_rng(0).random((2, 12, 543, 3), dtype=np.float32)
    np.savez(tmp_path / "a.npz", X=clips, sign=["a", "b"], participant_id=[1, 2])
    data = ["data=npz", f"data.root={tmp_path}", f"data.store={tmp_path}/store"]
    data += ["data.source.file=a.npz", "data.source.layout=mediapipe_holistic"]
    model = tiny_tflite(tmp_path / "tiny.tflite")
    (tmp_path / "labels.json").write_text('{"signs": ["a", "b", "c"]}')
    arguments = ["a.npz:1", *data, f"model={model}", "every=5", f"out={tmp_path}/clip.html"]
    assert run(["show", *arguments]) == 0, capsys.readouterr().err
    page = read(tmp_path / "clip.html")
    assert [frames for frames, _ in page["guesses"]] == [5, 10, 12]
    for frames, signs in page["guesses"]:
        means = np.exp(clips[1, :frames].mean(axis=(0, 1)))
        expected = sorted(means / means.sum(), reverse=True)
        assert [p for _, p in signs] == pytest.approx(expected, abs=1e-3)


def test_a_sign_that_is_ever_among_the_best_is_drawn_at_every_moment():
    names = "abcdefgh"
    first = dict(zip(names, [0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.03, 0.02], strict=True))
    last = dict(zip(names, [0.01, 0.2, 0.2, 0.1, 0.1, 0.3, 0.05, 0.04], strict=True))
    guesses = show_module._guesses({4: first, 8: last})
    assert [dict(guess.signs)["f"] for guess in guesses] == [0.05, 0.3]
    assert [dict(guess.signs)["a"] for guess in guesses] == [0.3, 0.01]
    assert [len(guess.signs) for guess in guesses] == [6, 6]
    assert [guess.signs[0][0] for guess in guesses] == ["a", "f"]


def test_a_run_says_what_it_sees_of_its_own_clips(workbench, trained, tmp_path):
    assert workbench("show", "5", f"run={trained}", f"out={tmp_path}/clip.html", "every=4") == 0
    page = read(tmp_path / "clip.html")
    assert len(page["guesses"]) > 3
    assert page["guesses"][-1][0] == page["frames"][-1]
    assert {sign for _, signs in page["guesses"] for sign, _ in signs} == {0, 1, 2, 3}
    assert page["guesses"][0][1] != page["guesses"][-1][1]
