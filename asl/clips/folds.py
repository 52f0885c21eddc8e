"""Signers dealt into folds with nearly equal numbers of clips."""

from itertools import combinations

import numpy as np

from asl.clips.names import Names, as_text, natural


def deal_signers(signers: Names, folds: int) -> list[list[str]]:
    """Deals signers into folds with numbers of clips as equal as possible.

    Greedy (the signer with most clips goes to the fold with fewest), then folds exchange up to two
    signers for up to two, for as long as that brings their numbers of clips closer.

    Args:
        signers: signer of each clip.
        folds: number of folds.

    Returns:
        The signers of each fold.
    """
    names, counts = np.unique(as_text(signers), return_counts=True)
    clips = dict(zip(names.tolist(), counts.tolist(), strict=True))
    dealt: list[list[str]] = [[] for _ in range(folds)]
    for name in sorted(clips, key=lambda name: (-clips[name], natural(name))):
        min(dealt, key=lambda fold: sum(clips[other] for other in fold)).append(name)
    while any(_exchange(a, b, clips) for a, b in combinations(dealt, 2)):
        pass
    return [sorted(fold, key=natural) for fold in dealt]


def _exchange(a: list[str], b: list[str], clips: dict[str, int]) -> bool:
    """Makes the exchange that brings two folds' numbers of clips closest; False where none does."""
    gap = sum(clips[name] for name in a) - sum(clips[name] for name in b)
    if abs(gap) <= 1:
        return False
    from_a, from_b = _up_to_two(a), _up_to_two(b)
    sizes = [
        np.array([sum(map(clips.__getitem__, names)) for names in some])
        for some in (from_a, from_b)
    ]
    gaps = np.abs(gap - 2 * np.subtract.outer(*sizes))  # [from_a, from_b]
    change = np.subtract.outer(*([len(names) for names in some] for some in (from_a, from_b)))
    gaps[(change >= len(a)) | (-change >= len(b))] = abs(gap)  # would leave a fold empty
    first, second = np.unravel_index(gaps.argmin(), gaps.shape)
    if gaps[first, second] >= abs(gap):
        return False
    leaving, coming = from_a[first], from_b[second]
    a[:] = [*(name for name in a if name not in leaving), *coming]
    b[:] = [*(name for name in b if name not in coming), *leaving]
    return True


def _up_to_two(names: list[str]) -> list[tuple[str, ...]]:
    return [(), *combinations(names, 1), *combinations(names, 2)]
