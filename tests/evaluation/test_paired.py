"""What may be claimed of the difference between two recognizers."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from asl.evaluation.paired import (
    accuracy_by_clip,
    by_group,
    claim,
    compare_pair,
    only_one,
    sign_flip_p,
)


def answers(right, signers=10, clips=20):
    """A table of predictions in which `right(signer, clip)` says whether a clip is recognised."""
    rows = [
        {"clip": f"{s}/{c}", "signer": str(s), "sign": f"sign{c % 4}", "right": right(s, c)}
        for s in range(signers)
        for c in range(clips)
    ]
    table = pd.DataFrame(rows)
    table["predicted"] = np.where(table.pop("right"), table["sign"], "another")
    return table


def paired(new, base):
    return compare_pair(accuracy_by_clip(new), accuracy_by_clip(base))


def test_as_many_gains_as_losses_are_no_difference():
    test = paired(answers(lambda s, c: c != 1), answers(lambda s, c: c != 2))
    assert test.difference == 0
    assert test.only_new == test.only_base == 10
    assert test.p_clips == pytest.approx(1)
    assert claim("new", "base", test).startswith(
        "No difference between new and base may be claimed"
    )


def test_a_gain_with_every_signer_may_be_expected_on_new_ones():
    test = paired(answers(lambda s, c: True), answers(lambda s, c: c > 1))
    assert test.difference == pytest.approx(0.1)
    assert test.signer_interval == pytest.approx((0.1, 0.1))
    sentence = claim("new", "base", test)
    assert "new is more accurate than base by 10.0 points (p < 0.001)" in sentence
    assert "may be expected on new signers too" in sentence
    assert "base is more" not in sentence
    trained_on = claim("new", "base", test, not_new="these were trained on")
    assert trained_on.endswith("claimed of new signers, as these were trained on.")
    turned = claim("base", "new", paired(answers(lambda s, c: c > 1), answers(lambda s, c: True)))
    assert "new is more accurate than base by 10.0 points" in turned
    assert "10.0 to 10.0" in turned


def test_a_gain_with_one_signer_alone_is_not_claimed_of_new_ones():
    test = paired(answers(lambda s, c: True), answers(lambda s, c: s > 0))
    assert test.differs_on_these_signers
    assert not test.differs_on_new_signers
    assert "may not be claimed of new signers (95 % interval 0.0 to" in claim("new", "base", test)


def test_few_signers_say_nothing_of_new_ones():
    test = paired(answers(lambda s, c: True, 3), answers(lambda s, c: c > 3, 3))
    assert test.signer_interval is None
    assert "only 3 signers" in claim("new", "base", test)


def test_mcnemar_s_p_is_the_binomial_one():
    test = paired(answers(lambda s, c: True, 1), answers(lambda s, c: c > 4, 1))
    assert test.p_clips == pytest.approx(2 * 0.5**5)  # 5 of 5 discordant clips
    assert not test.differs_on_these_signers


def test_of_several_seeds_p_is_of_the_mean_and_not_of_the_number_of_clips():
    """The one gains little on many clips, the other much on few."""
    gain = np.repeat([1, -1 / 3], [25, 60])
    assert 0.3 < sign_flip_p(gain) < 0.5
    clips = pd.DataFrame({"signer": "1", "sign": "a", "accuracy": np.clip(gain, 0, 1)})
    base = pd.DataFrame({"accuracy": np.clip(-gain, 0, 1)})
    assert claim("new", "base", compare_pair(clips, base)).startswith("No difference")


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (3, 0), (12, 5), (700, 640)])
def test_of_one_answer_a_clip_p_is_mcnemar_s(wins, losses):
    wanted = binomtest(wins, wins + losses).pvalue if wins else 1
    assert sign_flip_p(np.repeat([1.0, -1.0, 0.0], [wins, losses, 9])) == pytest.approx(wanted)


def test_p_counts_every_way_to_flip_the_signs():
    gain = np.array([2 / 3, -1 / 3, 1 / 2, 1, 1 / 2, -1])
    flips = np.array(list(product([-1, 1], repeat=6))) @ gain
    assert sign_flip_p(gain) == pytest.approx((np.abs(flips) > abs(gain.sum()) - 1e-9).mean())


def test_several_seeds_are_averaged_by_clip():
    seeds = pd.concat([answers(lambda s, c: True, 1), answers(lambda s, c: c > 9, 1)])
    table = accuracy_by_clip(seeds)
    assert len(table) == 20
    assert table["accuracy"].mean() == 0.75
    test = compare_pair(table, accuracy_by_clip(answers(lambda s, c: True, 1)))
    assert test.difference == pytest.approx(-0.25)
    assert test.only_base == pytest.approx(5)


def test_groups_and_clips_say_where_the_difference_is():
    new, base = answers(lambda s, c: c != 3), answers(lambda s, c: s != 2)
    ours, theirs = accuracy_by_clip(new), accuracy_by_clip(base)
    signers = by_group(ours, theirs, "signer")
    assert signers.iloc[0]["signer"] == "2"
    assert signers.iloc[0]["difference"] == pytest.approx(0.95)
    assert set(by_group(ours, theirs, "sign")["sign"]) == {"sign0", "sign1", "sign2", "sign3"}
    clips = only_one(ours, theirs)
    assert set(clips.loc[clips["recognised_by"] == "new", "signer"]) == {"2"}
    assert len(clips) == 19 + 9
