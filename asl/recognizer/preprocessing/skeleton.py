"""A measured skeleton turned to the front, everybody's bones made equally long."""

import torch
from torch import Tensor, nn

from asl.errors import UserError
from asl.landmarks import LAYOUTS, LandmarkSet
from asl.recognizer.preprocessing.presence import present_mean
from asl.recognizer.preprocessing.scalers import SMALLEST, usable_or_one


class Skeleton(nn.Module):
    """What a body does, without how it is built and where it stands.

    The clip is centred on the shoulders and turned about the upright axis until they face the
    sensor, as skeleton-based action recognition does (Shahroudy et al. 2016, "NTU RGB+D", section
    4.2). Then each bone keeps its direction in each frame, and its length, averaged over the clip,
    becomes everybody's: motion retargeting (Gleicher 1998, "Retargetting Motion to New Characters")
    without constraints. Behind a joint that is missing, a limb goes on from the joint before it.

    It needs lengths in space. MediaPipe's depth is a guess, and an arm that points at the camera
    seems short in its picture, so for its clips there is `BodySize`.

    Args:
        landmarks: the landmarks of the clips.

    Raises:
        UserError: the layout's bones are not measured in space.
    """

    fitted = False

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
                here, there = landmarks.positions((joint, upper))
                before[here], length[here] = there, metres
                path[here] += path[there]
        shoulders = layout.lengths["shoulders"]
        self.shoulders = list(landmarks.positions(shoulders))
        width = sum(layout.skeleton[joint][1] for joint in shoulders)
        self.before: Tensor
        self.free: Tensor
        self.length: Tensor
        self.path: Tensor
        self.register_buffer("before", before, persistent=False)
        self.register_buffer("free", (before == torch.arange(points))[:, None], persistent=False)
        self.register_buffer("length", length, persistent=False)
        self.register_buffer("path", path / width, persistent=False)

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, 3]`, in widths of everybody's shoulders."""
        values = self._to_the_front(values, present)
        both = (present * present.index_select(2, self.before))[..., :1]  # [B, T, P, 1]
        bones = (values - values.index_select(2, self.before)) * both
        lengths = bones.square().sum(-1, keepdim=True).sqrt()
        own = lengths.sum(1, keepdim=True) / both.sum(1, keepdim=True).clamp(min=1)  # [B, 1, P, 1]
        steps = torch.where(self.free, values * present, bones * self.length / usable_or_one(own))
        return self.path @ steps

    def _to_the_front(self, values: Tensor, present: Tensor) -> Tensor:
        """Centred on the shoulders, the first of them on the side of smaller x."""
        ends, there = values[:, :, self.shoulders], present[:, :, self.shoulders]
        values = values - present_mean(ends, there)
        one, other = ends.unbind(2)
        both = there[:, :, 0] * there[:, :, 1]  # [B, T, 3]
        across = ((other - one) * both).sum(1) / both.sum(1).clamp(min=1)  # [B, 3]
        width = across[:, ::2].square().sum(-1).sqrt()  # [B], seen from above
        known = width > SMALLEST
        size = torch.where(known, width, torch.ones_like(width))
        cos = torch.where(known, across[:, 0] / size, torch.ones_like(width))[:, None, None]
        sin = torch.where(known, across[:, 2] / size, torch.zeros_like(width))[:, None, None]
        x, y, z = values.unbind(-1)
        return torch.stack([x * cos + z * sin, y, z * cos - x * sin], -1)
