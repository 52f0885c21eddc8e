import pytest
import torch

from asl.evaluation.metrics import allow_nondeterministic, sign_metrics


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def test_nondeterministic_counts_are_equal_and_the_setting_is_restored(deterministic):
    torch.manual_seed(0)
    scores, signs = torch.randn(64, 20), torch.randint(20, (64,))
    ordered, free = sign_metrics(20), sign_metrics(20)

    ordered.update(scores, signs)
    with allow_nondeterministic():
        free.update(scores, signs)

    assert torch.is_deterministic_algorithms_warn_only_enabled()
    for name, value in ordered.compute().items():
        assert free.compute()[name] == value, name
