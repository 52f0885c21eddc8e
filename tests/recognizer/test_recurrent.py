import torch
from torch import nn

from asl.recognizer.backbones.recurrent import Recurrent

STEPS = torch.linspace(-3, 3, 2 * 7 * 5).sin().reshape(2, 7, 5)  # [B, T, F]
WHOLE = torch.ones(2, 7, dtype=torch.bool)


def test_both_directions_are_torchs_own_bidirectional_layers():
    ours = Recurrent(5, "gru", bidirectional=True, hidden=4, layers=2, pool="mean")
    theirs = nn.GRU(5, 4, num_layers=2, bidirectional=True, batch_first=True)
    weights = {}
    for number in (0, 1):
        for layer, suffix in ((ours.ahead[number], ""), (ours.back[number], "_reverse")):
            for name, value in layer.state_dict().items():
                weights[name.replace("l0", f"l{number}") + suffix] = value
    theirs.load_state_dict(weights)

    torch.testing.assert_close(ours(STEPS, WHOLE), theirs(STEPS)[0].mean(1))


def test_the_last_state_of_the_backward_direction_depends_on_every_step():
    network = Recurrent(5, "lstm", bidirectional=True, hidden=4, layers=1, pool="last").eval()
    changed = STEPS.clone()
    changed[:, 3] += 1

    before, after = network(STEPS, WHOLE), network(changed, WHOLE)

    assert (before - after).abs().amin(0).min() > 1e-7, (
        "a part of the summary does not depend on step 3"
    )


def test_recurrent_dropout_is_on_the_hidden_to_hidden_weights_and_only_in_training():
    torch.manual_seed(0)
    network = Recurrent(5, "lstm", hidden=4, layers=1, recurrent_dropout=0.5)
    first_step = torch.zeros(2, 7, dtype=torch.bool)
    first_step[:, 0] = True

    assert not torch.equal(network(STEPS, WHOLE), network(STEPS, WHOLE))
    assert torch.equal(network(STEPS, first_step), network(STEPS, first_step))
    network.eval()
    assert torch.equal(network(STEPS, WHOLE), network(STEPS, WHOLE))

    network.train()
    network(STEPS, WHOLE).sum().backward()
    assert network.ahead[0].weight_hh_l0.grad.abs().sum() > 0
