"""A recognizer's scores of clips, with their true signs and signers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from asl.clips.datamodule import Batch
from asl.clips.store import ClipStore
from asl.errors import UserError
from asl.recognizer.recognizer import Recognizer


@dataclass(frozen=True)
class Predictions:
    """Scores and true labels of clips; row i of every array is the same clip.

    Attributes:
        scores: [clips, signs], logits or log-probabilities.
        signs: [clips], the true sign's index.
        signers: [clips], the signer's name.
        index: [clips], the clip's row in the store.
        names: the signs' names by index.

    Raises:
        UserError: a score is not finite, so that nothing can be measured.
    """

    scores: NDArray[np.float32]
    signs: NDArray[np.int64]
    signers: NDArray[np.str_]
    index: NDArray[np.int64]
    names: list[str]

    def __post_init__(self) -> None:
        invalid = int((~np.isfinite(self.scores).all(axis=1)).sum())
        if invalid:
            raise UserError(
                f"no finite scores for {invalid:,} of {len(self.scores):,} clips, so nothing "
                "can be measured: the recognizer's training diverged, or coordinates are huge"
            )

    @property
    def top(self) -> NDArray[np.int64]:
        """[clips], the index of the sign with the highest score."""
        return self.scores.argmax(axis=1)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """[clips], whether `top` is the true sign."""
        return self.top == self.signs

    def of(self, rows: NDArray[np.bool_]) -> "Predictions":
        """Those of some clips, selected by a mask [clips]."""
        return Predictions(
            self.scores[rows], self.signs[rows], self.signers[rows], self.index[rows], self.names
        )


@torch.inference_mode()
def predict_batches(
    recognizer: Recognizer, batches: DataLoader[Batch], signers: list[str]
) -> Predictions:
    """Run a recognizer over every batch; predictions are in the store's order.

    Args:
        recognizer: put into evaluation mode.
        batches: in any order.
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


def per_clip(predictions: Predictions, store: ClipStore) -> pd.DataFrame:
    """The predictions as a table: clip, signer, sign, predicted, the clips' columns, scores.

    Args:
        predictions: of clips of the store.
        store: the clips.

    Returns:
        One row per clip; `attrs["signs"]` names the signs in the order of the scores.
    """
    names = np.array(predictions.names)
    table = pd.DataFrame(
        {
            "clip": store.clips["path"].to_numpy()[predictions.index],
            "signer": predictions.signers,
            "sign": names[predictions.signs],
            "predicted": names[predictions.top],
            **{name: texts[predictions.index] for name, texts in store.columns.items()},
            "scores": list(predictions.scores),
        }
    )
    table.attrs["signs"] = predictions.names
    return table
