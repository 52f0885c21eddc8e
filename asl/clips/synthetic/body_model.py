"""A puppet that signs: joints in space, and a camera that sees them as MediaPipe would.

Space is the camera's: x to the right of the picture, y down, z away from the camera, metres, the
origin midway between the shoulders. The puppet faces the camera, so its right hand, the one that
signs, is on the left of the picture. Sizes are those of an average grown-up, to the centimetre.
"""

import numpy as np

from asl.landmarks import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIP_LINES,
    LIPS,
    MEDIAPIPE_HOLISTIC,
    NOSE,
    RIGHT_BROW,
    RIGHT_EYE,
)

SHOULDER = np.array([-0.18, 0.0, 0.0])
HEAD = np.array([0.0, -0.22, -0.04])
HEAD_RADII = np.array([0.075, 0.11, 0.08])
REST = np.array([-0.24, 0.48, -0.02])
_UPPER_ARM, _FOREARM = 0.28, 0.25

# Index, middle, ring, little finger: knuckle on the palm (x towards the thumb, y towards the
# fingertips), and the lengths of the three bones beyond it.
_KNUCKLES = np.array([[0.025, 0.09], [0.003, 0.095], [-0.018, 0.09], [-0.036, 0.08]])
_PHALANGES = np.array(
    [[0.045, 0.025, 0.02], [0.05, 0.03, 0.022], [0.045, 0.028, 0.02], [0.035, 0.02, 0.018]]
)
_SPREAD = np.array([0.2, 0.03, -0.14, -0.32])
_BEND = np.array([1.3, 1.7, 1.1])  # radians at the three joints of a closed finger


def hand(curls: np.ndarray) -> np.ndarray:
    """A right hand from how far each finger is bent.

    Args:
        curls: [T, 6]: thumb, index, middle, ring, little finger from 0 (straight) to 1 (closed),
            and how far the fingers are spread.

    Returns:
        [T, 21, 3] in MediaPipe's order, metres from the wrist: x towards the thumb, y towards the
        fingertips, z out of the palm.
    """
    points = np.zeros((len(curls), 21, 3))
    points[:, 1:5] = _thumb(curls[:, 0])
    for finger in range(4):
        curl, aside = curls[:, finger + 1], _SPREAD[finger] * curls[:, 5]
        at = np.broadcast_to(np.append(_KNUCKLES[finger], 0.0), (len(curls), 3)).copy()
        points[:, 5 + 4 * finger] = at
        bend = np.zeros(len(curls))
        for bone in range(3):
            bend = bend + _BEND[bone] * curl
            ahead = np.cos(bend)
            step = np.stack([ahead * np.sin(aside), ahead * np.cos(aside), np.sin(bend)], axis=1)
            at = at + _PHALANGES[finger, bone] * step
            points[:, 6 + 4 * finger + bone] = at
    return points


def _thumb(curl: np.ndarray) -> np.ndarray:
    """Its four points [T, 4, 3]: out to the side when straight, across the palm when closed."""
    at = np.broadcast_to([0.025, 0.025, 0.005], (len(curl), 3))
    points = [at]
    for bone, length in enumerate((0.042, 0.034, 0.028)):
        turn = 0.75 - (1.0 + 0.5 * bone) * curl
        step = np.stack([np.sin(turn), np.cos(turn), 0.25 + 0.6 * curl], axis=1)
        at = at + length * step / np.linalg.norm(step, axis=1, keepdims=True)
        points.append(at)
    return np.stack(points, axis=1)


def frame_of(fingers: np.ndarray, palm: np.ndarray) -> np.ndarray:
    """The rotation that points a right hand's fingers one way and its palm another, [3, 3]."""
    y = fingers / np.linalg.norm(fingers)
    z = palm - y * (palm @ y)
    z = z / np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], axis=1)


