"""Regions of interest: squares in the picture, possibly turned, that a model looks at.

Points are in pixels of the picture, [n, 2] or [n, 3] with a z of the same scale as x. Which points
make which region, and by how much it is enlarged, is as in the graph
`mediapipe/modules/holistic_landmark` of MediaPipe 0.10.21.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np


class Region(NamedTuple):
    """A square in the picture.

    Attributes:
        x, y: its centre, in pixels.
        size: of a side, in pixels.
        angle: by which it is turned clockwise, in radians from -π to π.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0


def whole(width: int, height: int) -> Region:
    """The smallest square around the picture, whose free borders are black."""
    return Region(width / 2, height / 2, max(width, height))


def around(
    box: tuple[float, float, float, float], angle: float, scale: float, shift: float = 0.0
) -> Region:
    """The square on the longer side of a box, enlarged.

    Args:
        box: centre, width and height.
        angle: of the box.
        scale: of the longer side.
        shift: along the box's own vertical axis, as a share of its height.
    """
    x, y, width, height = box
    moved = height * shift
    return Region(
        x - moved * math.sin(angle),
        y + moved * math.cos(angle),
        max(width, height) * scale,
        angle,
    )


def from_centre(
    centre: np.ndarray, rim: np.ndarray, upwards: float, scale: float, shift: float = 0.0
) -> Region:
    """The square around a point whose half side is the distance to a second one.

    Args:
        centre: [2 or more] of the first point.
        rim: of the second point.
        upwards: the direction from the first to the second in an upright region, in degrees
            counterclockwise from the right.
        scale: of the side.
        shift: as in `around`.
    """
    side = 2 * math.hypot(rim[0] - centre[0], rim[1] - centre[1])
    box = (float(centre[0]), float(centre[1]), side, side)
    return around(box, turn(centre, rim, upwards), scale, shift)


def bounding_box(points: np.ndarray) -> tuple[float, float, float, float]:
    """Centre, width and height of points [n, 2 or more]."""
    (left, top), (right, bottom) = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    middle = (float(left + right) / 2, float(top + bottom) / 2)
    return (*middle, float(right - left), float(bottom - top))


def turn(start: np.ndarray, end: np.ndarray, upright: float) -> float:
    """The angle, -π to π, by which a vector is turned from its direction when upright.

    Args:
        start: [2 or more] of the vector.
        end: of the vector.
        upright: that direction, in degrees counterclockwise from the right.
    """
    direction = math.atan2(start[1] - end[1], end[0] - start[0])
    return _wrapped(math.radians(upright) - direction)


def _wrapped(angle: float) -> float:
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


def crop(picture: np.ndarray, region: Region, side: int, *, replicate: bool) -> np.ndarray:
    """What a region shows, uint8 [side, side, 3].

    Args:
        picture: uint8 [height, width, 3].
        region: which part.
        side: of the result, in pixels.
        replicate: whether the picture's border pixels go on outside of it; black where False.
    """
    step = region.size / side
    cos, sin = step * math.cos(region.angle), step * math.sin(region.angle)
    half = side / 2
    to_picture = np.array(
        [
            [cos, -sin, region.x - half * (cos - sin)],
            [sin, cos, region.y - half * (sin + cos)],
            [0, 0, 1],
        ]
    )
    # Perspective though it is affine: MediaPipe's rounding of coordinates is that of this function.
    return cv2.warpPerspective(
        picture,
        to_picture,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
    )


def to_picture(points: np.ndarray, region: Region) -> np.ndarray:
    """Points of a region, 0 to 1 from its upper left corner, in pixels of the picture.

    Args:
        points: [n, 2 or 3]; a z is scaled as x.
        region: where they are.
    """
    placed = points * region.size
    placed[:, :2] = turned(placed[:, :2] - region.size / 2, region.angle)
    placed[:, :2] += (region.x, region.y)
    return placed


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Points [n, 2] turned clockwise around 0."""
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


class Tolerance(NamedTuple):
    """How far a region may be from that of the frame before, to go on with the latter.

    Attributes:
        degrees: of rotation.
        move: along each axis, as a share of the new size.
        scale: difference of sizes, as a share of the new size.
        margin: by which the new region is larger than what all landmarks of the frame before must
            lie in, as a share of its size, negative.
    """

    degrees: float
    move: float
    scale: float
    margin: float


def tracked(
    previous: Region | None, points: np.ndarray | None, new: Region, allowed: Tolerance
) -> Region:
    """The region around the previous frame's landmarks where they did not move much, else `new`.

    Args:
        previous: the region around them; None where nothing was found.
        points: the landmarks, [n, 2 or more].
        new: the region found in this frame.
        allowed: how much counts as not much.
    """
    if previous is None or points is None:
        return new
    near = abs(_wrapped(previous.angle - new.angle)) <= math.radians(allowed.degrees)
    centres = _seen_from(new, np.array([[previous.x, previous.y]]))
    near = near and bool((np.abs(centres) <= new.size * allowed.move).all())
    near = near and abs(previous.size - new.size) <= new.size * allowed.scale
    inside = np.abs(_seen_from(new, points)) < new.size * (1 + allowed.margin) / 2
    return previous if near and bool(inside.all()) else new


def _seen_from(region: Region, points: np.ndarray) -> np.ndarray:
    """Points [n, 2] along the region's own axes, from its centre."""
    return turned(points[:, :2] - (region.x, region.y), -region.angle)
