"""A recognizer from the plain values that describe it, as configs and checkpoints hold them."""

from collections.abc import Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

from torch import nn

from asl.landmarks import LandmarkSet, landmark_set
from asl.recognizer.ensemble import Ensemble
from asl.recognizer.preprocessing.features import Features
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
    backbone = build_backbone(factory(spec["model"], "model"), features, landmarks)
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


def build_backbone(
    make: "partial[nn.Module]", features: Features, landmarks: LandmarkSet
) -> nn.Module:
    """A network for the features of these landmarks.

    Args:
        make: its class with options. One that has an argument `landmarks`, as a graph network has,
            is also given `places`: for each landmark, where its features are in a time step.
        features: what it sees.
        landmarks: of the recognizer.
    """
    inputs = features.size(landmarks.size)
    if "landmarks" not in signature(make.func).parameters:
        return make(inputs=inputs)
    places = features.places(landmarks.size)
    return make(inputs=inputs, landmarks=landmarks, places=places)
