"""Missing landmarks are filled as pandas and scipy would, and only where a detection is near."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.interpolate import CubicHermiteSpline

from asl.landmarks import landmark_set
from asl.recognizer.preprocessing.impute import DOUBLINGS, Impute, carry
from asl.recognizer.preprocessing.presence import presence

METHODS = ["hold", "linear", "spline"]


@pytest.fixture
def clips():
    """Six clips `[6, 40, 5, 3]`, half of whose landmarks are missing."""
    rng = np.random.default_rng(0)
    clips = rng.normal(size=(6, 40, 5, 3)).cumsum(axis=1).astype(np.float32)
    clips[rng.random((6, 40, 5)) < 0.5] = np.nan
    clips[0, :, 0] = np.nan  # never detected
    clips[1, :, 1] = np.nan
    clips[1, 7, 1] = 3.0  # once
    return torch.from_numpy(clips)


def impute(clips, method, lengths=None):
    """Values with NaN where they are still missing."""
    present = presence(clips, lengths)
    values = torch.where(present > 0, clips, present)
    values, present = Impute(landmark_set("hands"), method)(values, present, lengths)
    assert torch.isfinite(values).all()
    assert ((present == 0) | (present == 1)).all()
    assert (values[present == 0] == 0).all()
    return torch.where(present > 0, values, torch.nan).numpy()


def columns(clips):
    return [pd.Series(c) for c in np.moveaxis(np.asarray(clips), 1, -1).reshape(-1, 40)]


@pytest.mark.parametrize("method", METHODS)
def test_detections_stay_and_what_was_never_seen_is_not_invented(clips, method):
    filled = impute(clips, method)
    seen = ~np.isnan(clips.numpy())
    np.testing.assert_array_equal(filled[seen], clips.numpy()[seen])
    assert np.isnan(filled[0, :, 0]).all()


def test_hold_and_linear_are_pandas(clips):
    for series, held in zip(columns(clips), columns(impute(clips, "hold")), strict=True):
        pd.testing.assert_series_equal(series.ffill(), held)
    for series, line in zip(columns(clips), columns(impute(clips, "linear")), strict=True):
        wanted = series.interpolate(limit_area="inside")
        pd.testing.assert_series_equal(wanted, line, rtol=1e-4, atol=1e-5)


def test_spline_is_scipys_with_slopes_between_the_neighbours(clips):
    for series, curve in zip(columns(clips), columns(impute(clips, "spline")), strict=True):
        known = series.dropna()
        if len(known) < 2:
            pd.testing.assert_series_equal(series, curve)
            continue
        x, y = known.index.to_numpy(float), known.to_numpy(float)
        first, last = (
            np.maximum(np.arange(len(x)) - 1, 0),
            np.minimum(np.arange(len(x)) + 1, len(x) - 1),
        )
        slopes = (y[last] - y[first]) / (x[last] - x[first])
        inside = np.arange(x[0], x[-1] + 1)
        wanted = CubicHermiteSpline(x, y, slopes)(inside)
        np.testing.assert_allclose(curve[inside.astype(int)], wanted, rtol=1e-3, atol=1e-4)
        assert curve.notna().sum() == len(inside)


def test_a_straight_movement_stays_straight():
    times = torch.arange(20.0)[None, :, None, None].expand(1, 20, 2, 3).clone()
    clips = times.clone()
    clips[:, 3:9] = torch.nan
    for method in ("linear", "spline"):
        np.testing.assert_allclose(impute(clips, method), times, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_padding_is_not_filled_and_changes_nothing(clips, method):
    lengths = torch.tensor([40, 31, 22, 13, 4, 1])
    filled = impute(clips, method, lengths)
    for clip, length, found in zip(clips, lengths.tolist(), filled, strict=True):
        assert np.isnan(found[length:]).all()
        np.testing.assert_array_equal(impute(clip[None, :length], method)[0], found[:length])


def test_a_detection_fills_no_more_than_two_seconds():
    values = torch.zeros(1, 200, 1, 1)
    known = torch.zeros(1, 200, 1, 1)
    known[0, 10] = 1
    _, reached, distance = carry(values, known, forward=True)
    assert reached[0, :, 0, 0].nonzero()[-1] == 10 + 2**DOUBLINGS - 1
    assert distance.max() == 2**DOUBLINGS - 1
