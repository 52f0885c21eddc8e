"""What right-handed and left-handed signers get: each way to treat handedness, on both.

    python -m benchmarks.handedness +experiment=ablation data=words15 split=leave_one_signer_out
    python -m benchmarks.handedness +experiment=ablation data=isl30 split=signer_kfold split.folds=2

A left-handed signer makes a sign's mirror image, so the test clips of right-handed signers are
tested twice: as they are, and mirrored. `both ways` recognises each clip and its mirror image by
the same network and averages the probabilities, which takes twice as long.

It goes on where it was interrupted; results go to experiments/README.md.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from asl.clips.datamodule import ClipDataModule
from asl.config.plan import plan
from asl.training.augment import Mirror
from benchmarks.held_out import Network, chosen, networks

MIRROR_LEFT = "handedness=mirror_left"
WAYS = {
    "nothing mirrored": ["handedness=recorded", "augment.mirror.p=0"],
    "training clips mirrored with p = .5": ["handedness=recorded", "augment.mirror.p=0.5"],
    "`mirror_left`": [MIRROR_LEFT, "augment.mirror.p=0"],
    "`mirror_left`, training clips mirrored": [MIRROR_LEFT, "augment.mirror.p=0.5"],
    "`mirror_left` with a margin of 1.5, training clips mirrored": [
        MIRROR_LEFT,
        "handedness.margin=1.5",
        "augment.mirror.p=0.5",
    ],
}


def main() -> None:
    """Train what is missing, test, print a table."""
    options = chosen("handedness", __doc__)
    print("| handedness | right-handed | left-handed | both ways | by fold: right · left |")
    print("|---|---|---|---|---|")
    for name, overrides in WAYS.items():
        run_plan = plan(*options.overrides, *overrides)
        print(_row(name, networks(run_plan, options.tracker, options.folds)), flush=True)


def _row(name: str, trained: Iterable[Network]) -> str:
    folds = np.array([accuracies(network) for network in trained])
    means = " | ".join(f"{accuracy:.4f}" for accuracy in folds.mean(axis=0))
    by_fold = ", ".join(f"{right:.3f} · {left:.3f}" for right, left, _ in folds)
    return f"| {name} | {means} | {by_fold} |"


def accuracies(network: Network) -> tuple[float, float, float]:
    """Accuracy on the test clips as they are, on their mirror images, and both ways."""
    right, left, signs = (torch.cat(part) for part in zip(*_logits(network), strict=True))
    both = right.softmax(1) + left.softmax(1)
    scores = right, left, both
    found = [float((score.argmax(1) == signs).double().mean()) for score in scores]
    return found[0], found[1], found[2]


@torch.inference_mode()
def _logits(network: Network) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Of each batch: logits of the clips and of their mirror images, and the signs."""
    recognizer, mirror = network.recognizer, Mirror(p=1.0)
    data = ClipDataModule(network.store, network.split, recognizer.landmarks)
    for batch in data.test_dataloader():
        mirrored, _ = mirror(batch.clips, batch.lengths, recognizer.landmarks)
        pair = (recognizer(clips, batch.lengths) for clips in (batch.clips, mirrored))
        yield (*pair, batch.signs)  # type: ignore[misc]


if __name__ == "__main__":
    main()
