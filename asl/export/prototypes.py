"""Prototypes of enrolled clips, and how their evidence is blended with the network's probabilities.

A prototype is the mean embedding of a sign's enrolled clips, at length 1, as in "Prototypical
Networks" (Snell et al. 2017, arXiv 1703.05175). The evidence of a clip's embedding `e` for a sign
with prototype `m` is added to the logarithm of the network's probability, which is a product of the
linear head and the prototypes' softmax:

    temperature * k / (k + examples) * (e . m - reference)

with k the sign's number of enrolled clips. So a first clip counts less than a third, and a clip
that is less alike than the reference speaks against the sign. A sign that the network does not know
begins where the network's best sign is: its prototype alone decides between the two. A clip for
which a prototype speaks is less unknown by the same evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 1e-30
"""Of a probability, before its logarithm."""


Head = tuple[np.ndarray, np.ndarray]
"""The linear layer of `prototype_head`: weights `[signs, width]` and biases `[signs]`."""


@dataclass(frozen=True)
class Blend:
    """How much prototypes count.

    Attributes:
        temperature: factor of a cosine.
        reference: the cosine that speaks neither for nor against a sign.
        examples: number of enrolled clips at which a prototype has half of its full weight.
    """

    temperature: float
    reference: float
    examples: float


DEFAULT = Blend(temperature=24.0, reference=0.5, examples=1.0)
"""What `benchmarks/enrolment.py` chooses on isl30; an export writes it into the file."""


def prototype_head(
    embeddings: np.ndarray, signs: Sequence[int] | np.ndarray, count: int, blend: Blend
) -> Head:
    """The linear layer from an embedding to the evidence of prototypes for each sign.

    Args:
        embeddings: of the enrolled clips, float32 `[clips, width]`, of length 1.
        signs: the index of each clip's sign.
        count: number of signs.
        blend: how much prototypes count.

    Returns:
        weights `[count, width]` and biases `[count]`; zeros for signs without a clip.
    """
    weights = np.zeros((count, embeddings.shape[1]))
    np.add.at(weights, np.asarray(signs, int), embeddings.astype(float))
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    clips = np.bincount(np.asarray(signs, int), minlength=count)
    factors = blend.temperature * clips / (clips + blend.examples)
    weights = weights / np.maximum(lengths, 1e-9) * factors[:, None]
    return weights.astype(np.float32), (-blend.reference * factors).astype(np.float32)


def unknown_left(unknown: np.ndarray, embeddings: np.ndarray, head: Head) -> np.ndarray:
    """The score `unknown` of clips after enrolment, `[clips, 1]`.

    Args:
        unknown: the score before enrolment, `[clips, 1]`.
        embeddings: `[clips, width]`.
        head: of all signs.
    """
    evidence = (embeddings @ head[0].T + head[1]).max(axis=1, keepdims=True)
    return np.asarray(unknown * np.exp(-np.maximum(evidence, 0)))


def blended(probabilities: np.ndarray, embeddings: np.ndarray, head: Head) -> np.ndarray:
    """The probabilities that an enrolled file answers.

    Args:
        probabilities: the network's, `[clips, signs]`.
        embeddings: `[clips, width]`.
        head: of the network's signs and new ones after them.

    Returns:
        probabilities `[clips, signs + new]`.
    """
    logarithms = np.log(np.maximum(probabilities, LEAST))
    new = len(head[1]) - probabilities.shape[1]
    best = logarithms.max(axis=1, keepdims=True)
    scores = np.concatenate([logarithms, np.repeat(best, new, axis=1)], axis=1)
    scores = scores + embeddings @ head[0].T + head[1]
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