def turned(vectors: np.ndarray) -> np.ndarray:
    """Rotations about axes by their lengths in radians, [..., 3] -> [..., 3, 3] (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle[..., 0], 1e-12), -1, 0)
    nil = np.zeros_like(x)
    cross = np.stack([nil, -z, y, z, nil, -x, -y, x, nil], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def elbow(wrist: np.ndarray, arm: float) -> tuple[np.ndarray, np.ndarray]:
    """Where the right elbow is, hanging down and out, and the wrist within the arm's reach.

    Args:
        wrist: [T, 3] where it should be.
        arm: length of the arm, 1 = average.
    """
    upper, fore = _UPPER_ARM * arm, _FOREARM * arm
    reach = wrist - SHOULDER
    far = np.linalg.norm(reach, axis=1, keepdims=True)
    axis = reach / np.maximum(far, 1e-6)
    far = np.clip(far, abs(upper - fore) + 0.02, 0.995 * (upper + fore))
    along = (upper**2 - fore**2 + far**2) / (2 * far)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    pole = np.array([-0.5, 1.0, 0.25])
    pole = pole - axis * (axis @ pole)[:, None]
    pole = pole / np.maximum(np.linalg.norm(pole, axis=1, keepdims=True), 1e-6)
    return SHOULDER + axis * along + pole * aside, SHOULDER + axis * far


def body(
    elbows: np.ndarray, wrists: np.ndarray, hands: np.ndarray, mouth: np.ndarray, head: float
) -> np.ndarray:
    """All landmarks in space.

    Args:
        elbows: [T, 2, 3], right then left; left ones in the right arm's own space, to be mirrored.
        wrists: [T, 2, 3] likewise.
        hands: [T, 2, 21, 3] likewise.
        mouth: how far it is open, [T].
        head: size of the head, 1 = average.

    Returns:
        [T, 543, 3].
    """
    parts = MEDIAPIPE_HOLISTIC.parts
    space = np.empty((len(wrists), MEDIAPIPE_HOLISTIC.size, 3))
    space[:, parts["face"]] = _face(mouth, head)
    space[:, parts["right_hand"]] = hands[:, 0]
    space[:, parts["left_hand"]] = hands[:, 1] * _ACROSS
    space[:, parts["pose"]] = _pose(elbows, wrists, hands, head)
    return space


_ACROSS = np.array([-1.0, 1.0, 1.0])


def _pose(elbows: np.ndarray, wrists: np.ndarray, hands: np.ndarray, head: float) -> np.ndarray:
    right = np.empty((len(wrists), 33, 3))
    right[:, :] = _POSE
    right[:, :11] = HEAD + (_POSE[:11] - HEAD) * head
    left = right.copy()
    for side, points in ((0, right), (1, left)):
        points[:, 14], points[:, 16] = elbows[:, side], wrists[:, side]
        points[:, (18, 20, 22)] = hands[:, side][:, (17, 5, 2)]
    mirror = np.array(MEDIAPIPE_HOLISTIC.mirror[489:522]) - 489
    theirs = np.array([1, 2, 3, 7, 9, *range(11, 33, 2)])
    right[:, theirs] = (left * _ACROSS)[:, mirror[theirs]]
    return right


def _pose_points() -> np.ndarray:
    """The right side and the midline of a standing body, [33, 3]; arms are left at the origin."""
    points = np.zeros((33, 3))
    points[0] = [0.0, -0.22, -0.13]
    points[[4, 5, 6]] = [[-0.02, -0.26, -0.1], [-0.033, -0.26, -0.1], [-0.046, -0.26, -0.09]]
    points[8], points[10] = [-0.075, -0.24, -0.03], [-0.025, -0.165, -0.11]
    points[12], points[24] = SHOULDER, [-0.12, 0.5, 0.0]
    points[26], points[28] = [-0.12, 0.92, 0.0], [-0.12, 1.32, 0.05]
    points[30], points[32] = [-0.12, 1.36, 0.1], [-0.14, 1.4, -0.1]
    return points


def _face_points() -> np.ndarray:
    """A rough face mesh [468, 3] round its middle, half a head high and wide: -1 to 1."""
    spot = np.arange(468)  # points that no list names: spread evenly over the face
    radius, angle = np.sqrt((spot + 0.5) / 468) * 0.92, spot * np.pi * (3 - 5**0.5)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    round_face = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False)
    points[list(FACE_OVAL)] = np.stack([np.sin(round_face), -np.cos(round_face)], axis=1)
    side = np.array([-1.0, 1.0])
    for ids, brow, way in zip((RIGHT_EYE, LEFT_EYE), (RIGHT_BROW, LEFT_BROW), side, strict=True):
        across = np.concatenate([np.linspace(0.62, 0.24, 9), np.linspace(0.58, 0.28, 7)])
        open_ = np.concatenate(
            [np.sin(np.linspace(0, np.pi, 9)), -np.sin(np.linspace(0.3, 2.84, 7))]
        )
        points[list(ids)] = np.stack([way * across, -0.35 + 0.06 * open_], axis=1)
        arch = np.tile(np.linspace(0.72, 0.2, 5), 2)
        lift = np.repeat([-0.62, -0.55], 5) - 0.05 * np.tile(np.sin(np.linspace(0, np.pi, 5)), 2)
        points[list(brow)] = np.stack([way * arch, lift], axis=1)
    points[list(NOSE)] = [[0.0, 0.08], [0.0, 0.16], [-0.16, 0.14], [0.16, 0.14]]
    points[list(LIPS)] = _lip_points()
    depth = -np.sqrt(np.maximum(0.0, 1.0 - (points**2).sum(axis=1)))
    depth[list(NOSE)] -= 0.35
    return np.column_stack([points, depth])


def _lip_points() -> np.ndarray:
    """A closed mouth [40, 2] in the order of LIPS."""
    places = {}
    for ids, wide, high in zip(
        LIP_LINES, (0.36, 0.36, 0.3, 0.3), (-0.07, 0.1, -0.01, 0.01), strict=True
    ):
        for step, point in enumerate(ids):
            places[point] = (wide * (step / 5 - 1), 0.5 + high * np.sin(np.pi * step / 10))
    return np.array([places[point] for point in LIPS])


_POSE = _pose_points()
_FACE_MESH = _face_points()


def _face(mouth: np.ndarray, head: float) -> np.ndarray:
    points = np.repeat(_FACE_MESH[None], len(mouth), axis=0)
    lower = _FACE_MESH[:, 1] > 0.5
    points[:, lower, 1] += 0.12 * mouth[:, None] * (1.0 - _FACE_MESH[lower, 1])
    return HEAD + points * HEAD_RADII * head


def seen(
    space: np.ndarray, turn: np.ndarray, shift: np.ndarray, distance: float, zoom: float
) -> np.ndarray:
    """What a camera sees, in MediaPipe's units.

    Args:
        space: [T, 543, 3], metres.
        turn: how the camera is slanted, a rotation vector in radians.
        shift: where in the picture the shoulders' middle lies, off the picture's middle.
        distance: of the camera, metres.
        zoom: width of the picture a metre at the shoulders has.

    Returns:
        [T, 543, 3]: x and y in widths and heights of a 3:4 picture; z in widths, counted from the
        head's middle for the face, the wrist for a hand and the hips for the pose.
    """
    looked = space @ turned(turn).T
    scale = zoom * distance / (distance + looked[..., 2])
    x = 0.5 + shift[0] + looked[..., 0] * scale
    y = 0.45 + shift[1] + looked[..., 1] * scale * 0.75
    z = looked[..., 2] * zoom
    parts = MEDIAPIPE_HOLISTIC.parts
    origins = {
        "face": z[:, parts["face"]].mean(axis=1),
        "left_hand": z[:, 468],
        "right_hand": z[:, 522],
        "pose": z[:, (512, 513)].mean(axis=1),
    }
    for part, origin in origins.items():
        z[:, parts[part]] -= origin[:, None]
    return np.stack([x, y, z], axis=-1)
