"""Regions, anchors and smoothing: what each must do whatever the model says."""

import math

import numpy as np
import pytest

pytest.importorskip("cv2")

from asl.video import detection, regions
from asl.video.regions import Region, Tolerance, tracked
from asl.video.smoothing import LowPass, OneEuro


def test_the_whole_picture_is_cropped_unchanged_with_black_borders():
    picture = np.random.default_rng(0).integers(1, 255, (32, 64, 3), dtype=np.uint8)
    shown = regions.crop(picture, regions.whole(64, 32), 64, replicate=False)
    np.testing.assert_array_equal(shown[16:48], picture)
    assert not shown[:16].any()
    assert not shown[48:].any()


@pytest.mark.parametrize("angle", [0, 0.4, -2.5])
def test_a_point_seen_in_a_crop_is_found_in_the_picture(angle):
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[90:93, 140:143] = 255  # its middle is 141, 91
    region = Region(150, 100, 80, angle)
    shown = regions.crop(picture, region, 160, replicate=True)[..., 0]
    rows, columns = np.nonzero(shown > 128)
    seen = np.array([[columns.mean(), rows.mean()]]) / 160
    np.testing.assert_allclose(regions.to_picture(seen, region), [[141, 91]], atol=0.5)


def test_an_upright_vector_needs_no_turn():
    below, above = np.array([5.0, 9.0]), np.array([5.0, 2.0])
    assert regions.turn(below, above, 90) == pytest.approx(0)
    assert regions.turn(np.array([5.0, 5.0]), np.array([9.0, 5.0]), 90) == pytest.approx(
        math.pi / 2
    )


def test_a_region_is_shifted_along_its_own_axis():
    upright = regions.around((10, 20, 4, 8), 0, 2, -0.5)
    assert upright == Region(10, 16, 16, 0)
    turned = regions.around((10, 20, 4, 8), math.pi / 2, 2, -0.5)
    assert (turned.x, turned.y) == pytest.approx((14, 20))


STEADY = Tolerance(degrees=40, move=0.2, scale=0.4, margin=-0.1)
POINTS = np.array([[90.0, 90.0], [110.0, 110.0]])


@pytest.mark.parametrize(
    ("new", "kept"),
    [
        (Region(102, 100, 50), True),
        (Region(115, 100, 50), False),  # moved by more than .2 of its size
        (Region(100, 100, 30), False),  # the landmarks of before lie beyond .9 of it
        (Region(100, 100, 90), False),  # grown
        (Region(100, 100, 50, math.radians(60)), False),
        (Region(100, 100, 50, math.radians(-30)), True),
    ],
)
def test_tracking_goes_on_while_little_moves(new, kept):
    before = Region(100, 100, 50)
    assert tracked(before, POINTS, new, STEADY) == (before if kept else new)
    assert tracked(None, None, new, STEADY) == new


def test_the_detectors_have_their_anchors():
    pose = detection.anchors(224, (8, 16, 32, 32, 32))
    assert pose.shape == (2254, 2)
    np.testing.assert_allclose(pose[[0, 1, 2]], [[1 / 56] * 2, [1 / 56] * 2, [3 / 56, 1 / 56]])
    assert detection.anchors(128, (8, 16, 16, 16)).shape == (896, 2)


def test_overlapping_detections_are_averaged_by_their_scores():
    centres = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.1], [0.5, 0.5]])
    boxes = np.zeros((4, 6))
    boxes[:, 2:4] = 50
    boxes[:, 4] = [0, 10, 0, 90]
    logits = np.array([3.0, 1.0, 2.0, -1.0])  # the third lies elsewhere, the last is unsure
    found = detection.keypoints(boxes, logits, centres, 100)
    first, second = (1 / (1 + math.exp(-logit)) for logit in logits[:2])
    np.testing.assert_allclose(found, [[0.5 + 0.1 * second / (first + second), 0.5]])
    assert detection.keypoints(boxes, np.full(4, -1.0), centres, 100) is None


def test_smoothing_calms_what_stands_and_follows_what_moves():
    smooth = OneEuro(0.05, 80)
    first = smooth(np.array([100.0]), 200)
    trembling = smooth(np.array([100.5]), 200)
    assert first == 100
    assert 100 < trembling < 100.4
    moving = [smooth(np.array([100.0 + 20 * step]), 200)[0] for step in range(1, 8)]
    assert moving[-1] > 235
    low = LowPass(0.1)
    assert low(np.array([1.0])) == 1
    assert low(np.array([0.0])) == pytest.approx(0.9)
