"""Every choice composes with every other, is found sound, and trains a batch."""

import functools
import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from asl.config.plan import choices, plan
from asl.landmarks import LANDMARK_SETS
from asl.recognizer.build import build_recognizer
from asl.runs.plan import RunPlan
from asl.training.augment import Augmentation

composed = functools.cache(plan)  # composing takes much longer than training a batch


def trains(chosen: RunPlan) -> None:
    torch.manual_seed(0)
    recognizer = build_recognizer(chosen.recognizer, ["a", "b", "c"])
    channels = len(recognizer.landmarks.layout.channels)
    clips = torch.rand(4, 12, len(recognizer.landmarks.indices), channels)
    clips[torch.rand(4, 12, 1, 1).expand_as(clips) < 0.2] = torch.nan
    lengths = torch.tensor([12, 7, 2, 1])
    recognizer.fit([(clips, lengths)])
    optimizer, schedule = chosen.optimizer(parameters=recognizer.parameters(), steps=3)
    operations = {name: make() for name, make in chosen.augment.items()}
    augmented, lengths = Augmentation(operations, recognizer.landmarks)(clips, lengths)
    before = [p.clone() for p in recognizer.parameters()]
    loss = F.cross_entropy(recognizer(augmented, lengths), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimizer.step()
    schedule.step()
    assert torch.isfinite(loss)
    changed = zip(before, recognizer.parameters(), strict=True)
    assert any(not torch.equal(old, new) for old, new in changed)


def fits(scaler: str, landmarks: str) -> bool:
    """Whether the landmarks have what the scaler measures: hands, bones in space, a body."""
    chosen = LANDMARK_SETS[landmarks]
    needed = {"hands": chosen.left_hand, "skeleton": chosen.layout.skeleton}
    needed |= dict.fromkeys(("body", "gislr_1st"), chosen.layout.reference)
    return bool(needed.get(scaler, True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "scaler", "landmarks"),
    [
        (model, scaler, landmarks)
        for model, scaler, landmarks in itertools.product(
            choices("model"), choices("scaler"), sorted(LANDMARK_SETS)
        )
        if fits(scaler, landmarks)
    ],
)
def test_every_network_takes_every_scaler_and_every_landmark_set(model, scaler, landmarks):
    chosen = composed(f"scaler={scaler}", f"landmarks={landmarks}")
    network = composed(f"model={model}", "model.hidden=8").recognizer["model"]
    trains(replace(chosen, recognizer={**chosen.recognizer, "model": network}))


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={choice}"
        for group in ("features", "head", "regularization", "augment", "optimizer", "split")
        for choice in choices(group)
    ],
)
def test_every_other_choice_trains(override):
    trains(plan(override, "model.hidden=8"))


@pytest.mark.parametrize("data", choices("data"))
@pytest.mark.parametrize("trainer", choices("trainer"))
def test_data_and_trainer_choices_are_sound(data, trainer):
    plan(f"data={data}", f"trainer={trainer}")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment_trains(experiment):
    kinect = experiment.startswith("isl30") or "kinect" in experiment
    data = "isl30" if kinect else "auslan95" if experiment.startswith("auslan95") else "words15"
    trains(plan(f"+experiment={experiment}", f"data={data}", "model.hidden=8"))


def test_augment_chosen_by_hand_wins_over_the_regularizations_own():
    assert not plan("regularization=strong", "augment=none").augment
    assert plan("regularization=strong").augment
