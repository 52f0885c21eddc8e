"""A kinematic body model: arm poses become landmarks in space, then in a camera's picture.

Space is the camera's: x to the right of the picture, y down, z away from the camera, metres, the
origin midway between the shoulders. The signer faces the camera, so the right arm is on the left
of the picture. Left arms are posed as right ones and mirrored. Sizes are an average adult's, to
the centimetre.
"""

from typing import NamedTuple

import numpy as np

from asl import landmarks

SHOULDER = np.array([-0.18, 0.0, 0.0])
HEAD = np.array([0.0, -0.22, -0.04])
MIRROR = np.array([-1.0, 1.0, 1.0])
_UPPER_ARM, _FOREARM, _PALM = 0.28, 0.25, 0.08

# Index, middle, ring, little finger: knuckle on the palm (x towards the thumb, y towards the
# fingertips), and the lengths of the three bones beyond it.
_KNUCKLES = np.array([[0.025, 0.09], [0.003, 0.095], [-0.018, 0.09], [-0.036, 0.08]])
_PHALANGES = np.array(
    [[0.045, 0.025, 0.02], [0.05, 0.03, 0.022], [0.045, 0.028, 0.02], [0.035, 0.02, 0.018]]
)
_SPREAD = np.array([0.2, 0.03, -0.14, -0.32])  # radians to the side at spread 1
_BEND = np.array([1.3, 1.7, 1.1])  # radians at the three joints of a closed finger

_LAYOUT = landmarks.MEDIAPIPE_HOLISTIC
_PARTS = _LAYOUT.parts
_DEPTH_ORIGINS = {  # rows whose mean z MediaPipe subtracts: the whole face, the wrist, the hips
    "face": list(_PARTS["face"]),
    "left_hand": [_PARTS["left_hand"][0]],
    "pose": [_PARTS["pose"][23], _PARTS["pose"][24]],
    "right_hand": [_PARTS["right_hand"][0]],
}


class Pose(NamedTuple):
    """A right hand over T frames, or in one that broadcasts to them."""

    palm: np.ndarray  # [T, 3], the middle of the palm, metres
    rotation: np.ndarray  # [T, 3, 3], from the hand's axes (see `hand`) to space
    # [T, 6]: thumb, index, middle, ring, little finger from 0 (straight) to 1 (closed), and how
    # far the fingers are spread.
    curls: np.ndarray


class Camera(NamedTuple):
    """Where a picture is taken from."""

    turn: np.ndarray  # a rotation vector, radians
    shift: np.ndarray  # [2], of the shoulders' middle off the picture's, in widths and heights
    distance: float  # metres
    zoom: float  # widths of the picture that a metre takes at the shoulders

    def picture(self, space: np.ndarray) -> np.ndarray:
        """Landmarks [T, 543, 3] in space (metres) as MediaPipe gives them.

        x and y are in widths and heights of a 3:4 picture; z in widths, relative to the middle of
        the head for the face, the wrist for a hand and the hips for the pose.
        """
        x, y, z = np.moveaxis(space @ rotations(self.turn).T, -1, 0)  # [T, 543] each
        scale = self.zoom * self.distance / (self.distance + z)
        x = 0.5 + self.shift[0] + x * scale
        y = 0.45 + self.shift[1] + 0.75 * y * scale
        z = z * self.zoom
        for part, origin in _DEPTH_ORIGINS.items():
            z[:, _PARTS[part]] -= z[:, origin].mean(axis=1, keepdims=True)
        return np.stack([x, y, z], axis=-1)


