import numpy as np
import pytest
import yaml

from asl.clips.sources.gislr import read_clip
from asl.config.plan import choices
from asl.errors import UserError
from asl.landmarks import LANDMARK_SETS, LAYOUTS, landmark_set, layout
from asl.paths import CONF


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_mirrored_twice_is_itself(name):
    mirror = layout(name).mirror
    assert sorted(mirror) == list(range(layout(name).size))
    assert [mirror[row] for row in mirror] == list(range(layout(name).size))


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_parts_of_a_layout_are_all_its_rows(name):
    parts = layout(name).parts.values()
    assert sorted(row for part in parts for row in part) == list(range(layout(name).size))


def test_layouts_of_a_body_name_the_same_points():
    bodies = [each for each in LAYOUTS.values() if each.name != "powerglove"]
    assert len({tuple(each.reference) for each in bodies}) == 1
    assert len({tuple(each.lengths) for each in bodies}) == 1


def test_every_landmark_set_has_its_config_and_every_config_its_set():
    assert set(choices("landmarks")) - {"auto"} == set(LANDMARK_SETS)
    for name in LANDMARK_SETS:
        assert yaml.safe_load((CONF / "landmarks" / f"{name}.yaml").read_text()) == {"name": name}


@pytest.mark.parametrize("name", LANDMARK_SETS)
def test_a_set_mirrored_twice_is_itself(name):
    chosen = landmark_set(name)
    mirror = chosen.mirror
    assert [mirror[i] for i in mirror] == list(range(len(chosen.indices)))
    assert {mirror[i] for i in range(chosen.size)} == set(range(chosen.size))
    assert tuple(mirror[i] for i in chosen.left_hand) == chosen.right_hand


@pytest.mark.parametrize("name", LANDMARK_SETS)
def test_a_set_carries_every_reference_point(name):
    chosen = landmark_set(name)
    assert chosen.indices[: chosen.size] == chosen.own
    assert len(set(chosen.indices)) == len(chosen.indices)
    for rows in chosen.layout.reference.values():
        assert [chosen.indices[i] for i in chosen.positions(rows)] == list(rows)
    for pair in chosen.layout.lengths.values():
        assert len(chosen.positions(pair)) == 2


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("hands_pose", 75),
        ("hands", 42),
        ("gislr118", 118),
        ("kinect20", 20),
        ("kinect20_upper", 12),
        ("powerglove", 1),
    ],
)
def test_sizes(name, size):
    assert landmark_set(name).size == size


def test_gislr118_keeps_the_order_of_the_first_place():
    own = landmark_set("gislr118").own
    assert own[:5] == (0, 61, 185, 40, 39)
    assert own[38:42] == (324, 308, 468, 469)
    assert own[82:88] == (1, 2, 98, 327, 33, 7)
    assert own[-3:] == (385, 384, 398)


def test_an_unknown_name_is_answered_with_the_choices():
    with pytest.raises(UserError, match=r"landmarks=hand: choose from hands_pose, hands, gislr118"):
        landmark_set("hand")


def test_pairs_are_mirrored_on_a_real_face(shared_data):
    file = shared_data / "gislr_sample/train_landmark_files/22343/239181.parquet"
    points = read_clip(file).mean(axis=0)  # [543, 3]; face and pose are there throughout
    mirror = np.array(layout("mediapipe_holistic").mirror)
    face = np.arange(468)
    paired = face[mirror[face] != face]
    midline = points[[10, 152, 0, 17], :2]
    axis = midline[1] - midline[0]
    across = np.array([-axis[1], axis[0]]) / np.linalg.norm(axis)
    side = (points[:, :2] - midline.mean(axis=0)) @ across
    width = side[face].max() - side[face].min()
    assert len(paired) == 2 * (18 + 16 + 10 + 17 + 1)
    assert (side[paired] * side[mirror[paired]] < 0).all()
    assert np.abs(side[paired] + side[mirror[paired]]).max() < 0.25 * width
    eyes = [points[row, 0] for row in (33, 263)]
    assert eyes[0] < eyes[1]  # the signer's right eye, in a picture that is not mirrored
    assert points[500, 0] > points[501, 0]  # likewise the left and the right shoulder


@pytest.mark.parametrize("name", LANDMARK_SETS)
def test_parents_lead_along_bones_to_a_middle(name):
    chosen = landmark_set(name)
    bones = {*chosen.bones, *(bone[::-1] for bone in chosen.bones)}
    for position in range(chosen.size):
        path = [position]
        while chosen.parents[path[-1]] != path[-1]:
            path.append(chosen.parents[path[-1]])
            assert tuple(path[-2:]) in bones
            assert len(path) <= chosen.size, "it goes round in a circle"
        assert {*path} <= {*chosen.hops[position]}
        assert len(path) - 1 == chosen.hops[position][path[-1]], "not the shortest way"


def test_a_kinects_limbs_begin_at_the_spine():
    hand_to_middle = [8]
    while (parent := landmark_set("kinect20").parents[hand_to_middle[-1]]) != hand_to_middle[-1]:
        hand_to_middle.append(parent)
    assert hand_to_middle == [8, 6, 4, 2, 1, 10]


def test_hands_hang_on_the_poses_wrists():
    chosen = landmark_set("hands_pose")
    left, right = chosen.left_hand[0], chosen.right_hand[0]
    assert [chosen.own[chosen.parents[wrist]] for wrist in (left, right)] == [504, 505]


@pytest.mark.parametrize("name", [name for name, each in LAYOUTS.items() if each.arms])
def test_the_arms_of_a_layout_mirror_each_other(name):
    chosen = layout(name)
    first, second = chosen.arms
    assert sorted(chosen.mirror[row] for row in first) == sorted(second)
    assert not {*first, *second} & {*chosen.lengths["shoulders"]}
    for shoulder, arm in zip(chosen.lengths["shoulders"], chosen.arms, strict=True):
        assert any({shoulder, row} in map(set, chosen.bones) for row in arm), "hangs on the other"
