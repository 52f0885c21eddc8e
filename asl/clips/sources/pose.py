"""Clips in .pose files, the format of pose-format and of sign-language-datasets.

A .pose file names its points, has x and y in pixels of a picture whose size it says, MediaPipe's z
in widths of that picture, and a confidence for each point, 0 where it was not detected. Read and
written by the package pose-format (github sign-language-processing/pose, docs/specs).
"""

import io
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from asl.clips.sources.arrays import Signs
from asl.clips.sources.base import MAX_FRAMES, BadClip, Entry, Listing, Reading
from asl.clips.sources.files import ClipFiles
from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC, Layout

_MAX_BYTES = 1 << 30  # of a file

_JOINTS = ("SHOULDER", "ELBOW", "WRIST", "PINKY", "INDEX", "THUMB", "HIP", "KNEE", "ANKLE", "HEEL")
_FINGERS = ("INDEX_FINGER", "MIDDLE_FINGER", "RING_FINGER", "PINKY")
# MediaPipe's names of its points in its order, which is that of the layout's parts.
_POSE = (
    "NOSE",
    *(f"{side}_EYE{place}" for side in ("LEFT", "RIGHT") for place in ("_INNER", "", "_OUTER")),
    *("LEFT_EAR", "RIGHT_EAR", "MOUTH_LEFT", "MOUTH_RIGHT"),
    *(f"{side}_{joint}" for joint in (*_JOINTS, "FOOT_INDEX") for side in ("LEFT", "RIGHT")),
)
_HAND = (
    *("WRIST", "THUMB_CMC", "THUMB_MCP", "THUMB_IP", "THUMB_TIP"),
    *(f"{finger}_{joint}" for finger in _FINGERS for joint in ("MCP", "PIP", "DIP", "TIP")),
)
_COMPONENTS: dict[str, tuple[str, Sequence[str]]] = {
    "pose": ("POSE_LANDMARKS", _POSE),
    "face": ("FACE_LANDMARKS", [str(number) for number in range(468)]),
    "left_hand": ("LEFT_HAND_LANDMARKS", _HAND),
    "right_hand": ("RIGHT_HAND_LANDMARKS", _HAND),
}
_ROWS = {
    (component, point): row
    for part, (component, points) in _COMPONENTS.items()
    for point, row in zip(points, MEDIAPIPE_HOLISTIC.parts[part], strict=True)
}


class PoseSource:
    """A folder of .pose files of MediaPipe Holistic, one for each clip."""

    layout = MEDIAPIPE_HOLISTIC.name

    def __init__(
        self,
        root: str | Path,
        *,
        files: str = "{signer}/{sign}/{sequence}.pose",
        path: str | None = None,
        sign: str | None = None,
        signer: str | None = None,
        signs: Signs | None = None,
    ) -> None:
        """Checks the arguments, those of `ClipFiles`, and lists the files.

        Args:
            root: the folder.
            files: pattern of the paths, or a csv file.
            path: the csv's column of paths.
            sign: the csv's column of labels.
            signer: the csv's column of signers.
            signs: names of the labels.

        Raises:
            UserError: an argument is wrong, or what `ClipFiles.listing` raises.
        """
        self.root = Path(root)
        self._files = ClipFiles(
            root, files, ".pose", path=path, sign=sign, signer=signer, signs=signs
        )
        self.settings: dict[str, Any] = {}
        self.signs: list[str] = []
        self.listing()

    def listing(self) -> Listing:
        """All clips, as `ClipFiles.listing` finds them; sets `signs`."""
        listing, self.signs = self._files.listing()
        return listing

    def read(self, entry: Entry) -> Reading:
        """One clip.

        Raises:
            BadClip: what is wrong with the file.
            OSError: a fault of the disk or the system.
        """
        try:
            return Reading(read_pose(self.root / entry.path))
        except FileNotFoundError as error:
            raise BadClip(entry.path, "there is no such file") from error
        except ValueError as error:
            raise BadClip(entry.path, str(error)) from error


