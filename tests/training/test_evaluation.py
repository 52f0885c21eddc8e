import numpy as np
import torch

from asl.clips.datamodule import ClipDataModule
from asl.clips.splits import signer_holdout
from asl.landmarks import landmark_set
from asl.training.evaluation import predict_batches


class LengthTeller(torch.nn.Module):
    """Its first logit is the clip's length."""

    def __init__(self, signs):
        super().__init__()
        self.signs = signs
        self.weight = torch.nn.Parameter(torch.zeros(len(signs)))

    def forward(self, clips, lengths):
        return (
            self.weight
            + torch.nn.functional.one_hot(lengths * 0, len(self.signs)) * (lengths[:, None])
        )


def test_predictions_come_in_the_order_of_the_store(synthetic_store):
    store = synthetic_store
    split = signer_holdout(store.clip_signs, store.clip_signers)
    data = ClipDataModule(store, split, landmark_set("hands"), batch_size=3)
    loader = data.batches(split.train)
    assert not np.array_equal(np.concatenate([batch.index for batch in loader]), split.train)
    found = predict_batches(LengthTeller(store.signs), loader, store.signers)
    np.testing.assert_array_equal(found.index, split.train)
    np.testing.assert_array_equal(found.scores[:, 0], store.frames[split.train])
    np.testing.assert_array_equal(found.signs, store.sign[split.train])
    np.testing.assert_array_equal(found.signers, store.clip_signers[split.train])
