"""The four metrics of every run, and top-5 accuracy; built once and cloned for each split."""

from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)


def sign_metrics(signs: int) -> MetricCollection:
    """Accuracy over clips (top-1, top-5), and precision, recall and F1 averaged over signs.

    Precision, recall and F1 are macro averages: with one answer a clip their micro averages all
    equal accuracy. A sign that is neither present nor predicted does not count.
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
