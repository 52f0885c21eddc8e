"""Metrics: those of every epoch, and those that are computed once, from all scores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from torchmetrics.functional.classification import multiclass_accuracy


def sign_metrics(signs: int) -> MetricCollection:
    """Accuracy over clips (top-1, top-5), and precision, recall and F1 macro-averaged over signs.

    With one prediction per clip the micro averages of precision, recall and F1 all equal accuracy.
    They average over the signs with clips here and those that were predicted, as scikit-learn does:
    a sign without a clip counts 0 once it is predicted, and is left out otherwise.
    """
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(signs, average="micro"),
            "accuracy_top5": MulticlassAccuracy(signs, average="micro", top_k=min(5, signs)),
            "precision": MulticlassPrecision(signs, average="macro"),
            "recall": MulticlassRecall(signs, average="macro"),
            "f1": MulticlassF1Score(signs, average="macro"),
        },
        compute_groups=[["accuracy"], ["accuracy_top5"], ["precision", "recall", "f1"]],
    )


@contextmanager
def allow_nondeterministic() -> Iterator[None]:
    """Allow nondeterministic algorithms, for counts: integer sums do not depend on the order.

    Under deterministic algorithms torchmetrics compares every clip with every pair of signs; with
    250 signs that takes 12 ms for 64 clips instead of .8.
    """
    mode = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)


def top_accuracy(scores: Tensor, signs: Tensor, k: int) -> float:
    """The share of clips whose true sign is among the k with the highest scores.

    Args:
        scores: [clips, signs].
        signs: [clips], the true sign's index.
        k: with at most k signs the result is 1.
    """
    size = scores.shape[1]
    return float(multiclass_accuracy(scores, signs, size, average="micro", top_k=min(k, size)))


def mean_reciprocal_rank(scores: Tensor, signs: Tensor) -> float:
    """The mean over clips of 1 / rank of the true sign, the sign with the highest score being 1st.

    Voorhees 1999, the TREC-8 question answering track; ASL Citizen (Desai et al. 2023) reports it
    of sign recognizers. Tied signs share the mean of their ranks, so that a recognizer that
    scores all signs alike gains nothing. (torchmetrics' RetrievalMRR loops over clips one by one.)

    Args:
        scores: [clips, signs].
        signs: [clips], the true sign's index.
    """
    true = scores.gather(1, signs[:, None])
    above = (scores > true).sum(dim=1)
    equal = (scores == true).sum(dim=1) - 1
    return float(torch.mean(1 / (1 + above + equal / 2)))
