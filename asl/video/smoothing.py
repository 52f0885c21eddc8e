"""Smoothing of landmarks over time: the one-euro filter (Casiez, Roussel, Vogel; CHI 2012).

Time goes on by the same step from frame to frame, as in MediaPipe's Python interface, which
supposes 30 frames a second whatever the video has.
"""

import math

import numpy as np

STEP = 0.033333
"""Seconds from one frame to the next."""


class OneEuro:
    """A low-pass filter whose cutoff frequency rises with the speed.

    Args:
        cutoff: frequency for what stands still, in hertz.
        beta: by how much the frequency rises with the speed, which is in sizes of the object a
            second.
    """

    def __init__(self, cutoff: float, beta: float) -> None:
        self.cutoff, self.beta = cutoff, beta
        self._raw: np.ndarray | None = None

    def __call__(self, values: np.ndarray, scale: float) -> np.ndarray:
        """The smoothed values of one frame.

        Args:
            values: of any shape, the same in each call.
            scale: size of the object, in the unit of the values; nothing is smoothed where it is 0.
        """
        if scale < _SMALLEST:
            return values
        if self._raw is None:
            self._raw, self._smooth, self._speed = values, values, np.zeros_like(values)
            return values
        speed = (values - self._raw) / (scale * STEP)
        self._speed = _mixed(speed, self._speed, _weight(_SPEED_CUTOFF))
        weight = _weight(self.cutoff + self.beta * np.abs(self._speed))
        self._raw, self._smooth = values, _mixed(values, self._smooth, weight)
        return self._smooth


class LowPass:
    """A mean in which older frames weigh ever less.

    Args:
        weight: of the newest frame.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._smooth: np.ndarray | None = None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The smoothed values of one frame."""
        before = values if self._smooth is None else self._smooth
        self._smooth = _mixed(values, before, self.weight)
        return self._smooth


_SMALLEST = 1e-6
_SPEED_CUTOFF = 1.0  # hertz, of the filter of the speed


def _mixed(new: np.ndarray, old: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    return weight * new + (1 - weight) * old


def _weight(cutoff: np.ndarray | float) -> np.ndarray | float:
    return 1 / (1 + 1 / (2 * math.pi * cutoff * STEP))
