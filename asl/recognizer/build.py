"""A recognizer from the plain values that describe it, as configs and checkpoints hold them."""

from collections.abc import Mapping, Sequence
from typing import Any

from asl.landmarks import landmark_set
from asl.recognizer.ensemble import Ensemble
from asl.recognizer.recognizer import Recognizer
from asl.targets import factory

# The parts of a spec; the config groups of the same names choose them.
PARTS = ("landmarks", "handedness", "impute", "scaler", "features", "model", "head")


def build_recognizer(spec: Mapping[str, Any], signs: Sequence[str]) -> Recognizer:
    """Build the recognizer that a spec describes, with fresh weights.

    Args:
        spec: for each of `PARTS` a mapping that names its class and options
            (`asl.targets.factory`), or for landmarks their `name`; an ensemble's spec has `members`
            that are such specs. Without `handedness` clips stay as recorded, without `impute`
            missing landmarks stay missing.
        signs: in the order of the logits.

    Raises:
        UserError: the spec names unknown landmarks or an unknown class.
    """
    if "members" in spec:
        return Ensemble([build_recognizer(member, signs) for member in spec["members"]])
    landmarks = landmark_set(spec["landmarks"]["name"])
    features = factory(spec["features"], "features")(landmarks=landmarks)
    backbone = factory(spec["model"], "model")(inputs=features.size(landmarks.size))
    handedness, impute = spec.get("handedness"), spec.get("impute")
    return Recognizer(
        landmarks=landmarks,
        scaler=factory(spec["scaler"], "scaler")(landmarks=landmarks),
        features=features,
        backbone=backbone,
        head=factory(spec["head"], "head")(width=backbone.width, signs=len(signs)),
        signs=signs,
        handedness=factory(handedness, "handedness")(landmarks=landmarks) if handedness else None,
        impute=factory(impute, "impute")(landmarks=landmarks) if impute else None,
    )
