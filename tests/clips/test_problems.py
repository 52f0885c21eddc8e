"""Clips that are probably wrong are found by name, and clips that are right are not."""

import numpy as np
import pytest

from asl.clips.prepare import prepare
from asl.clips.problems import KINDS, find_problems
from asl.clips.sources.npz import NpzSource
from asl.clips.store import ClipStore

HANDS = {"mediapipe_holistic": [*range(468, 489), *range(522, 543)], "kinect20": []}


def packed(folder, clips, signs, signers, layout="mediapipe_holistic") -> ClipStore:
    """A store of these clips, in their order: `a.npz:0`, `a.npz:1`, …"""
    lengths = np.array([len(clip) for clip in clips])
    padded = np.full((len(clips), lengths.max(), *clips[0].shape[1:]), np.nan, np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    arrays = {"sign": np.array(signs), "participant_id": np.array(signers), "length": lengths}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "a.npz", X=padded, **arrays)
    return prepare(
        NpzSource(folder, layout=layout, file="a.npz"), folder / "store", workers=1, echo=str
    )


def plant(store: ClipStore, rows: list[int], folder) -> tuple[ClipStore, dict[str, list[int]]]:
    """A copy of some clips in which every kind of problem is planted; the clips that have each."""
    clips = [store.read(row) for row in rows]
    signs, signers = store.clip_signs[rows].tolist(), store.clip_signers[rows].tolist()
    last, noise = signers[-1], np.random.default_rng(0).normal(0, 3e-4, clips[1].shape)
    assert last not in signers[:2]
    copies = [clips[0], clips[1] + noise.astype(np.float32)]
    # The planted clips are taken from the middle, far from those that are copied.
    far = dict(zip([*KINDS][1:], range(len(rows) // 2, len(rows) // 2 + 10, 2), strict=True))
    clips[far["frozen"]][:] = clips[far["frozen"]][len(clips[far["frozen"]]) // 2]
    clips[far["coordinates"]] *= np.array([640, 480, 1], np.float32)
    clips[far["short"]] = clips[far["short"]][:1]
    clips[far["no hands"]][:, HANDS[store.layout.name]] = np.nan
    if not HANDS[store.layout.name]:
        clips[far["no hands"]][:] = np.nan
    wrong = far["possibly mislabelled"]
    signs[wrong] = next(sign for sign in signs if sign != signs[wrong])
    planted = packed(
        folder, [*clips, *copies], [*signs, *signs[:2]], [*signers, last, last], store.layout.name
    )
    return planted, {"duplicate": [len(rows), len(rows) + 1], **{k: [v] for k, v in far.items()}}


def named(store: ClipStore) -> dict[str, list[int]]:
    """The rows that are found, by kind."""
    found = find_problems(store)
    return {kind: found["row"][found["kind"] == kind].tolist() for kind in KINDS}


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> ClipStore:
    """Points that move smoothly on a way of each sign: 4 signs, 3 signers, 4 clips each."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 1, 12)[:, None, None]
    clips, signs, signers = [], [], []
    ways = rng.normal(0, 0.2, (4, 3, 1, 543, 3))
    for signer, sign, _ in np.ndindex(3, 4, 4):
        start, speed, bend = ways[sign]
        body = 0.5 + start + speed * time + bend * time**2
        clip = body * rng.uniform(0.9, 1.1) + rng.normal(0, 0.01, (1, 543, 3)) * (1 + time)
        clips.append(clip.astype(np.float32))
        signs.append(f"sign {sign}")
        signers.append(f"signer {signer}")
    return packed(tmp_path_factory.mktemp("clean"), clips, signs, signers)


@pytest.fixture(scope="module")
def planted(clean, tmp_path_factory) -> tuple[ClipStore, dict[str, list[int]]]:
    return plant(clean, list(range(len(clean))), tmp_path_factory.mktemp("planted"))


def test_clean_clips_are_not_named(clean, synthetic_store):
    assert find_problems(clean).empty
    assert find_problems(synthetic_store).empty


def test_each_planted_problem_is_named_and_nothing_else(planted):
    store, expected = planted
    assert named(store) == expected


def test_each_finding_says_what_is_wrong_with_a_number(clean, planted):
    store, rows = planted
    found = find_problems(store)
    what = {kind: found["what"][found["kind"] == kind].tolist() for kind in KINDS}
    assert what["duplicate"][0] == "has the content of a.npz:0 of signer signer 0"
    assert what["duplicate"][1].startswith("is nearly the same as a.npz:1 of signer signer 0 (")
    assert "does not move in 12 frames" in what["frozen"][0]
    assert "times the usual" in what["coordinates"][0]
    assert what["short"][0] == "has 1 frame, where 12 are usual"
    assert what["no hands"][0] == "has no hand detected in any frame"
    (mislabelled,) = rows["possibly mislabelled"]
    true_sign = str(clean.clip_signs[mislabelled])
    assert what["possibly mislabelled"][0].startswith(f"looks like {true_sign!r}: ")
    assert found["clip"].tolist() == [f"a.npz:{row}" for row in found["row"]]


def test_the_page_shows_each_planted_problem(planted, tmp_path):
    from asl.clips.eda import write_report

    store, rows = planted
    page = write_report(store, tmp_path).read_text("utf-8")
    assert "7 clips are probably wrong: 2 duplicate, 1 frozen, 1 coordinates, 1 short" in page
    assert "Of another signer than the clip that they are like: 2 of 2." in page
    shown = page[: page.index(">Signs</h2>")]
    assert all(f"a.npz:{row}" in shown for some in rows.values() for row in some)


@pytest.mark.parametrize("data", ["words15_store", "isl30_store"])
def test_problems_planted_among_real_clips_are_named(data, request, tmp_path):
    store = request.getfixturevalue(data)
    rng = np.random.default_rng(1)
    signs = np.isin(store.sign, np.unique(store.sign)[:5])
    signers = np.isin(store.signer, np.unique(store.signer)[:3])
    rows = np.flatnonzero(signs & signers)
    rows = rng.permutation(rows)[:120]
    rows = rows[np.argsort(store.signer[rows], kind="stable")].tolist()
    planted, expected = plant(store, rows, tmp_path)
    found = named(planted)
    for kind, clips in expected.items():
        assert set(clips) <= set(found[kind]), kind
    assert sum(map(len, found.values())) <= sum(map(len, expected.values())) + 1


@pytest.mark.slow
@pytest.mark.parametrize("data", ["words15_store", "isl30_store"])
def test_few_real_clips_are_named(data, request):
    store = request.getfixturevalue(data)
    assert len(find_problems(store)) <= 1


def test_odd_sets_have_a_table(tmp_path):
    rng = np.random.default_rng(0)
    clip = rng.random((6, 543, 3), dtype=np.float32)
    nothing, zeros = np.full_like(clip, np.nan), np.zeros_like(clip)
    poses = rng.random((3, 6, 543, 3), dtype=np.float32)
    poses[:, :, HANDS["mediapipe_holistic"]] = np.nan
    sets = {
        "one clip": ([clip], ["a"], ["x"]),
        "one signer": ([clip, clip], ["a", "b"], ["x", "x"]),
        "nothing detected": ([nothing, nothing], ["a", "b"], ["x", "y"]),
        "mostly zeros": ([zeros, zeros, clip], ["a", "b", "b"], ["x", "y", "z"]),
        "never a hand": (list(poses), ["a", "b", "b"], ["x", "y", "z"]),
        "all frozen": ([np.repeat(clip[:1], 6, axis=0)] * 3, ["a", "b", "b"], ["x", "y", "z"]),
    }
    found = {
        name: find_problems(packed(tmp_path / name, *some))["kind"].tolist()
        for name, some in sets.items()
    }
    assert found == {
        "one clip": [],
        "one signer": ["duplicate"],
        "nothing detected": ["no hands", "no hands"],
        "mostly zeros": ["duplicate"],
        "never a hand": [],
        "all frozen": ["duplicate", "duplicate"],
    }
