"""What a sensor measures besides coordinates, on one scale."""

import torch
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.preprocessing.scalers import SMALLEST, STATISTICS, Batches


class MeasuredScaler(nn.Module):
    """Shift and divide each measured channel by its mean and deviation over the training clips.

    A scaler of coordinates centres and resizes clips; a bend of a finger has no place to be centred
    on and no size, and its unit is the sensor's.

    Args:
        landmarks: the landmarks of the clips, of a layout with measured channels.
    """

    def __init__(self, landmarks: LandmarkSet) -> None:
        super().__init__()
        shape = (len(landmarks.indices), len(landmarks.layout.measured))
        self.centre = nn.Buffer(torch.zeros(shape))
        self.size = nn.Buffer(torch.ones(shape))

    def fit(self, batches: Batches) -> None:
        """Compute the statistics over all frames of these clips, measured channels alone."""
        centre, size = STATISTICS["standard"](batches)
        self.centre.copy_(centre.nan_to_num())
        self.size.copy_(torch.where(size > SMALLEST, size, 1.0))  # 1 where never measured, too

    def forward(self, values: Tensor) -> Tensor:
        """Scaled values of measured channels `[B, T, P, M]`."""
        return (values - self.centre) / self.size
