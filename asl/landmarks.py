"""Where each landmark is: layouts, subsets that a recognizer looks at, mirror pairs, bones.

A *raw row* is a position on the landmark axis of a layout's clips, `[frames, layout.size, C]`. The
C channels are a landmark's x, y and z, and whatever else a sensor measures there: a glove's bends.
MediaPipe's left and right are the signer's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product

from asl.errors import check_choice


@dataclass(frozen=True)
class Layout:
    """The landmark axis of one kind of recording.

    Attributes:
        name: as configs and stores name it.
        size: number of landmarks a frame.
        parts: the part of the body (GISLR's `type`) to its raw rows.
        mirror: the raw row of the same point on the other side of the body, one for every row;
            points on the midline, and points without a known partner, map to themselves.
        reference: named points to centre a clip on (their mean, where there are several). Layouts
            that show a body have the same names; others have none.
        lengths: named pairs of reference points whose distance measures a body, likewise.
        bones: pairs of raw rows to draw a line between.
        y_up: whether y grows upwards, as in space, and not downwards, as in pictures.
        skeleton: of each joint, the joint before it on the way from the root and an adult's metres
            between them, from the root outwards; empty where no lengths in space are measured.
        distance_pairs: pairs of raw rows whose distance says where a hand is or what it does.
        arms: of each of the two shoulders, in the order of `lengths`, the rows of its arm beyond
            the shoulder, hand included.
        measured: names of the channels after x, y and z: what is measured at each landmark and is
            no coordinate. Nothing moves, turns or resizes them; they are scaled by the statistics
            of training clips.
    """

    name: str
    size: int
    parts: dict[str, range]
    mirror: tuple[int, ...]
    reference: dict[str, tuple[int, ...]]
    lengths: dict[str, tuple[int, int]]
    bones: tuple[tuple[int, int], ...]
    y_up: bool = False
    skeleton: dict[int, tuple[int, float]] = field(default_factory=dict)
    distance_pairs: tuple[tuple[int, int], ...] = ()
    arms: tuple[tuple[int, ...], ...] = ()
    measured: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of a landmark's numbers in a clip, in their order."""
        return ("x", "y", "z", *self.measured)

    @property
    def hands(self) -> tuple[int, ...]:
        """The raw rows of the hands; all rows where no part of the layout is a hand by itself."""
        parts = (self.parts.get(name, ()) for name in ("left_hand", "right_hand"))
        return tuple(row for rows in parts for row in rows) or tuple(range(self.size))

    @property
    def has_sides(self) -> bool:
        """Whether any landmark has a partner on the other side of the body."""
        return any(row != partner for row, partner in enumerate(self.mirror))


@dataclass(frozen=True)
class LandmarkSet:
    """Some landmarks of a layout.

    Attributes:
        name: as `conf/landmarks` names it.
        layout: the layout that the rows belong to.
        own: the raw rows that a recognizer sees, in the order in which it sees them.
    """

    name: str
    layout: Layout
    own: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many landmarks the set has, the reference points it lacks not counted."""
        return len(self.own)

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """The raw rows to load: the set's own, then the layout's reference points it lacks."""
        points = sorted({row for rows in self.layout.reference.values() for row in rows})
        return self.own + tuple(row for row in points if row not in self.own)

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """For each position in `indices`, the position of the point on the other side."""
        return self.positions(self.layout.mirror[row] for row in self.indices)

    @cached_property
    def left_hand(self) -> tuple[int, ...]:
        """Positions of the left hand's landmarks; empty where the layout has no hands."""
        return self._own_positions(self.layout.parts.get("left_hand", ()))

    @cached_property
    def right_hand(self) -> tuple[int, ...]:
        """Positions of the right hand's landmarks; empty where the layout has no hands."""
        return self._own_positions(self.layout.parts.get("right_hand", ()))

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs of positions to draw a line between."""
        return self._own_pairs(self.layout.bones)

    @cached_property
    def hops(self) -> tuple[dict[int, int], ...]:
        """For each of the set's own positions, how many bones away those are that it reaches."""
        neighbours: list[list[int]] = [[] for _ in self.own]
        for a, b in self.bones:
            neighbours[a].append(b)
            neighbours[b].append(a)
        return tuple(_reached(position, neighbours) for position in range(self.size))

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """For each of the set's own positions, the next one along the bones towards the middle.

        The middle is the position from which the farthest that it reaches is nearest, the first of
        several. It stands for itself, as does a position without bones.
        """
        return tuple(self._parent(position) for position in range(self.size))

    @cached_property
    def distance_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of positions whose distance says where a hand is or what it does."""
        return self._own_pairs(self.layout.distance_pairs)

    def positions(self, raw: Iterable[int]) -> tuple[int, ...]:
        """Where raw rows lie inside `indices`.

        Raises:
            ValueError: a row is not among `indices`.
        """
        return tuple(self.indices.index(row) for row in raw)

    def _parent(self, position: int) -> int:
        reached = self.hops[position]
        middle = min(reached, key=lambda each: (max(self.hops[each].values()), each))
        neighbours = (each for each, bones in reached.items() if bones <= 1)
        return min(neighbours, key=lambda each: (self.hops[middle][each], each))

    def _own_pairs(self, pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        place = {row: position for position, row in enumerate(self.own)}
        return tuple((place[a], place[b]) for a, b in pairs if a in place and b in place)

    def _own_positions(self, rows: Iterable[int]) -> tuple[int, ...]:
        return tuple(self.own.index(row) for row in rows if row in self.own)


def layout(name: str) -> Layout:
    """The layout of that name.

    Raises:
        UserError: there is none.
    """
    check_choice("layout", name, LAYOUTS)
    return LAYOUTS[name]


def landmark_set(name: str) -> LandmarkSet:
    """The landmark set of that name.

    Raises:
        UserError: there is none.
    """
    check_choice("landmarks", name, LANDMARK_SETS)
    return LANDMARK_SETS[name]


def _mirror(size: int, pairs: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    rows = list(range(size))
    for left, right in pairs:
        rows[left], rows[right] = right, left
    return tuple(rows)


def _reached(start: int, neighbours: Sequence[Sequence[int]]) -> dict[int, int]:
    """How many bones away each position is that bones lead to, the start included."""
    bones = {start: 0}
    waiting = [start]
    for position in waiting:  # which grows
        new = [each for each in neighbours[position] if each not in bones]
        bones.update(dict.fromkeys(new, bones[position] + 1))
        waiting += dict.fromkeys(new)
    return bones


def _chain(rows: Sequence[int]) -> list[tuple[int, int]]:
    return list(pairwise(rows))


def _shifted(pairs: Iterable[tuple[int, int]], offset: int) -> list[tuple[int, int]]:
    return [(a + offset, b + offset) for a, b in pairs]


# --- MediaPipe Holistic -------------------------------------------------------------------------
# Row order: the GISLR competition's files. Face mesh ids: MediaPipe's FACEMESH_* connection sets;
# the selection and order of lips, nose and eyes is the competition's winning solution's.

_FACE, _LEFT_HAND = range(468), range(468, 489)
_POSE, _RIGHT_HAND = range(489, 522), range(522, 543)

# Each line around the mouth runs from the signer's right corner to the left one.
_LIP_OUTER_TOP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_LIP_OUTER_BOTTOM = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_LIP_INNER_TOP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_LIP_INNER_BOTTOM = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIP_LINES = (_LIP_OUTER_TOP, _LIP_OUTER_BOTTOM, _LIP_INNER_TOP, _LIP_INNER_BOTTOM)
LIPS = (
    0,
    *(row for row in _LIP_OUTER_TOP if row != 0),
    *_LIP_OUTER_BOTTOM[1:-1],
    *_LIP_INNER_TOP[:-1],
    *_LIP_INNER_BOTTOM[1:],
)

# Bottom lid from the outer to the inner corner, then top lid from the outer one, eye by eye.
RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398)
RIGHT_BROW = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
LEFT_BROW = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
NOSE = (1, 2, 98, 327)
# From the top of the forehead down to the chin.
_RIGHT_OVAL = (109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148)
_LEFT_OVAL = (338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
FACE_OVAL = (10, *_LEFT_OVAL, 152, *reversed(_RIGHT_OVAL))

_FACE_PAIRS = [
    *((line[i], line[-1 - i]) for line in LIP_LINES for i in range(5)),
    *zip(RIGHT_EYE, LEFT_EYE, strict=True),
    *zip(RIGHT_BROW, LEFT_BROW, strict=True),
    *zip(_RIGHT_OVAL, _LEFT_OVAL, strict=True),
    (98, 327),
]
# MediaPipe pose: 1-6 eyes (inner, middle, outer of the left, then of the right), 7/8 ears,
# 9/10 mouth, and from 11 on left and right take turns.
_POSE_PAIRS = [(1, 4), (2, 5), (3, 6), *((i, i + 1) for i in range(7, 33, 2))]

_FINGERS = [
    (0, 1, 2, 3, 4),
    (0, 5, 6, 7, 8),
    (0, 17, 18, 19, 20),
    (9, 10, 11, 12),
    (13, 14, 15, 16),
]
HAND_BONES = [bone for finger in _FINGERS for bone in _chain(finger)] + _chain((5, 9, 13, 17))
_POSE_BONES = [
    *_chain((8, 6, 5, 4, 0, 1, 2, 3, 7)),
    *_chain((9, 10)),
    *_chain((15, 13, 11, 12, 14, 16)),
    *_chain((11, 23, 24, 12)),
    *_chain((23, 25, 27)),
    *_chain((24, 26, 28)),
]
# The pose's wrists are the hands' own: 15 and 16 of the pose, 0 of each hand.
_WRISTS = [(_POSE[15], _LEFT_HAND[0]), (_POSE[16], _RIGHT_HAND[0])]
_FACE_BONES = [
    *(bone for line in LIP_LINES for bone in _chain(line)),
    *(b for eye in (RIGHT_EYE, LEFT_EYE) for lid in (eye[:9], eye[9:]) for b in _chain(lid)),
    *_chain((*FACE_OVAL, FACE_OVAL[0])),
]

# Wrist, thumb, index and middle finger; mouth, nose, eyes (of the face mesh, and of the pose), ears
# and shoulders. Then fingertips to the thumb and to the wrist: the shape of a hand.
_TIPS = (0, 4, 8, 12)
_PLACES = (0, 1, 33, 263, 489, 491, 494, 496, 497, 498, 499, 500, 501)
_SHAPE = [*((4, tip) for tip in (8, 12, 16, 20)), *((0, tip) for tip in (4, 8, 12, 16, 20))]
_DISTANCE_PAIRS = (
    *product((_LEFT_HAND[tip] for tip in _TIPS), _PLACES),
    *product((_RIGHT_HAND[tip] for tip in _TIPS), _PLACES),
    *((_LEFT_HAND[a], _RIGHT_HAND[b]) for a, b in product(_TIPS, _TIPS)),
    *_shifted(_SHAPE, _LEFT_HAND.start),
    *_shifted(_SHAPE, _RIGHT_HAND.start),
)

MEDIAPIPE_HOLISTIC = Layout(
    name="mediapipe_holistic",
    size=543,
    parts={
        "face": _FACE,
        "left_hand": _LEFT_HAND,
        "pose": _POSE,
        "right_hand": _RIGHT_HAND,
    },
    mirror=_mirror(
        543,
        [
            *_FACE_PAIRS,
            *_shifted(_POSE_PAIRS, _POSE.start),
            *zip(_LEFT_HAND, _RIGHT_HAND, strict=True),
        ],
    ),
    distance_pairs=_DISTANCE_PAIRS,
    reference={"shoulders": (500, 501), "nose": (489,), "lip": (17,), "hips": (512, 513)},
    lengths={"shoulders": (500, 501), "trunk": (500, 512)},
    bones=(
        *_FACE_BONES,
        *_shifted(HAND_BONES, _LEFT_HAND.start),
        *_shifted(_POSE_BONES, _POSE.start),
        *_shifted(HAND_BONES, _RIGHT_HAND.start),
        *_WRISTS,
    ),
    arms=(
        (*_POSE[13:23:2], *_LEFT_HAND),
        (*_POSE[14:23:2], *_RIGHT_HAND),
    ),
)

# --- Kinect -------------------------------------------------------------------------------------
# The published arrays do not name their joints; the order was read off the mean coordinates:
# 0 head, 1 shoulder centre, 2/3 shoulders, 4/5 elbows, 6/7 wrists, 8/9 hands, 10 spine,
# 11 hip centre, 12/13 hips, 14/15 knees, 16/17 ankles, 18/19 feet.

KINECT20 = Layout(
    name="kinect20",
    size=20,
    parts={"body": range(20)},
    mirror=_mirror(20, [(2, 3), (4, 5), (6, 7), (8, 9), (12, 13), (14, 15), (16, 17), (18, 19)]),
    # A Kinect sees no face: the head joint stands in for nose and lip.
    reference={"shoulders": (2, 3), "nose": (0,), "lip": (0,), "hips": (12, 13)},
    lengths={"shoulders": (2, 3), "trunk": (2, 12)},
    bones=(
        *_chain((0, 1, 10, 11)),
        *_chain((8, 6, 4, 2, 1, 3, 5, 7, 9)),
        *_chain((18, 16, 14, 12, 11, 13, 15, 17, 19)),
    ),
    y_up=True,
    distance_pairs=(*product((6, 7, 8, 9), (0, 1, 2, 3, 10, 11)), (8, 9)),
    arms=((4, 6, 8), (5, 7, 9)),
    # Round figures of an adult as a Kinect sees one: its shoulders are closer, its hands end at the
    # palm.
    skeleton={
        **{0: (1, 0.22), 2: (1, 0.17), 3: (1, 0.17), 10: (1, 0.35), 11: (10, 0.08)},
        **{4: (2, 0.27), 6: (4, 0.24), 8: (6, 0.08), 5: (3, 0.27), 7: (5, 0.24), 9: (7, 0.08)},
        **{12: (11, 0.08), 14: (12, 0.42), 16: (14, 0.40), 18: (16, 0.10)},
        **{13: (11, 0.08), 15: (13, 0.42), 17: (15, 0.40), 19: (17, 0.10)},
    },
)

# --- Mattel Power Glove -------------------------------------------------------------------------
# One hand: where it is, how it is rolled, and how far four fingers are bent. The glove does not
# measure the little finger, nor pitch and yaw.

POWERGLOVE = Layout(
    name="powerglove",
    size=1,
    parts={"hand": range(1)},
    mirror=(0,),
    reference={},
    lengths={},
    bones=(),
    y_up=True,
    measured=("roll", "thumb", "fore", "middle", "ring"),
)

LAYOUTS = {each.name: each for each in (MEDIAPIPE_HOLISTIC, KINECT20, POWERGLOVE)}

LANDMARK_SETS = {
    each.name: each
    for each in (
        LandmarkSet("hands_pose", MEDIAPIPE_HOLISTIC, (*_LEFT_HAND, *_POSE, *_RIGHT_HAND)),
        LandmarkSet("hands", MEDIAPIPE_HOLISTIC, (*_LEFT_HAND, *_RIGHT_HAND)),
        LandmarkSet(
            "gislr118",
            MEDIAPIPE_HOLISTIC,
            (*LIPS, *_LEFT_HAND, *_RIGHT_HAND, *NOSE, *RIGHT_EYE, *LEFT_EYE),
        ),
        LandmarkSet("kinect20", KINECT20, tuple(range(20))),
        LandmarkSet("kinect20_upper", KINECT20, tuple(range(12))),
        LandmarkSet("powerglove", POWERGLOVE, (0,)),
    )
}
