"""Data augmentation of training clips.

Every operation takes clips `[B, T, P, C]` with NaN where nothing was detected, their lengths `[B]`
and the landmark set, changes each clip with probability `p`, and returns clips and lengths; the
number of frames `T` may grow. Operations work on whole batches, on the device that holds them.
Random numbers come from torch's global generator, so a seed fixes them.

Sizes are relative to the clip (to the body's position and to the spread of its landmarks), so the
operations serve image units and metres alike.
"""

# ruff: noqa: F401 (configs name every operation by this package)
from asl.training.augment.base import Augmentation, Clips
from asl.training.augment.measured import ChannelDropout, Gain
from asl.training.augment.missing import (
    FrameDropout,
    HandDropout,
    LandmarkDropout,
    MissingHand,
    SpaceMask,
    TimeMask,
)
from asl.training.augment.picture import PictureAffine, PictureMask, TimeResize
from asl.training.augment.space import Affine, HandVariation, Mirror, Rotate, Scale, Shear, Shift
from asl.training.augment.time import EmptyFrames, TimeCrop, TimeStretch, TimeWarp, TimeWindow
from asl.training.augment.view import View
