"""The recognizer: raw landmarks in, a logit for each sign out, everything in between inside."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.preprocessing.handedness import AsRecorded
from asl.recognizer.preprocessing.presence import presence
from asl.recognizer.preprocessing.scalers import Batches, StatisticsScaler


class Recognizer(nn.Module):
    """Scale, make features, look at them over time, name the sign.

    It holds all that has to travel with the weights, so training, evaluation and the exported file
    preprocess clips by one and the same code.

    Args:
        landmarks: what it looks at.
        scaler: one of `asl.recognizer.preprocessing.scalers`.
        features: see `asl.recognizer.preprocessing.features`.
        backbone: a network with `width`, from `[B, T, F]` and a mask `[B, T]` to `[B, width]`.
        head: from `[B, width]` to logits; one of `asl.recognizer.heads.linear` and `arcface`.
        signs: their names, in the order of the logits.
        handedness: mirror_left of `asl.recognizer.preprocessing.handedness`; clips as recorded where None.
    """

    def __init__(
        self,
        landmarks: LandmarkSet,
        scaler: nn.Module,
        features: nn.Module,
        backbone: nn.Module,
        head: nn.Module,
        signs: Sequence[str],
        handedness: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.signs = list(signs)
        self.handedness = handedness or AsRecorded(landmarks)
        self.scaler = scaler
        self.features = features
        self.backbone = backbone
        self.head = head
        self.indices: Tensor
        self.register_buffer("indices", torch.tensor(landmarks.indices), persistent=False)

    def forward(self, clips: Tensor, lengths: Tensor | None) -> Tensor:
        """The logits of a batch; a padded clip's are those that it has alone.

        Args:
            clips: `[B, T, P, 3]`, already reduced to `landmarks.indices`; NaN where nothing was
                detected.
            lengths: `[B]`, frames of each clip, at least 1; None where all have T.

        Returns:
            `[B, S]`.
        """
        return self.head(self.backbone(*self.steps(clips, lengths)))

    def steps(self, clips: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the backbone is given of a batch; the arguments are those of `forward`.

        Returns:
            features `[B, T', F]` and a mask `[B, T']`, true for real time steps. No weight that is
            trained has a part in them.
        """
        values, present = self._placed(clips, lengths)
        values = self.scaler(values, present)
        own = self.landmarks.size
        if lengths is None:
            lengths = torch.full((len(clips),), clips.shape[1], device=clips.device)
        return self.features(values[:, :, :own], present[:, :, :own], lengths)

    def fit(self, batches: Batches) -> None:
        """Give a scaler that needs them the statistics of training clips.

        Args:
            batches: clips `[B, T, P, 3]` with NaN, and their lengths `[B]`.
        """
        if self.scaler.fitted:
            cast("StatisticsScaler", self.scaler).fit(self._as_scaled(batches))

    def _placed(self, clips: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        present = presence(clips, lengths)
        # Where it is 0, so is what is filled in: a tensor of zeros costs the phone more than this.
        values = torch.where(present > 0, clips, present)
        return self.handedness(values, present)

    def _as_scaled(self, batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches as the scaler will see them."""
        for clips, lengths in batches:
            values, present = self._placed(clips, lengths)
            yield torch.where(present > 0, values, torch.nan), lengths

    def recognise(self, clip: Tensor) -> Tensor:
        """The probability of each sign for one raw clip; what an exported file computes.

        Args:
            clip: `[n, N, 3]`, the layout's landmarks, NaN where nothing was detected; n >= 1.

        Returns:
            `[S]`, in the order of `signs`, summing to 1.
        """
        chosen = clip.index_select(1, self.indices)[None]  # [1, n, P, 3]
        return self.forward(chosen, None).softmax(-1)[0]