def rotations(vectors: np.ndarray) -> np.ndarray:
    """Rotation vectors (radians) as matrices, [..., 3] -> [..., 3, 3], by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors / np.maximum(angle[..., 0], 1e-12), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)


def orientation(fingers: np.ndarray, palm: np.ndarray) -> np.ndarray:
    """The rotation [3, 3] of a right hand whose fingers and palm face the given directions."""
    y = fingers / np.linalg.norm(fingers)
    z = palm - y * (palm @ y)
    z = z / np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], axis=1)


def blend(start: Pose, end: Pose, share: np.ndarray) -> Pose:
    """From `start` (share 0) to `end` (share 1), slow at both; share: [T]."""
    share = share * share * (3 - 2 * share)
    one, two = share[:, None], share[:, None, None]
    left, _, right = np.linalg.svd(start.rotation + two * (end.rotation - start.rotation))
    return Pose(
        start.palm + one * (end.palm - start.palm),
        left @ right,  # the rotation nearest to the mixture
        start.curls + one * (end.curls - start.curls),
    )


def hand(curls: np.ndarray) -> np.ndarray:
    """A right hand [T, 21, 3] from its curls [T, 6] (see `Pose`).

    In MediaPipe's order, metres from the wrist: x towards the thumb, y towards the fingertips, z
    out of the palm.
    """
    points = np.zeros((len(curls), 21, 3))
    points[:, 1:5] = _thumb(curls[:, 0])
    for finger in range(4):
        bend = np.cumsum(curls[:, finger + 1, None] * _BEND, axis=1)  # [T, bones]
        side = (_SPREAD[finger] * curls[:, 5])[:, None]
        ahead = np.cos(bend)
        bones = np.stack([ahead * np.sin(side), ahead * np.cos(side), np.sin(bend)], axis=-1)
        knuckle = np.append(_KNUCKLES[finger], 0.0)
        first = 5 + 4 * finger
        points[:, first] = knuckle
        points[:, first + 1 : first + 4] = knuckle + np.cumsum(
            _PHALANGES[finger, :, None] * bones, axis=1
        )
    return points


def _thumb(curl: np.ndarray) -> np.ndarray:
    """Four points [T, 4, 3]: out to the side when straight, across the palm when closed."""
    base = np.broadcast_to([0.025, 0.025, 0.005], (len(curl), 1, 3))
    turn = 0.75 - curl[:, None] * np.array([1.0, 1.5, 2.0])  # [T, bones]
    out = np.broadcast_to(0.25 + 0.6 * curl[:, None], turn.shape)
    bones = np.stack([np.sin(turn), np.cos(turn), out], axis=-1)
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    lengths = np.array([0.042, 0.034, 0.028])[:, None]
    return np.concatenate([base, base + np.cumsum(lengths * bones, axis=1)], axis=1)


def arm(pose: Pose, arm_size: float, hand_size: float) -> np.ndarray:
    """A right arm [T, 22, 3]: its elbow, then the hand, the wrist first.

    The wrist stays within the arm's reach; the elbow points down and outwards.
    """
    upper, fore = _UPPER_ARM * arm_size, _FOREARM * arm_size
    reach = pose.palm - pose.rotation @ np.array([0.0, _PALM * hand_size, 0.0]) - SHOULDER
    length = np.linalg.norm(reach, axis=1, keepdims=True)
    axis = reach / np.maximum(length, 1e-6)
    length = np.clip(length, abs(upper - fore) + 0.02, 0.995 * (upper + fore))
    along = (upper**2 - fore**2 + length**2) / (2 * length)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    pole = np.array([-0.5, 1.0, 0.25])
    pole = pole - axis * (axis @ pole)[:, None]
    pole = pole / np.maximum(np.linalg.norm(pole, axis=1, keepdims=True), 1e-6)
    elbow, wrist = SHOULDER + axis * along + pole * aside, SHOULDER + axis * length
    points = hand(pose.curls) * hand_size @ np.swapaxes(pose.rotation, -1, -2)
    return np.concatenate([elbow[:, None], wrist[:, None] + points], axis=1)


def body(right: np.ndarray, left: np.ndarray, head_size: float) -> np.ndarray:
    """All landmarks in space, [T, 543, 3], from two arms [T, 22, 3], both posed as right arms."""
    left = left * MIRROR
    pose = np.repeat(_POSE[None], len(right), axis=0)
    pose[:, :11] = HEAD + (pose[:, :11] - HEAD) * head_size
    for side, points in ((0, right), (-1, left)):
        # elbow, wrist, little finger, index finger, thumb
        pose[:, np.array([14, 16, 18, 20, 22]) + side] = points[:, [0, 1, 18, 6, 3]]
    space = np.empty((len(right), _LAYOUT.size, 3))
    space[:, _PARTS["face"]] = HEAD + _FACE * head_size
    space[:, _PARTS["left_hand"]] = left[:, 1:]
    space[:, _PARTS["pose"]] = pose
    space[:, _PARTS["right_hand"]] = right[:, 1:]
    return space


def _pose_points() -> np.ndarray:
    """A standing body, [33, 3]; `body` fills in the arms."""
    points = np.zeros((33, 3))
    points[0] = [0.0, -0.22, -0.13]
    points[[4, 5, 6]] = [[-0.02, -0.26, -0.1], [-0.033, -0.26, -0.1], [-0.046, -0.26, -0.09]]
    points[8], points[10] = [-0.075, -0.24, -0.03], [-0.025, -0.165, -0.11]
    points[12], points[24] = SHOULDER, [-0.12, 0.5, 0.0]
    points[26], points[28] = [-0.12, 0.92, 0.0], [-0.12, 1.32, 0.05]
    points[30], points[32] = [-0.12, 1.36, 0.1], [-0.14, 1.4, -0.1]
    left = [1, 2, 3, 7, 9, *range(11, 33, 2)]
    right = [4, 5, 6, 8, 10, *range(12, 33, 2)]
    points[left] = points[right] * MIRROR
    return points


def _face_points() -> np.ndarray:
    """A rough face mesh [468, 3] around its middle, in half heads: x, y and z from -1 to 1."""
    number = np.arange(468)  # points in no named list: spread evenly over the face
    radius, angle = np.sqrt((number + 0.5) / 468) * 0.92, number * np.pi * (3 - 5**0.5)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    oval = landmarks.FACE_OVAL
    points[list(oval)] = _ring(len(oval), start=-np.pi / 2)
    along = np.linspace(0.0, 1.0, 5)
    brow = np.stack([0.72 - 0.52 * along, -0.62 - 0.05 * np.sin(np.pi * along)], axis=1)
    brow = np.concatenate([brow, np.add(brow, [0.0, 0.07])])
    eye = [0.43, -0.35] + [0.19, 0.06] * _ring(len(landmarks.LEFT_EYE))
    left = np.concatenate([eye, brow])
    points[[*landmarks.LEFT_EYE, *landmarks.LEFT_BROW]] = left
    points[[*landmarks.RIGHT_EYE, *landmarks.RIGHT_BROW]] = left * [-1, 1]
    points[list(landmarks.NOSE)] = [[0.0, 0.08], [0.0, 0.16], [-0.16, 0.14], [0.16, 0.14]]
    for line, height in zip(landmarks.LIP_LINES, (-0.07, 0.1, -0.01, 0.01), strict=True):
        ahead = np.linspace(-1.0, 1.0, len(line))
        points[list(line)] = np.stack([0.33 * ahead, 0.5 + height * (1 - ahead**2)], axis=1)
    depth = -np.sqrt(np.maximum(0.0, 1.0 - (points**2).sum(axis=1)))
    depth[list(landmarks.NOSE)] -= 0.35
    return np.column_stack([points, depth])


def _ring(count: int, start: float = 0.0) -> np.ndarray:
    """Points [count, 2] on the unit circle; the angle grows from x (0) to y (π/2)."""
    angle = start + 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


_POSE = _pose_points()
_FACE = _face_points() * [0.075, 0.11, 0.08]
