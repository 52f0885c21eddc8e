import csv
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from asl.clips.folds import deal_signers
from asl.clips.names import sorted_names
from asl.clips.splits import (
    all_signers,
    leave_one_signer_out,
    random,
    signer_holdout,
    signer_kfold,
)
from asl.errors import UserError


def clips(signers=6, signs=4, each=5):
    """Sign and signer of every clip: each of the signers 1, 2, … signs each sign `each` times."""
    grid = [(f"sign{s}", str(p + 1)) for p in range(signers) for s in range(signs)] * each
    signs_, signers_ = zip(*grid, strict=True)
    return list(signs_), list(signers_)


def who(split_rows, signers):
    return sorted({signers[row] for row in split_rows})


SPLITS = {
    "holdout": signer_holdout,
    "named": lambda *c: signer_holdout(*c, test=[3]),
    "no val": lambda *c: signer_holdout(*c, val="none"),
    "kfold": lambda *c: signer_kfold(*c, folds=3, fold=2),
    "one out": lambda *c: leave_one_signer_out(*c, fold=2),
    "random": random,
}


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("signers_of", [3, 4, 6])
def test_every_clip_is_on_one_side_only(name, signers_of):
    signs, signers = clips(signers_of)
    if (name == "named" and signers_of == 2) or (name == "kfold" and signers_of == 2):
        pytest.skip("this split needs three signers")
    split = (
        SPLITS[name](signs, signers) if name != "one out" else leave_one_signer_out(signs, signers)
    )
    rows = np.concatenate([split.train, split.val, split.test])
    assert sorted(rows) == list(range(len(signs)))
    assert len(split.train)
    assert len(split.test)
    assert all((np.diff(part) > 0).all() for part in (split.train, split.val, split.test))
    overlap = set(who(split.test, signers)) & {*who(split.train, signers), *who(split.val, signers)}
    assert split.test_signer_independent == (not overlap)


def test_validation_has_signers_of_its_own_from_four_on():
    signs, signers = clips(4)
    split = signer_holdout(signs, signers)
    assert split.val_protocol == f"signers [{who(split.val, signers)[0]}]"
    assert not set(who(split.val, signers)) & set(who(split.train, signers))


def test_with_three_signers_validation_is_a_reported_share_of_the_clips():
    signs, signers = clips(3)
    split = signer_holdout(signs, signers, test=["3"])
    assert split.protocol == "signer_holdout test=[3]"
    assert split.val_protocol == "20% of the training signers' clips (not signer-independent)"
    counts = np.unique(np.array(signs)[split.val], return_counts=True)[1]
    assert list(counts) == [2] * 4
    assert who(split.val, signers) <= ["1", "2"]


def test_signers_may_be_named_for_both():
    signs, signers = clips(6)
    split = signer_holdout(signs, signers, test=["2", 10][:1], val=[5, 1])
    assert who(split.test, signers) == ["2"]
    assert who(split.val, signers) == ["1", "5"]
    assert split.val_protocol == "signers [1,5]"


def test_no_validation_at_all():
    split = signer_holdout(*clips(), val="none")
    assert len(split.val) == 0
    assert split.val_protocol == "none"


@pytest.mark.parametrize(
    "make",
    [
        lambda *c: signer_kfold(*c, folds=3, fold=1, val="test"),
        lambda *c: leave_one_signer_out(*c, val="test"),
        lambda *c: signer_holdout(*c, test=[2, 5], val="test"),
    ],
)
def test_validation_on_the_test_clips_is_said_to_be_optimistic(make):
    signs, signers = clips()
    split = make(signs, signers)
    np.testing.assert_array_equal(split.val, split.test)
    np.testing.assert_array_equal(np.union1d(split.train, split.test), np.arange(len(signs)))
    assert not set(who(split.train, signers)) & set(who(split.test, signers))
    assert split.protocol.endswith("(optimistic: the epoch is chosen on the test clips)")
    assert split.val_protocol == "the test clips"
    assert not split.test_signer_independent


def test_the_seed_changes_only_the_drawn_signers():
    signs, signers = clips(12)
    assert len({signer_holdout(signs, signers, seed=seed).protocol for seed in range(9)}) > 3
    named = {signer_holdout(signs, signers, test=[1], seed=seed).protocol for seed in range(9)}
    assert named == {"signer_holdout test=[1]"}


