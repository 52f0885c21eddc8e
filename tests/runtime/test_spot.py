"""Where signs are in a long recording."""

import itertools
import weakref

import numpy as np
import pytest

from asl.landmarks import KINECT20, MEDIAPIPE_HOLISTIC
from asl.runtime import spotting
from asl.runtime.clips import sliding
from asl.runtime.spot import (
    NONE,
    Segment,
    find_signs,
    merged,
    most_probable,
    runs,
    smoothed,
    steps_of,
)

HOP, COVER = 2, 4
RULE = {"threshold": 0.6, "shortest": 4, "gap": 2}


def answers(truth: list[int], signs: int = 3) -> np.ndarray:
    """The answers of a recognizer to windows of frames, of which each shows a sign or `NONE`.

    A sign is as probable as its share of the window; rest tells nothing about any sign.
    """
    starts = range(0, len(truth) - HOP * COVER // 2, HOP)
    windows = []
    for start in starts:
        shown = truth[start : start + HOP * COVER]
        counts = np.array([shown.count(sign) for sign in range(signs)], np.float32)
        rest = (len(shown) - counts.sum()) / signs
        windows.append((counts + rest) / len(shown))
    return np.stack(windows)


def find(truth: list[int], seen: list[bool] | None = None, **options) -> list[Segment]:
    hands = np.array([sign != NONE for sign in truth] if seen is None else seen)
    windows = answers(truth)
    return find_signs(windows, np.ones(len(windows)), hands, HOP, COVER, **(RULE | options))


def places(segments: list[Segment]) -> list[tuple[int, int, int]]:
    return [segment[:3] for segment in segments]


def test_signs_between_rests_are_found_from_the_first_frame_with_a_hand_to_the_last():
    truth = [NONE] * 11 + [1] * 9 + [NONE] * 12 + [2] * 8 + [NONE] * 9
    assert places(find(truth)) == [(11, 20, 1), (32, 40, 2)]


def test_signs_without_a_rest_between_them_do_not_overlap():
    truth = [0] * 12 + [1] * 12 + [2] * 12
    found = find(truth)
    assert [segment.sign for segment in found] == [0, 1, 2]
    assert all(abs(segment.start - 12 * n) <= HOP for n, segment in enumerate(found))
    assert all(one.end <= two.start for one, two in itertools.pairwise(found))


def test_the_same_sign_after_a_rest_is_another_one_and_a_lost_hand_does_not_part_it():
    truth = [1] * 10 + [NONE] * 6 + [1] * 10
    assert places(find(truth)) == [(0, 10, 1), (16, 26, 1)]
    lost = [frame not in (12, 13) for frame in range(26)]
    assert places(find([1] * 26, lost)) == [(0, 26, 1)]
    assert len(find([1] * 26, lost, gap=1)) == 2


def test_what_is_doubtful_throughout_is_no_sign():
    doubt = np.full((20, 3), 1 / 3, np.float32)
    assert find_signs(doubt, np.ones(20), np.ones(46, bool), HOP, COVER, **RULE) == []


def test_a_window_counts_by_how_probably_it_shows_a_sign_at_all():
    """Of two signs without a rest between, what lies over both names a third."""
    windows = answers([0] * 8 + [1] * 8)
    between = np.arange(len(windows)) % 4 > 0
    windows[between] = [0.1, 0.1, 0.8]
    hands, known = np.ones(16, bool), np.where(between, 0.1, 0.9)
    rule = RULE | {"threshold": 0.5}
    taken = find_signs(windows, np.ones(len(windows)), hands, HOP, COVER, **rule)
    assert 2 in [segment.sign for segment in taken]
    assert places(find_signs(windows, known, hands, HOP, COVER, **rule)) == [(0, 8, 0), (8, 16, 1)]


def test_a_sign_is_not_cut_where_it_is_doubtful_for_a_moment():
    smooth = np.array([[0.1, 0.2], [0.1, 0.4], [0.1, 0.9], [0.1, 0.35], [0.1, 0.8], [0.1, 0.2]])
    signs = most_probable(smooth, np.ones(6, bool), 0.3)
    assert runs(signs) == [(1, 5)]


def test_one_that_is_too_short_is_left_out():
    truth = [NONE] * 10 + [1] * 3 + [NONE] * 10
    assert find(truth, shortest=4, threshold=0.4) == []
    assert places(find(truth, shortest=3, threshold=0.4)) == [(10, 13, 1)]


def test_the_score_is_the_highest_smoothed_probability():
    (segment,) = find([NONE] * 10 + [2] * 20 + [NONE] * 10)
    assert segment.score == pytest.approx(1.0)
    assert merged([Segment(0, 4, 1, 0.7), Segment(5, 9, 1, 0.9)], 1) == [Segment(0, 9, 1, 0.9)]


def test_windows_without_a_hand_do_not_count():
    probabilities = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    smooth = smoothed(probabilities, np.array([1.0, 0.0, 0.0]), 2)
    np.testing.assert_allclose(smooth, [[1, 0], [1, 0], [0, 0], [0, 0]])


def test_windows_of_a_stream_hold_no_more_than_one_window():
    alive: list[weakref.ref] = []

    def stream():
        for number in range(300):
            frame = np.full((543, 3), number, np.float32)
            alive.append(weakref.ref(frame))
            yield frame

    starts, most = [], 0
    for start, window in sliding(stream(), 16, 4):
        starts.append(start)
        assert window[0, 0, 0] == start
        assert len(window) == min(16, 300 - start)
        most = max(most, sum(ref() is not None for ref in alive))
    assert starts == list(range(0, 300 - 8, 4))
    assert most <= 17


def test_what_is_shorter_than_half_a_window_is_one_window():
    assert [(start, len(clip)) for start, clip in sliding(np.zeros((3, 1, 3)), 8, 2)] == [(0, 3)]
    assert list(sliding([], 8, 2)) == []


def test_windows_without_a_hand_are_not_recognised():
    frames = np.zeros((64, 543, 3), np.float32)
    frames[:40, list(MEDIAPIPE_HOLISTIC.hands)] = np.nan
    calls = []

    def describe(clip):
        calls.append(clip)
        return {"outputs": np.array([0.2, 0.8], np.float32), "unknown": np.array([0.25])}

    seen = []
    found = list(spotting.windows(describe, frames, 8, 1, MEDIAPIPE_HOLISTIC.hands, 2, seen))
    assert len(calls) == 64 - 4 - (40 - 8 + 1)
    assert sum(seen) == 24
    assert not any(answer.probabilities.any() for answer in found[:33])
    assert {answer.known for answer in found[33:]} == {0.75}


def test_the_window_is_as_long_as_the_clips_of_the_training():
    assert spotting.trained_window({"training": {"median_frames": 21.0}}) == pytest.approx(0.7)
    for strange in ("3", -1, float("nan"), 1e300, 10**400, [3]):
        facts = {"training": {"median_frames": strange}}
        assert spotting.trained_window(facts) == spotting.WINDOW
    for facts in ({}, {"training": 3}):
        assert spotting.trained_window(facts) == spotting.WINDOW


@pytest.mark.parametrize("window", [1, 3, 16, 20, 22, 30, 64, 90])
def test_a_window_is_about_as_long_as_wanted_and_eight_lie_over_a_moment(window):
    hop, cover = steps_of(window)
    assert abs(hop * cover - window) <= max(1, 0.1 * window)
    assert window < 8 or 6 <= cover <= 12


def test_a_kinect_sees_no_hands_by_themselves():
    assert spotting.hands_of({"layout": "kinect20"}) == tuple(range(20)) == KINECT20.hands
    assert len(spotting.hands_of({})) == 42
