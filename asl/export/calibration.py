"""What an export fits to clips: the centre of embeddings, and the score that a clip is no sign."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asl.clips.split import Split
from asl.export.no_signs import no_signs
from asl.recognizer.answers import Answers
from asl.recognizer.layers.unit import unit
from asl.recognizer.recognizer import Recognizer
from asl.recognizer.rejection import Rejection, rejection_features

ACCEPTED = 0.95
"""Share of the clips of validation signers that the threshold of `unknown` accepts."""

ACCEPTED_OF_TRAINED = 0.99
"""The same where training had clips of these signers, too: a network is surer of them than of new
signers, of whose clips 0.95 accepts about .89, and 0.99 about .96 (`benchmarks/rejection.py`)."""

FEWEST = 20
"""Validation clips that it takes to know that share."""

MADE_OF = 100
"""Validation clips that clips without a sign are made of, one of each kind."""


def accepted_share(split: Split) -> float:
    """The share of a split's validation clips that the threshold of `unknown` accepts."""
    return ACCEPTED if split.val_signer_independent else ACCEPTED_OF_TRAINED


class Labelled(NamedTuple):
    """Clips, float32 [n, N, C] each, and the index of each one's sign."""

    clips: list[np.ndarray]
    signs: np.ndarray


class NetworkOutputs(NamedTuple):
    """The logits of clips `[clips, S]`, and their summaries `[clips, width]`."""

    logits: Tensor
    summaries: Tensor


def fit_answers(
    recognizer: Recognizer,
    training: Labelled,
    validation: Labelled | None = None,
    accepted: float = ACCEPTED,
) -> tuple[Answers, dict[str, float]]:
    """Answers whose embeddings are centred on training clips, and that may know what is no sign.

    Args:
        recognizer: on the CPU, in evaluation mode.
        training: clips of the training.
        validation: clips that were not trained on; without them, or with too few, there is no
            score that a clip is unknown.
        accepted: the share of validation clips below the threshold of that score.

    Returns:
        the answers; `threshold` of that score, the share `accepted` of validation clips below it,
        and their number `clips`; empty without such a score.
    """
    trained = summarise(recognizer, training.clips)
    centre = trained.summaries.mean(0)
    if validation is None or len(validation.clips) < FEWEST:
        return Answers(centre), {}
    prototypes = _prototypes(unit(trained.summaries - centre), training.signs, trained.logits)

    def features(clips: Sequence[np.ndarray]) -> Tensor:
        outputs = summarise(recognizer, clips)
        return rejection_features(outputs.logits, outputs.summaries - centre, prototypes)

    signs = features(validation.clips)
    made = no_signs(validation.clips[:MADE_OF], validation.signs[:MADE_OF])
    others = features([clip for kind in made.values() for clip in kind])
    rejection = Rejection(*logistic_regression(signs, others), prototypes)
    scores = torch.sigmoid(signs @ rejection.weights + rejection.bias)
    threshold = float(torch.quantile(scores, accepted))
    facts = {"threshold": threshold, "accepted": accepted, "clips": len(validation.clips)}
    return Answers(centre, rejection), facts


@torch.no_grad()
def summarise(recognizer: Recognizer, clips: Sequence[np.ndarray]) -> NetworkOutputs:
    """The outputs of a recognizer's network for clips."""
    outputs = []
    for clip in clips:
        selected = torch.from_numpy(clip).index_select(1, recognizer.indices)[None]
        outputs.append(recognizer.summarise(selected, None))
    return NetworkOutputs(*(torch.cat(part) for part in zip(*outputs, strict=True)))


def _prototypes(embeddings: Tensor, signs: np.ndarray, logits: Tensor) -> Tensor:
    """The mean embedding of each sign at length 1, `[S, width]`; zeros for a sign without clips."""
    sums = torch.zeros(logits.shape[1], embeddings.shape[1])
    return unit(sums.index_add(0, torch.from_numpy(signs), embeddings))


def logistic_regression(signs: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Weights `[F]` and bias of the logarithm of the odds that a clip is no sign.

    Both kinds of clips count alike, however many there are.

    Args:
        signs: features of clips of signs, `[clips, F]`.
        others: of clips that are none.
    """
    from sklearn.linear_model import LogisticRegression

    values = torch.cat([signs, others]).double()
    mean, deviation = values.mean(0), values.std(0) + 1e-6
    is_other = np.repeat([0, 1], [len(signs), len(others)])
    regression = LogisticRegression(class_weight="balanced")
    regression.fit(((values - mean) / deviation).numpy(), is_other)
    weights = torch.from_numpy(regression.coef_[0]) / deviation
    bias = torch.tensor(regression.intercept_[0]) - weights @ mean
    return weights.float(), bias.float()
