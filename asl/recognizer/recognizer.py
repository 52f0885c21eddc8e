"""The recognizer: raw landmarks in, one logit per sign out, all preprocessing included."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from asl.landmarks import LandmarkSet
from asl.recognizer.answers import Answers
from asl.recognizer.preprocessing.facing import shoulder_line, shoulder_rows, turned_away
from asl.recognizer.preprocessing.handedness import AsRecorded
from asl.recognizer.preprocessing.impute import AsDetected
from asl.recognizer.preprocessing.measured import MeasuredScaler
from asl.recognizer.preprocessing.presence import detected_frames, presence
from asl.recognizer.preprocessing.scalers import SMALLEST, Batches, FittedScaler


class Recognizer(nn.Module):
    """Mirrors, fills, scales, makes features, encodes them over time, classifies.

    It holds everything that travels with the weights, so that training, evaluation and the exported
    file share one implementation of the preprocessing.

    Training calls `steps`, `backbone` and `head` one by one instead of `forward`, because some
    regularizers act between them: mixup on features, late dropout on the summary, and a margin on
    the head's targets (`asl.training.module`).

    Args:
        landmarks: the landmarks that it sees.
        scaler: one of `asl.recognizer.preprocessing.scalers`; of coordinates alone. Measured
            channels, where the layout has some, are scaled by `MeasuredScaler`.
        features: see `asl.recognizer.preprocessing.features`.
        backbone: a network of `asl.recognizer.backbones`: from features `[B, T', F]` and a mask
            `[B, T']` to a summary `[B, width]`, with `width` as an attribute.
        head: from the summary to logits `[B, S]`; one of `asl.recognizer.heads`.
        signs: their names, in the order of the logits.
        handedness: one of `asl.recognizer.preprocessing.handedness`; clips as recorded where None.
        impute: one of `asl.recognizer.preprocessing.impute`; missing landmarks stay so where None.

    Attributes:
        answers: from logits and summary to the outputs of an exported file. An export replaces
            it by one that is fitted to clips; checkpoints do not hold it.
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
        impute: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.signs = list(signs)
        self.handedness = handedness or AsRecorded(landmarks)
        self.impute = impute or AsDetected(landmarks)
        self.scaler = scaler
        self.measured = MeasuredScaler(landmarks) if landmarks.layout.measured else None
        self.features = features
        self.backbone = backbone
        self.head = head
        self.answers = Answers()
        self.indices = nn.Buffer(torch.tensor(landmarks.indices), persistent=False)

    def forward(self, clips: Tensor, lengths: Tensor | None) -> Tensor:
        """The logits of a batch; padding does not change a clip's logits.

        Args:
            clips: `[B, T, P, C]`, already reduced to `landmarks.indices`; NaN where nothing was
                detected. C is the number of the layout's channels.
            lengths: `[B]`, frames of each clip, at least 1; None where all have T.

        Returns:
            `[B, S]`.
        """
        return self.summarise(clips, lengths)[0]

    def summarise(self, clips: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """The logits of a batch `[B, S]`, and the summaries that they are made of, `[B, width]`."""
        summary = self.backbone(*self.steps(clips, lengths))
        return self.head(summary), summary

    def steps(self, clips: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """The backbone's input, which depends on no trainable weight.

        Args:
            clips: as for `forward`.
            lengths: as for `forward`.

        Returns:
            features `[B, T', F]` and a mask `[B, T']`, true for real time steps.
        """
        recorded, present = self._values(clips, lengths)
        values = self._scaled(recorded, present)
        size = self.landmarks.size
        if lengths is None:
            lengths = torch.full((len(clips),), clips.shape[1], device=clips.device)
        own = values[:, :, :size], present[:, :, :size], lengths
        if not getattr(self.features, "sees_turn", False):
            return self.features(*own)
        # Before scaling, which turns clips to the front.
        line = shoulder_line(recorded, present, shoulder_rows(self.landmarks))
        return self.features(*own, turned_away(line, SMALLEST))

    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fit the scalers to training clips, as far as they have statistics.

        Args:
            batches: clips `[B, T, P, C]` with NaN, and their lengths `[B]`; those of a layout with
                measured channels are held in memory.
        """
        values: Batches = (self._values(clips, lengths) for clips, lengths in batches)
        if self.measured is not None:
            values = list(values)
            self.measured.fit((of[..., 3:], present[..., 3:]) for of, present in values)
            values = [(of[..., :3], present[..., :3]) for of, present in values]
        if isinstance(self.scaler, FittedScaler):
            self.scaler.fit(values)

    def recognise(self, clip: Tensor, *, padded: bool = False) -> Tensor:
        """The probability of each sign for one raw clip.

        Args:
            clip: `[n, N, C]`, the layout's landmarks, NaN where nothing was detected; n >= 1.
            padded: whether frames at its end without any landmark are padding.

        Returns:
            `[S]`, in the order of `signs`, summing to 1.
        """
        return self.describe(clip, padded=padded)["outputs"]

    def describe(self, clip: Tensor, *, padded: bool = False) -> dict[str, Tensor]:
        """All outputs of an exported file for one raw clip, by their names.

        Args:
            clip: as for `recognise`.
            padded: likewise.

        Returns:
            what `asl.recognizer.answers.Answers` gives, without the axis of the batch.
        """
        clips = clip.index_select(1, self.indices)[None]  # [1, n, P, 3]
        lengths = detected_frames(clip)[None] if padded else None
        answers = self.answers(*self.summarise(clips, lengths))
        return {name: answer[0] for name, answer in answers.items()}

    def _values(self, clips: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values, finite everywhere, and presence, both `[B, T, P, C]`: the scalers' input."""
        present = presence(clips, lengths)
        # Where presence is 0, so is the value: a tensor of zeros costs more on a phone.
        values = torch.where(present > 0, clips, present)
        values, present = self.handedness(values, present)
        return self.impute(values, present, lengths)

    def _scaled(self, values: Tensor, present: Tensor) -> Tensor:
        """Scaled values `[B, T, P, C]`."""
        if self.measured is None:
            return self.scaler(values, present)
        coordinates = self.scaler(values[..., :3], present[..., :3])
        return torch.cat([coordinates, self.measured(values[..., 3:])], dim=-1)
