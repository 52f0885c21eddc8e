"""A sweep whose split goes by a column deals that column's values into its validation folds."""

from types import SimpleNamespace

import numpy as np
import pytest

from asl.clips.splits import signer_holdout
from asl.config.sweep_plan import _repetitions, _validation
from asl.errors import UserError


def test_validation_folds_of_a_trial_are_values_of_the_column():
    grid = [(sign, signer, view) for sign in "ab" for signer in "123" for view in "wxyz"]
    signs, signers, views = map(np.array, zip(*grid, strict=True))
    store = SimpleNamespace(clip_signers=signers, columns={"view": views})
    by_view = signer_holdout(signs, signers, by="view", columns=store.columns, test=["w"])
    folds = _repetitions({"folds": 2, "seeds": 1}, 0, store, by_view)
    assert sorted(view for fold in folds for view in fold.val) == ["x", "y", "z"]
    mixed = "2 groups of training values of view, each in turn (not signer-independent)"
    assert _validation(2, by_view) == mixed
    with pytest.raises(UserError, match=r"sweep\.folds=4: split has 3 training values of view"):
        _repetitions({"folds": 4, "seeds": 1}, 0, store, by_view)
    by_signer = signer_holdout(signs, signers, test=["1"])
    assert _validation(2, by_signer) == "2 groups of training signers, each in turn"