def test_a_split_is_the_same_in_another_process():
    code = (
        "from asl.clips.splits import signer_holdout\n"
        "s = [str(i % 11) for i in range(200)]\n"
        "x = signer_holdout([f'w{i % 7}' for i in range(200)], s)\n"
        "print(x.protocol, x.val_protocol, x.train.sum())\n"
    )
    run = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True
        )
        for seed in ("1", "2")
    ]
    assert run[0].stdout == run[1].stdout != b""


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda s: signer_holdout(*s, test=[99]),
            r"split.test=\[99\]: choose from 1, 2, 3, 4, 5, 6",
        ),
        (lambda s: signer_holdout(*s, test=[]), "name at least one signer"),
        (lambda s: signer_holdout(*s, test=[1], val=[1]), r"split.val=\[1\]: choose from 2, 3"),
        (lambda s: signer_holdout(*s, test=[1, 2, 3, 4, 5, 6]), "nobody is left to train on"),
        (lambda s: signer_holdout(*s, test=[1], val=[2, 3, 4, 5, 6]), "no clip to train on"),
        (lambda s: signer_kfold(*s, folds=7), "there are only 6 signers"),
        (lambda s: signer_kfold(*s, folds=3, fold=3), "split.fold=3: choose from 0, 1, 2"),
        (lambda s: leave_one_signer_out(*s, fold=6), "split.fold=6: choose from 0, 1, 2, 3, 4, 5"),
        (lambda s: leave_one_signer_out(*s, test=[1, 2]), "tests on one signer"),
    ],
)
def test_an_impossible_split_is_one_sentence(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make(clips(6))


def test_all_signers_are_trained_on_for_the_final_model():
    signs, signers = clips(3)
    for split in (
        all_signers(signs, signers),
        signer_holdout(signs, signers, test="none", val="none"),
    ):
        assert list(split.train) == list(range(len(signs)))
        assert len(split.val) == len(split.test) == 0
        assert split.protocol == "all_signers test=none"
        assert split.val_protocol == "none"
    assert who(all_signers(signs, signers, val=[2]).train, signers) == ["1", "3"]
    assert list(all_signers(*clips(1)).test) == []


def test_one_signer_cannot_be_held_out():
    with pytest.raises(UserError, match="only signer 1"):
        signer_holdout(*clips(1))


def test_a_sign_that_lacks_a_signer_is_allowed_and_reported():
    signs, signers = clips(4, signs=3)
    kept = [i for i in range(len(signs)) if (signs[i], signers[i]) != ("sign1", "2")]
    signs, signers = [signs[i] for i in kept], [signers[i] for i in kept]
    split = signer_holdout(signs, signers, test=[2])
    assert split.notes == [
        "1 signs have no test clip: sign1",
        "1 of 12 pairs of sign and signer have no clip",
    ]


def test_a_random_split_says_that_it_is_not_signer_independent():
    split = random(*clips())
    assert "not signer-independent" in split.protocol
    assert not split.test_signer_independent


# --- the signers of the competition -------------------------------------------------------------


@pytest.fixture(scope="module")
def competition(shared_data) -> list[str]:
    """The signer of each of the competition's clips."""
    with (shared_data / "gislr_sample/participants.csv").open() as file:
        signers = [row["participant_id"] for row in csv.DictReader(file)]
    assert len(signers) == 94_477
    assert len(set(signers)) == 21
    return signers


def spread(counts, dealt):
    """The difference in clips between the largest and the smallest fold."""
    sizes = [sum(counts[name] for name in fold) for fold in dealt]
    return max(sizes) - min(sizes)


def fairer(counts, folds, most):
    """Whether any dealing of the signers has a spread of at most `most`; tries all."""
    clips = sorted(counts.values(), reverse=True)
    sums = np.zeros(1, int)  # of each set of signers; bit i of its place stands for signer i
    for count in clips:
        sums = np.concatenate([sums, sums + count])
    everyone, share = len(sums) - 1, sum(clips) / folds
    sets = {signer: [] for signer in range(len(clips))}  # by the first signer in it
    for members in np.flatnonzero(abs(sums - share) <= most).tolist():
        sets[(members & -members).bit_length() - 1].append((members, int(sums[members])))

    def deal(dealt, left, least, largest, rest):
        if not left:
            return dealt == everyone
        if not left * (largest - most) <= rest <= left * (least + most):
            return False
        first = (~dealt & -~dealt).bit_length() - 1
        return any(
            deal(dealt | members, left - 1, min(least, size), max(largest, size), rest - size)
            for members, size in sets.get(first, [])
            if not members & dealt and max(largest, size) - min(least, size) <= most
        )

    return most >= 0 and deal(0, folds, sum(clips), 0, sum(clips))


def test_fairer_tries_all_exchanges():
    counts = {"a": 5, "b": 4, "c": 3, "d": 3}
    assert [fairer(counts, 2, most) for most in (0, 1)] == [False, True]  # 5 + 3 and 4 + 3
    assert [fairer(counts, 3, most) for most in (1, 2)] == [False, True]  # 5, 4 and 3 + 3
    assert [fairer(counts, 4, most) for most in (1, 2)] == [False, True]


@pytest.mark.parametrize("folds", [2, 3, 4, 5, 7])
def test_no_folds_of_the_competition_are_fairer(folds, competition):
    """Up to a thousandth of a fold, which no metric would show."""
    counts = Counter(competition)
    dealt = spread(counts, deal_signers(competition, folds))
    slack = len(competition) // folds // 1000
    assert not fairer(counts, folds, dealt - slack - 1), dealt


def test_six_folds_of_the_competition_are_nearly_optimal(competition):
    """Too many ways to try: three of the folds have three signers, even if they are the busiest."""
    counts = Counter(competition)
    busiest = sum(count for _, count in counts.most_common(9))
    bound = (len(competition) - busiest) / 3 - busiest / 3
    assert bound <= spread(counts, deal_signers(competition, 6)) < 1.07 * bound


@pytest.mark.parametrize("folds", range(2, 8))
def test_folds_of_the_competition_never_share_a_signer(folds, competition):
    signers = np.array(competition)
    signs = np.full(len(signers), "?")  # which sign it is does not matter here
    tested = []
    for fold in range(folds):
        split = signer_kfold(signs, signers, folds=folds, fold=fold)
        parts = [set(signers[part]) for part in (split.train, split.val, split.test)]
        assert not parts[0] & parts[1]
        assert not (parts[0] | parts[1]) & parts[2]
        assert len(split.train) + len(split.val) + len(split.test) == len(signers)
        tested.append(split.test)
    assert sorted(np.concatenate(tested)) == list(range(94_477))


@pytest.mark.parametrize("folds", [2, 5, 7])
@pytest.mark.parametrize("kind", [str, int, np.int32, object])
def test_folds_depend_on_neither_order_nor_type(folds, kind, competition):
    mixed = np.random.default_rng(0).permutation(np.array(competition, object)).astype(kind)
    assert deal_signers(mixed, folds) == deal_signers(competition, folds)


def test_folds_of_the_competition_are_the_same_on_every_machine(competition):
    assert deal_signers(competition, 5) == [
        ["2044", "16069", "27610", "49445"],
        ["28656", "34503", "36257", "61333"],
        ["26734", "32319", "37055", "53618"],
        ["29302", "37779", "55372", "62590"],
        ["4718", "18796", "22343", "25571", "30680"],
    ]


def test_hundreds_of_signers_are_dealt_at_once():
    rng = np.random.default_rng(0)
    signers = np.repeat([f"signer number {i}" for i in range(400)], rng.integers(1, 30, 400))
    folds = deal_signers(signers, 5)
    counts = [np.isin(signers, fold).sum() for fold in folds]
    assert max(counts) - min(counts) <= 1
    split = signer_holdout(np.resize(["a", "b"], len(signers)), signers)
    assert len(split.protocol) < 2000
    assert "80 signers" in split.protocol


def test_numbers_of_thousands_of_digits_have_their_order():
    in_order = ["007", "9", "10", "9" * 5000, "a"]
    assert sorted_names(in_order[::-1]) == in_order
