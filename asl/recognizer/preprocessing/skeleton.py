"""Skeletons measured in space: rotated to the front, with standard bone lengths."""

import torch
from torch import Tensor, nn

from asl.errors import UserError
from asl.landmarks import LAYOUTS, LandmarkSet
from asl.recognizer.preprocessing.facing import horizontal, shoulder_line, shoulder_rows
from asl.recognizer.preprocessing.presence import present_mean
from asl.recognizer.preprocessing.scalers import SMALLEST, safe_divisor


class Skeleton(nn.Module):
    """Poses independent of a signer's position, orientation and bone lengths.

    The clip is centred on the shoulders and rotated about the vertical axis until they face the
    sensor, as in skeleton-based action recognition (Shahroudy et al. 2016, "NTU RGB+D", section
    4.2). Then each bone keeps its direction in each frame, and its length, averaged over the clip,
    is replaced by an adult's: motion retargeting (Gleicher 1998, "Retargetting Motion to New
    Characters") without constraints. Beyond a missing joint a limb continues from the joint before.

    It needs lengths in space. MediaPipe's depth is not measured, and an arm that points at the
    camera looks short in its picture; `BodySize` is for its clips.

    Args:
        landmarks: the landmarks of the clips.

    Raises:
        UserError: the layout's bones are not measured in space.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()
        layout = landmarks.layout
        if not layout.skeleton:
            measured = [name for name, each in LAYOUTS.items() if each.skeleton]
            raise UserError(
                f"scaler=skeleton: {layout.name} measures no bones in space; layouts that do: "
                f"{', '.join(measured)}"
            )
        points = len(landmarks.indices)
        before, length, path = torch.arange(points), torch.ones(points, 1), torch.eye(points)
        for joint, (upper, metres) in layout.skeleton.items():
            if {joint, upper} <= {*landmarks.indices}:
                place, parent = landmarks.positions((joint, upper))
                before[place], length[place] = parent, metres
                path[place] += path[parent]
        self.shoulders = shoulder_rows(landmarks)
        width = sum(layout.skeleton[joint][1] for joint in layout.lengths["shoulders"])
        self.before = nn.Buffer(before, persistent=False)
        self.free = nn.Buffer((before == torch.arange(points))[:, None], persistent=False)
        self.length = nn.Buffer(length, persistent=False)
        self.path = nn.Buffer(path / width, persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`, in units of the standard shoulder width."""
        values = self._face_sensor(values, present)
        both = (present * present.index_select(2, self.before))[..., :1]  # [B, T, P, 1]
        bones = (values - values.index_select(2, self.before)) * both
        lengths = bones.square().sum(-1, keepdim=True).sqrt()
        mean = lengths.sum(1, keepdim=True) / both.sum(1, keepdim=True).clamp(min=1)  # [B, 1, P, 1]
        bones = bones * self.length / safe_divisor(mean)
        return self.path @ torch.where(self.free, values * present, bones)

    def _face_sensor(self, values: Tensor, present: Tensor) -> Tensor:
        """Centred on the shoulders and rotated, the first shoulder on the side of smaller x."""
        ends, seen = values[:, :, self.shoulders], present[:, :, self.shoulders]
        values = values - present_mean(ends, seen)
        across = shoulder_line(values, present, self.shoulders)  # [B, 3]
        width = horizontal(across)
        usable = width > SMALLEST
        size = torch.where(usable, width, torch.ones_like(width))
        cos = torch.where(usable, across[:, 0] / size, torch.ones_like(width))[:, None, None]
        sin = torch.where(usable, across[:, 2] / size, torch.zeros_like(width))[:, None, None]
        x, y, z = values.unbind(-1)
        return torch.stack([x * cos + z * sin, y, z * cos - x * sin], -1)
