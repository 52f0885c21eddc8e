"""What a researcher wants to know of a recognizer on a split, as plain tables."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from asl.clips.datamodule import Batch
from asl.recognizer.recognizer import Recognizer
from asl.training.metrics import sign_metrics


@dataclass(frozen=True)
class Predictions:
    """Scores of clips and the truth about them; row i of everything is the same clip.

    Attributes:
        scores: [clips, signs], logits or log-probabilities.
        signs: [clips], the true sign's index.
        signers: [clips], the signer's name.
        index: [clips], the clip's row in the store.
        names: the signs' names by index.
    """

    scores: NDArray[np.float32]
    signs: NDArray[np.int64]
    signers: NDArray[np.str_]
    index: NDArray[np.int64]
    names: list[str]

    @property
    def top(self) -> NDArray[np.int64]:
        """[clips], the index of the sign with the highest score."""
        return self.scores.argmax(axis=1)


@torch.inference_mode()
def predict_batches(
    recognizer: Recognizer, batches: DataLoader[Batch], signers: list[str]
) -> Predictions:
    """Run a recognizer over every batch; predictions come in the store's order.

    Args:
        recognizer: put into evaluation mode.
        batches: of any order.
        signers: the store's names by index.
    """
    recognizer.eval()
    device = next(recognizer.parameters()).device
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for batch in batches:
        logits = recognizer(batch.clips.to(device), batch.lengths.to(device))
        parts.append((logits.float().cpu(), batch.signs, batch.signers, batch.index))
    scores, signs, signer_index, index = (
        torch.cat(part).numpy() for part in zip(*parts, strict=True)
    )
    order = index.argsort(kind="stable")
    names = np.array(signers, dtype=str)[signer_index[order]]
    return Predictions(scores[order], signs[order], names, index[order], list(recognizer.signs))


def metrics(predictions: Predictions, prefix: str) -> dict[str, float]:
    """The workbench's metrics of these predictions, their names prefixed, `test/` say."""
    collection = sign_metrics(len(predictions.names)).clone(prefix=prefix)
    scores, signs = torch.from_numpy(predictions.scores), torch.from_numpy(predictions.signs)
    loss = {f"{prefix}loss": float(cross_entropy(scores, signs))}
    return loss | {name: float(value) for name, value in collection(scores, signs).items()}


def per_clip(predictions: Predictions, clips: pd.Series) -> pd.DataFrame:
    """What was recognised in each clip: clip, signer, sign, predicted, scores.

    Args:
        predictions: of some clips.
        clips: the name of each clip of the store.

    Returns:
        a row a clip; `attrs["signs"]` names the signs in the order of the scores.
    """
    names = np.array(predictions.names)
    table = pd.DataFrame(
        {
            "clip": clips.to_numpy()[predictions.index],
            "signer": predictions.signers,
            "sign": names[predictions.signs],
            "predicted": names[predictions.top],
            "scores": list(predictions.scores),
        }
    )
    table.attrs["signs"] = predictions.names
    return table


def confusion(predictions: Predictions) -> pd.DataFrame:
    """Clips counted by true sign (rows) and recognised sign (columns)."""
    size = len(predictions.names)
    counts = np.zeros((size, size), dtype=int)
    np.add.at(counts, (predictions.signs, predictions.top), 1)
    return pd.DataFrame(counts, index=predictions.names, columns=predictions.names)


def per_signer(predictions: Predictions) -> pd.DataFrame:
    """Clips and metrics of each signer, the hardest signer first."""
    rows = []
    for signer in sorted(set(predictions.signers)):
        chosen = predictions.signers == signer
        part = Predictions(
            predictions.scores[chosen],
            predictions.signs[chosen],
            predictions.signers[chosen],
            predictions.index[chosen],
            predictions.names,
        )
        rows.append({"signer": signer, "clips": int(chosen.sum()), **metrics(part, "")})
    return pd.DataFrame(rows).sort_values("accuracy", kind="stable").reset_index(drop=True)


def per_sign(predictions: Predictions) -> pd.DataFrame:
    """Clips, precision, recall and F1 of each sign that occurs, the hardest sign first."""
    counts = confusion(predictions).to_numpy()
    hits, true, recognised = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(invalid="ignore"):
        precision = np.where(recognised > 0, hits / recognised, 0.0)
        recall = np.where(true > 0, hits / true, 0.0)
        f1 = np.where(true + recognised > 0, 2 * hits / (true + recognised), 0.0)
    table = pd.DataFrame(
        {
            "sign": predictions.names,
            "clips": true,
            "precision": precision,
            "recall": recall,
            "f1": f1,
        }
    )
    return table[table["clips"] > 0].sort_values("f1", kind="stable").reset_index(drop=True)


def confused_pairs(predictions: Predictions, most: int = 20) -> pd.DataFrame:
    """The pairs of signs most often taken for one another, in either direction."""
    counts = confusion(predictions).to_numpy()
    both = counts + counts.T
    first, second = np.triu_indices(len(both), k=1)
    order = np.argsort(-both[first, second], kind="stable")[:most]
    rows = [
        {
            "sign": predictions.names[a],
            "other": predictions.names[b],
            "confused": int(both[a, b]),
            "sign_as_other": int(counts[a, b]),
            "other_as_sign": int(counts[b, a]),
        }
        for a, b in zip(first[order], second[order], strict=True)
        if both[a, b] > 0
    ]
    columns = ["sign", "other", "confused", "sign_as_other", "other_as_sign"]
    return pd.DataFrame(rows, columns=columns)
