"""Is one recognizer better than another? Paired tests on the clips that both answered."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import convolve
from scipy.stats import binom

from asl.evaluation.intervals import LEVEL, over_signers

FINEST = 1000  # answers to a clip, at most, whose shares are told apart

MIN_SIGNERS = 6  # an exact sign test needs six to reach p < .05; a bootstrap of fewer is too narrow


@dataclass(frozen=True)
class PairedTest:
    """The difference of two recognizers on the same clips, `new` minus `base`.

    Attributes:
        clips: how many both answered.
        signers: how many these are of.
        difference: of the accuracy.
        only_new: clips that only `new` recognises; where there are several answers to a clip, the
            sum of their shares.
        only_base: likewise.
        p_clips: exact two-sided p of `sign_flip_p`; McNemar's where a clip has one answer.
        signer_interval: 95 % interval of the difference for other signers; None where there are
            fewer than `MIN_SIGNERS`.
    """

    clips: int
    signers: int
    difference: float
    only_new: float
    only_base: float
    p_clips: float
    signer_interval: tuple[float, float] | None

    @property
    def differs_on_these_signers(self) -> bool:
        """Whether chance explains the difference in less than 5 of 100 cases."""
        return self.p_clips < 1 - LEVEL

    @property
    def differs_on_new_signers(self) -> bool:
        """Whether the interval for other signers leaves out zero."""
        if self.signer_interval is None:
            return False
        low, high = self.signer_interval
        return low > 0 or high < 0


def accuracy_by_clip(predictions: pd.DataFrame) -> pd.DataFrame:
    """The share of right answers over seeds by clip, with its signer and sign."""
    right = predictions["predicted"] == predictions["sign"]
    table = predictions.assign(accuracy=right.astype(float))
    return table.groupby("clip", sort=True).agg(
        signer=("signer", "first"), sign=("sign", "first"), accuracy=("accuracy", "mean")
    )


def compare_pair(new: pd.DataFrame, base: pd.DataFrame) -> PairedTest:
    """Test the difference of two recognizers.

    On clips of the same signers: McNemar's exact test (McNemar 1947; as Dietterich 1998 advises for
    two classifiers tested once), or `sign_flip_p` of several seeds. For other signers: the
    bootstrap over whole signers (Efron and Tibshirani 1993, chapter 13), as a signer's clips
    resemble each other.

    Args:
        new: `accuracy_by_clip` of one.
        base: that of the other; they have clips in common.
    """
    both = new.join(base[["accuracy"]], rsuffix="_base", how="inner")
    gain = (both["accuracy"] - both["accuracy_base"]).to_numpy()  # [clips]
    names = both["signer"].to_numpy(str)
    signers = len(set(names))
    return PairedTest(
        clips=len(both),
        signers=signers,
        difference=float(gain.mean()),
        only_new=float(gain[gain > 0].sum()),
        only_base=float(-gain[gain < 0].sum()),
        p_clips=sign_flip_p(gain),
        signer_interval=over_signers(gain, names) if signers >= MIN_SIGNERS else None,
    )


def sign_flip_p(gain: np.ndarray) -> float:
    """Exact two-sided p of Fisher's randomisation test for a mean of zero.

    How often a mean at least as far from zero comes about where each clip's gain keeps its size and
    has either sign with probability 1/2 (Fisher 1935, "The Design of Experiments", section 21).
    Where all gains are of one size, this is the sign test, and McNemar's.

    Args:
        gain: differences of two accuracies `[clips]`, each from -1 to 1.
    """
    units = next((u for u in range(1, FINEST) if _are_whole(gain * u)), FINEST)
    steps = np.rint(gain * units).astype(int)
    sums = np.ones(1)  # probability of each sum of signed steps, from the lowest to the highest
    for size, count in zip(*np.unique(np.abs(steps[steps != 0]), return_counts=True), strict=True):
        of_size = np.zeros(2 * size * count + 1)
        of_size[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        sums = convolve(sums, of_size)
    distance = np.abs(np.arange(len(sums)) - len(sums) // 2)
    return float(np.clip(sums[distance >= abs(steps.sum())].sum(), 0, 1))


def _are_whole(values: np.ndarray) -> bool:
    return np.allclose(values, np.rint(values), rtol=0, atol=1e-6)


def claim(new: str, base: str, test: PairedTest, not_new: str = "") -> str:
    """What may be said of the difference, in a sentence or two.

    Args:
        new: name of the one recognizer.
        base: name of the other.
        test: of `new` against `base`.
        not_new: why the signers of these clips are not new to both; empty where they are.
    """
    better, worse, sign = (new, base, 1) if test.difference >= 0 else (base, new, -1)
    points = f"{abs(test.difference) * 100:.1f} points"
    evidence = f"p = {test.p_clips:.3f}" if test.p_clips >= 0.001 else "p < 0.001"
    signers = _count(test.signers, "signer")
    clips = f"{test.clips:,} clips of {signers}"
    if not test.differs_on_these_signers:
        return (
            f"No difference between {new} and {base} may be claimed: {points} on {clips} "
            f"are within chance ({evidence})."
        )
    first = f"On {clips}, {better} is more accurate than {worse} by {points} ({evidence})."
    if not_new:
        return f"{first} Nothing may be claimed of new signers, as {not_new}."
    if test.signer_interval is None:
        only = f"there {'is' if test.signers == 1 else 'are'} only {signers}"
        return f"{first} Nothing may be claimed of new signers, as {only}."
    low, high = sorted(sign * 100 * end for end in test.signer_interval)
    interval = f"95 % interval {low:.1f} to {high:.1f} points over {signers}"
    if test.differs_on_new_signers:
        return f"{first} It may be expected on new signers too ({interval})."
    return f"{first} It may not be claimed of new signers ({interval})."


def by_group(new: pd.DataFrame, base: pd.DataFrame, group: str) -> pd.DataFrame:
    """Accuracy of both and the difference by signer, say, the largest gain first.

    Args:
        new: `accuracy_by_clip` of one.
        base: that of the other.
        group: `signer`, `sign`, or another column of `new`.
    """
    both = new.join(base[["accuracy"]], rsuffix="_base", how="inner")
    table = both.groupby(group).agg(
        clips=("accuracy", "size"), base=("accuracy_base", "mean"), new=("accuracy", "mean")
    )
    table["difference"] = table["new"] - table["base"]
    return table.sort_values("difference", ascending=False, kind="stable").reset_index()


def only_one(new: pd.DataFrame, base: pd.DataFrame) -> pd.DataFrame:
    """The clips that one always recognises and the other never does.

    Returns:
        clip, signer, sign, and recognised_by, which is `new` or `base`.
    """
    both = new.join(base[["accuracy"]], rsuffix="_base", how="inner").reset_index()
    gain = both["accuracy"] - both["accuracy_base"]
    both["recognised_by"] = np.where(gain > 0, "new", "base")
    return both.loc[gain.abs() == 1, ["clip", "signer", "sign", "recognised_by"]]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