def read_pose(path: Path) -> np.ndarray:
    """The first person of a .pose file as a clip, float32 [frames, 543, 3], NaN = not detected.

    x and y become shares of the picture's width and height, as in the competition's files. Points
    that Holistic does not have, an iris say, and places in metres are left out.

    Raises:
        ValueError: what is wrong with the file, as the end of a sentence.
        OSError: it cannot be read.
        UserError: pose-format is not installed.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"has {path.stat().st_size / 1e9:.1f} GB, which no clip has")
    package = _pose_format()
    content = path.read_bytes()
    try:
        pose = package.Pose.read(content)
        names = [(each.name, point) for each in pose.header.components for point in each.points]
        values = np.ma.getdata(pose.body.data)[:, 0].astype(np.float32)  # [T, points, 2 or 3]
        seen = np.asarray(pose.body.confidence)[:, 0] > 0  # [T, points]
        size = pose.header.dimensions
    except Exception as error:  # of a damaged file pose-format raises whatever its bytes lead to
        raise ValueError("is not a whole .pose file with a person") from error
    columns = [column for column, name in enumerate(names) if name in _ROWS]
    if not columns:
        components = ", ".join(each.name for each in pose.header.components)
        raise ValueError(f"has {components or 'nothing'}, not MediaPipe Holistic's points")
    if not 0 < len(values) <= MAX_FRAMES:
        raise ValueError(f"has {len(values)} frames")
    if not (size.width and size.height):
        raise ValueError("does not say how large its pictures are")
    values[~seen] = np.nan
    clip = np.full((len(values), MEDIAPIPE_HOLISTIC.size, 3), np.nan, np.float32)
    rows = [_ROWS[names[column]] for column in columns]
    clip[:, rows, : values.shape[2]] = values[:, columns, :3]
    clip /= np.array([size.width, size.height, 1], np.float32)
    if np.isinf(clip).any():
        raise ValueError("has an infinite coordinate")
    return clip


def pose_bytes(clip: np.ndarray, layout: Layout, *, fps: float = 30, size: int = 1000) -> bytes:
    """The content of a .pose file with a clip.

    Args:
        clip: float32 [frames, 543, 3], NaN = not detected.
        layout: of the clip.
        fps: frames a second, which clips do not know.
        size: width and height in pixels of the picture, which clips do not know either.

    Raises:
        UserError: the clip is not MediaPipe Holistic's, or pose-format is not installed.
    """
    if layout.name != MEDIAPIPE_HOLISTIC.name:
        raise UserError(f"a .pose file holds {MEDIAPIPE_HOLISTIC.name}, not {layout.name}")
    package = _pose_format()
    header = package.pose_header
    components: list[Any] = []
    rows: list[int] = []
    for part, (name, points) in _COMPONENTS.items():
        inside = layout.parts[part]
        # The format has no limb from one component to another, from arm to hand say.
        bones = [bone for bone in layout.bones if {*bone} <= {*inside}]
        limbs = [(a - inside.start, b - inside.start) for a, b in bones]
        colours = [(0, 0, 0)] * len(limbs)
        components.append(header.PoseHeaderComponent(name, list(points), limbs, colours, "XYZC"))
        rows += inside
    places = clip[:, rows] * np.array([size, size, 1], np.float32)
    seen = ~np.isnan(places[..., :2]).any(axis=2)
    body = package.numpy.NumPyPoseBody(
        fps, np.nan_to_num(places)[:, None], seen[:, None].astype(np.float32)
    )
    picture = header.PoseHeaderDimensions(size, size, size)
    file = io.BytesIO()
    package.Pose(header.PoseHeader(header.VERSION, picture, components), body).write(file)
    return file.getvalue()


def _pose_format() -> ModuleType:
    try:
        import pose_format
    except ImportError as error:
        raise UserError(".pose files need pose-format: pip install 'asl[pose]'") from error
    return pose_format
