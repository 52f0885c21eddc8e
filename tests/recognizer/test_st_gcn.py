import pytest
import torch
from torch.nn.functional import cross_entropy

from asl.errors import UserError
from asl.landmarks import landmark_set
from asl.recognizer.backbones.st_gcn import Block, StGcn, bone_graph
from asl.recognizer.build import build_recognizer

KINECT = landmark_set("kinect20")
HAND, WRIST, ELBOW, SHOULDER, FOOT = 8, 6, 4, 2, 18
# Of each joint x, y and z.
PLACES = tuple(tuple(range(3 * joint, 3 * joint + 3)) for joint in range(20))


def network(landmarks=KINECT, places=PLACES, inputs=60, **options):
    torch.manual_seed(0)
    return StGcn(inputs, landmarks, places, **{"hidden": 8, **options})


def test_a_fresh_block_reaches_landmarks_up_to_three_bones_away():
    torch.manual_seed(0)
    block = Block(bone_graph(KINECT), 8, dropout=0.0).eval()
    points = torch.rand(1, 9, 20, 8)
    moved = points.clone()
    moved[:, :, HAND] += 1.0
    mask = torch.ones(1, 9, dtype=torch.bool)

    changed = (block(moved, mask) - block(points, mask)).abs().amax((0, 1, 3)) > 1e-6

    assert changed.nonzero().flatten().tolist() == [SHOULDER, ELBOW, WRIST, HAND]


def test_which_joint_moves_can_be_learned():
    """Two signs are the same movement, of the left or of the right hand."""
    model = network(layers=2, pool="mean").train()
    head = torch.nn.Linear(model.width, 2)
    clips = torch.zeros(2, 16, 20, 3)
    clips[0, :, HAND, 1] = clips[1, :, HAND + 1, 1] = torch.linspace(-1, 1, 16)
    steps, mask = clips.flatten(2), torch.ones(2, 16, dtype=torch.bool)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        loss = cross_entropy(head(model(steps, mask)), torch.tensor([0, 1]))
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_the_graph_is_learned():
    model = network(layers=1).train()
    before = model.blocks[0].graph.clone()
    model(torch.randn(2, 9, 60), torch.ones(2, 9, dtype=torch.bool)).square().sum().backward()
    # weights of landmarks without a bone between them, too
    assert model.blocks[0].graph.grad[:, HAND, FOOT].abs().sum() > 0
    assert before[:, HAND, FOOT].eq(0).all()


def test_features_of_no_single_landmark_are_seen():
    model = network(inputs=62).eval()
    steps, mask = torch.rand(1, 9, 62), torch.ones(1, 9, dtype=torch.bool)
    other = steps.clone()
    other[:, :, 60:] += 1.0
    assert (model(steps, mask) - model(other, mask)).abs().max() > 1e-4


def test_the_order_of_the_terms_does_not_matter_to_a_landmark():
    """The recognizer says where each landmark's features are, whatever stands between them."""
    spec = {
        "landmarks": {"name": "kinect20"},
        "scaler": {"_target_": "asl.recognizer.preprocessing.scalers.Identity"},
        "features": {"_target_": "asl.recognizer.preprocessing.features.Features"},
        "model": {"_target_": "asl.recognizer.backbones.st_gcn.StGcn", "hidden": 8},
        "head": {"_target_": "asl.recognizer.heads.linear.LinearHead"},
    }
    clip, logits = torch.rand(1, 9, 20, 3), []
    for terms in (["position", "lag1", "distances"], ["position", "distances", "lag1"]):
        torch.manual_seed(0)
        features = spec["features"] | {"terms": terms}
        recognizer = build_recognizer(spec | {"features": features}, ["a", "b"]).eval()
        logits.append(recognizer(clip, None))
    torch.testing.assert_close(*logits)


def test_channels_that_cannot_be_grouped_are_refused():
    with pytest.raises(UserError, match=r"model\.hidden=10: choose from multiples of 4"):
        network(hidden=10)


def test_features_without_landmarks_are_refused():
    with pytest.raises(UserError, match=r"features\.terms"):
        network(places=((),) * 20, inputs=5)
