"""Regularizers: combined clips, loss terms, perturbed and averaged weights, grace period."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from asl.clips.datamodule import Batch
from asl.config.plan import plan
from asl.landmarks import landmark_set
from asl.recognizer.build import build_recognizer
from asl.recognizer.heads.arcface import ArcFace
from asl.training.awp import WeightPerturbation
from asl.training.callbacks import AveragedWeights
from asl.training.mixing import draw_partners, join_clips, mixup, swap_hands
from asl.training.module import SignClassifier
from asl.training.optimizer import build_optimizer
from asl.training.r_drop import symmetric_kl
from asl.training.regularization import Regularization

LANDMARKS = landmark_set("hands_pose")
SIGNS = ["hello", "milk", "please"]


@pytest.fixture
def clips():
    """Four clips of two signs, of lengths 8, 12, 10 and 4."""
    torch.manual_seed(0)
    lengths = torch.tensor([8, 12, 10, 4])
    clips = torch.rand(4, 12, len(LANDMARKS.indices), 3)
    for clip, length in zip(clips, lengths, strict=True):
        clip[length:] = torch.nan
    return clips, lengths, torch.tensor([0, 1, 0, 2])


@pytest.fixture
def classifier():
    chosen_plan = plan("model=cnn", "model.hidden=8", "regularization=none")

    def classifier(**chosen):
        torch.manual_seed(0)
        return SignClassifier(
            recognizer=build_recognizer(chosen_plan.recognizer, SIGNS),
            augment=lambda clips, lengths: (clips, lengths),
            make_optimizer=None,
            regularization=Regularization(**chosen),
            spec={},
        ).train()

    return classifier


def batch(clips):
    clips, lengths, signs = clips
    return Batch(clips, lengths, signs, torch.zeros_like(signs), torch.arange(len(signs)))


# --- clips combined from two ---------------------------------------------------------------------


def test_partners_have_the_same_sign_and_are_other_clips_if_there_are_any():
    signs = torch.tensor([0, 1, 0, 0, 2, 1])
    partners = torch.stack([draw_partners(signs) for _ in range(50)])
    assert signs[partners].eq(signs).all()
    alone = torch.tensor([False, False, False, False, True, False])
    assert partners.eq(torch.arange(6)).all(0).equal(alone)
    assert set(partners[:, 0].tolist()) == {2, 3}


def test_a_joined_clip_is_the_first_part_of_one_and_the_rest_of_the_other(clips):
    clips, lengths, signs = clips
    joined, joined_lengths = join_clips(clips, lengths, signs, LANDMARKS, p=1.0)
    assert joined_lengths[[1, 3]].equal(lengths[[1, 3]])  # alone with their signs
    torch.testing.assert_close(joined[[1, 3]], clips[[1, 3]], equal_nan=True, rtol=0, atol=0)
    length = int(joined_lengths[0])
    same = (joined[0, :8] == clips[0, :8]).all((1, 2))
    before = int(same.sum())
    assert 2 <= before <= 6, "cut between a quarter and three quarters"
    assert same[:before].all()
    # the rest has the movement of the other clip, up to position and size
    rest, other = joined[0, before:length], clips[2, 10 - (length - before) : 10]
    factor = rest.diff(dim=1) / other.diff(dim=1)
    torch.testing.assert_close(factor, factor[:1, :1].expand_as(factor), rtol=1e-2, atol=1e-3)
    assert joined[0, length:].isnan().all()
    assert not joined[0, :length].isnan().any()


def test_swapped_hands_come_from_another_clip_and_the_body_is_unchanged(clips):
    clips, lengths, signs = clips
    swapped = swap_hands(clips, lengths, signs, LANDMARKS, p=1.0)
    hands = [*LANDMARKS.left_hand, *LANDMARKS.right_hand]
    body = [row for row in range(LANDMARKS.size) if row not in hands]
    torch.testing.assert_close(swapped[:, :, body], clips[:, :, body], equal_nan=True)
    assert (swapped[0, :8, hands] != clips[0, :8, hands]).any()
    torch.testing.assert_close(swapped[1, :, hands], clips[1, :, hands], equal_nan=True)
    assert swapped.isnan().equal(clips.isnan()), "the length has changed"


def test_mixup_blends_targets_as_it_blends_features():
    torch.manual_seed(0)
    signs, mask = torch.tensor([0, 0, 1, 2]), torch.arange(9) < torch.tensor([9, 9, 5, 1])[:, None]
    targets = one_hot(signs, 3).float()
    # A clip's features encode its sign, so the features of a blend must encode its target.
    steps = targets[:, None].expand(-1, 9, -1) * mask[:, :, None]
    mixed, mixed_targets = mixup(steps, mask, targets, p=1.0, alpha=1.0)
    torch.testing.assert_close(mixed_targets.sum(1), torch.ones(4))
    assert mixed_targets.gather(1, signs[:, None]).min() >= 0.5, "the heavier clip is its own"
    assert not mixed_targets.equal(targets)
    torch.testing.assert_close(mixed, mixed_targets[:, None] * mask[:, :, None])
    same, same_targets = mixup(steps, mask, targets, p=0.0, alpha=1.0)
    assert same.equal(steps)
    assert same_targets.equal(targets)


def test_mixup_resamples_the_whole_of_the_lighter_clip():
    """Blends of clips that move evenly from 0 to 1 move evenly from 0 to 1."""
    steps = torch.stack([torch.linspace(0, 1, 9), torch.linspace(0, 1, 5).repeat(2)[:9]])
    mask = torch.arange(9) < torch.tensor([9, 5])[:, None]
    torch.manual_seed(3)
    mixed, _ = mixup((steps * mask)[:, :, None], mask, torch.eye(2), p=1.0, alpha=1.0)
    torch.testing.assert_close(mixed[0, :, 0], steps[0], rtol=0, atol=0.1)
    torch.testing.assert_close(mixed[1, :, 0], (steps * mask)[1], rtol=0, atol=0.1)


# --- the loss ------------------------------------------------------------------------------------


def test_r_drop_is_the_symmetric_kl_divergence_of_two_passes():
    one, other = torch.randn(3, 4), torch.randn(3, 4)
    assert symmetric_kl(torch.cat([one, one])) == pytest.approx(0, abs=1e-6)
    p, q = one.softmax(-1), other.softmax(-1)
    kl = (p * (p / q).log()).sum(1).mean() / 2 + (q * (q / p).log()).sum(1).mean() / 2
    torch.testing.assert_close(symmetric_kl(torch.cat([one, other])), kl)


def test_r_drop_without_dropout_changes_nothing(classifier, clips):
    plain, doubled = classifier(), classifier(r_drop=5.0)
    loss, other = (each.training_step(batch(clips), 0) for each in (plain, doubled))
    torch.testing.assert_close(loss, other)


def test_consistent_views_add_nothing_to_the_loss(classifier, clips):
    plain, doubled = classifier(), classifier(consistency=5.0)
    loss, other = (each.training_step(batch(clips), 0) for each in (plain, doubled))
    torch.testing.assert_close(loss, other)


def test_views_that_disagree_add_their_divergence(classifier, clips):
    """A clip and its copy are augmented apart, and both are trained on."""

    def every_second_half_moved(clips, lengths):
        half = len(clips) // 2
        return torch.cat([clips[:half], clips[half:].flip(2)]), lengths

    views = classifier(consistency=3.0)
    views.augment = every_second_half_moved
    both = torch.cat([clips[0], clips[0].flip(2)]), torch.cat([clips[1]] * 2)
    logits = views.recognizer(*both)

    loss = views.training_step(batch(clips), 0)

    expected = cross_entropy(logits, torch.cat([clips[2]] * 2)) + 1.5 * symmetric_kl(logits)
    torch.testing.assert_close(loss, expected)
    assert symmetric_kl(logits) > 1e-4


def test_two_versions_of_a_clip_are_blended_alike():
    torch.manual_seed(0)
    steps, targets = torch.rand(4, 9, 2), torch.eye(4)
    mask = torch.arange(9) < torch.tensor([9, 5, 7, 1])[:, None]
    twice = [torch.cat([x, x]) for x in (steps * mask[:, :, None], mask, targets)]
    mixed, mixed_targets = mixup(*twice, p=1.0, alpha=1.0, copies=2)
    for one, other in (mixed.chunk(2), mixed_targets.chunk(2)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not mixed_targets[:4].equal(targets)


def test_validation_clips_are_never_augmented(classifier, clips):
    validated = classifier(consistency=1.0, mixup=1.0).eval()
    validated.augment = lambda *_: pytest.fail("a validation clip was augmented")
    validated.validation_step(batch(clips), 0)
    loss = cross_entropy(validated.recognizer(clips[0], clips[1]), clips[2])
    torch.testing.assert_close(validated.losses["val_"].compute(), loss)


def test_a_loss_is_the_mean_over_clips_not_over_batches(classifier, clips):
    validated = classifier(label_smoothing=0.1).eval()
    for rows in ([0, 1, 2], [3]):
        validated.validation_step(batch(tuple(part[rows] for part in clips)), 0)
    logits = validated.recognizer(clips[0], clips[1]).detach()
    torch.testing.assert_close(
        validated.losses["val_"].compute(), cross_entropy(logits, clips[2]), rtol=0, atol=1e-5
    )
    smoothed = cross_entropy(logits, clips[2], label_smoothing=0.1)
    torch.testing.assert_close(validated.smoothed_loss.compute(), smoothed, rtol=0, atol=1e-5)


def test_label_smoothing_of_three_quarters(classifier, clips):
    smooth = classifier(label_smoothing=0.75)
    logits = smooth.recognizer(clips[0], clips[1])
    expected = cross_entropy(logits, clips[2], label_smoothing=0.75)
    torch.testing.assert_close(smooth.training_step(batch(clips), 0), expected)
    smooth.eval().validation_step(batch(clips), 0)
    logits = smooth.recognizer(clips[0], clips[1])
    expected = cross_entropy(logits, clips[2], label_smoothing=0.75)
    torch.testing.assert_close(smooth.smoothed_loss.compute(), expected.detach())
    plain = cross_entropy(logits, clips[2])
    torch.testing.assert_close(smooth.losses["val_"].compute(), plain)
    assert not torch.allclose(plain, expected)


def test_late_dropout_starts_at_its_epoch(classifier, clips, monkeypatch):
    late = classifier(late_dropout=0.8, late_start=2)
    losses = {}
    for epoch in (0, 1, 2):
        monkeypatch.setattr(SignClassifier, "current_epoch", epoch)
        losses[epoch] = {float(late.training_step(batch(clips), 0).detach()) for _ in range(3)}
    assert losses[0] == losses[1]
    assert len(losses[0]) == 1
    assert len(losses[2]) == 3


# --- adversarial weight perturbation -------------------------------------------------------------


def test_perturbation_moves_weights_by_delta_to_a_higher_loss_and_is_undone_exactly():
    torch.manual_seed(0)
    layer, inputs, signs = nn.Linear(5, 3), torch.randn(20, 5), torch.randint(3, (20,))
    clean = [p.detach().clone() for p in layer.parameters()]
    perturbation = WeightPerturbation(0.2)
    loss = cross_entropy(layer(inputs), signs)

    perturbation.perturb(layer.parameters(), loss)

    for parameter, before in zip(layer.parameters(), clean, strict=True):
        assert (parameter - before).norm().item() == pytest.approx(0.2, abs=1e-5)
    assert cross_entropy(layer(inputs), signs) > loss
    perturbation.restore()
    assert all(p.equal(before) for p, before in zip(layer.parameters(), clean, strict=True))


def test_gradients_are_clipped_by_the_norm_of_all_together(classifier, clips):
    model = classifier()
    model.training_step(batch(clips), 0).backward()
    before = [p.grad.clone() for p in model.parameters()]
    model.configure_gradient_clipping(optimizer=None, gradient_clip_val=None)
    torch.testing.assert_close([p.grad for p in model.parameters()], before)
    half = float(torch.cat([grad.flatten() for grad in before]).norm()) / 2
    model.configure_gradient_clipping(optimizer=None, gradient_clip_val=half)
    torch.testing.assert_close([2 * p.grad for p in model.parameters()], before)


def test_the_gradient_is_taken_at_the_perturbed_weights(classifier, clips):
    plain, adversarial = classifier(), classifier(awp=0.5)
    for each in (plain, adversarial):
        each.training_step(batch(clips), 0).backward()
        each.on_after_backward()
    for (name, one), other in zip(
        plain.recognizer.named_parameters(), adversarial.recognizer.parameters(), strict=True
    ):
        assert one.equal(other), f"{name} was not restored"
    gradients = zip(plain.recognizer.parameters(), adversarial.recognizer.parameters(), strict=True)
    assert not all(torch.allclose(one.grad, other.grad) for one, other in gradients)


def test_the_perturbation_acts_under_autocast():
    torch.manual_seed(0)
    layer, inputs = nn.Linear(5, 3), torch.randn(20, 5)
    perturbation = WeightPerturbation(3.0)
    with torch.autocast("cpu", torch.bfloat16):
        before = layer(inputs)
        perturbation.perturb(layer.parameters(), before.square().mean())
        after = layer(inputs)
    assert not torch.allclose(before, after)


# --- groups of clips -----------------------------------------------------------------------------


def trained_on(classifier, clips, rows=None):
    """Gradients and running statistics after a step on some rows."""
    some = clips if rows is None else tuple(part[rows] for part in clips)
    loss = classifier.training_step(batch(some), 0)
    loss.backward()
    classifier.on_after_backward()
    network = classifier.recognizer
    return (
        loss.detach(),
        {name: p.grad for name, p in network.named_parameters()},
        {name: b.clone() for name, b in network.backbone.named_buffers() if "running" in name},
    )


@pytest.mark.parametrize("chosen", [{}, {"awp": 0.5}, {"r_drop": 1.0, "head_l2": 0.1}])
def test_groups_are_normalised_and_perturbed_by_themselves(classifier, clips, chosen):
    """As on so many devices, whose gradients and running statistics are averaged."""
    apart = [trained_on(classifier(**chosen), clips, rows) for rows in ([0, 1], [2, 3])]

    together = classifier(**chosen, ghost_batch=2)
    clean = [p.detach().clone() for p in together.recognizer.parameters()]
    loss, gradients, running = trained_on(together, clips)

    torch.testing.assert_close(loss, (apart[0][0] + apart[1][0]) / 2)
    for place, found in ((1, gradients), (2, running)):
        assert found
        for name, value in found.items():
            mean = (apart[0][place][name] + apart[1][place][name]) / 2
            torch.testing.assert_close(value, mean, msg=lambda m, name=name: f"{name}: {m}")
    after = together.recognizer.parameters()
    assert all(p.equal(before) for p, before in zip(after, clean, strict=True)), "not restored"
    whole = trained_on(classifier(**chosen), clips)[1]
    assert not all(torch.allclose(whole[name], gradients[name]) for name in whole)


def test_one_group_is_the_whole_batch_and_copies_of_a_clip_stay_together(classifier, clips):
    chosen = {"consistency": 1.0, "awp": 0.5}
    for size in (4, 64):
        loss, gradients, running = trained_on(classifier(**chosen, ghost_batch=size), clips)
        whole = trained_on(classifier(**chosen), clips)
        torch.testing.assert_close((loss, gradients, running), whole)
    uneven = classifier(**chosen, ghost_batch=3)
    assert trained_on(uneven, clips)[0].isfinite()
    assert uneven.metrics["train_"].compute()


# --- averaged weights ----------------------------------------------------------------------------


def averaged_weights(classifier):
    """The callback, set up for a classifier; `classifier.trainer` is what it needs of a Trainer."""
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    classifier._trainer = SimpleNamespace(strategy=strategy, global_step=0)
    averaging = AveragedWeights(decay=0.9)
    averaging.setup(classifier.trainer, classifier, "fit")
    return averaging


def update(averaging, classifier):
    classifier.trainer.global_step += 1
    averaging.on_train_batch_end(classifier.trainer, classifier, None, None, 0)


def test_the_average_follows_weights_and_statistics_but_not_positions(classifier):
    trained = classifier()
    averaging = averaged_weights(trained)
    start = {k: v.clone() for k, v in trained.state_dict().items()}
    update(averaging, trained)
    with torch.no_grad():
        for tensor in trained.recognizer.state_dict().values():
            tensor.add_(1.0)
    for _ in range(3):
        update(averaging, trained)
    average = averaging._average_model
    for name, value in average.module.state_dict().items():
        step = (value - start[name]).flatten()[0].item()
        assert 0.1 < step < 1.0 or not value.is_floating_point(), name
        torch.testing.assert_close(value - start[name], torch.full_like(value, step))
    assert average.module.recognizer.indices.equal(trained.recognizer.indices)
    assert not any(p.requires_grad for p in average.parameters())


def test_a_kept_checkpoint_contains_only_the_average(classifier, clips):
    kept = classifier(ema=0.9)
    averaging = averaged_weights(kept)
    update(averaging, kept)
    kept.trainer.callbacks = [averaging]
    with torch.no_grad():
        for parameter in kept.recognizer.parameters():
            parameter.zero_()
    checkpoint = {"state_dict": kept.state_dict()}
    kept.on_save_checkpoint(checkpoint)
    averages = averaging._average_model.module.recognizer.state_dict()
    weights = {k: v for k, v in checkpoint["state_dict"].items() if k.startswith("recognizer.")}
    assert set(weights) == {f"recognizer.{name}" for name in averages}
    assert all(weights[f"recognizer.{name}"].equal(value) for name, value in averages.items())
    assert set(checkpoint["state_dict"]) == set(kept.state_dict())
    assert checkpoint.keys() == {"state_dict", "recognizer"}, "a second copy of the weights"


# --- grace period --------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [{"awp": 0.1}, {"late_dropout": 0.5}])
def test_only_late_regularizers_have_a_grace_period(late):
    chosen = Regularization(**late, late_start=3, grace_epochs=2)
    assert [chosen.in_grace_period(epoch) for epoch in range(7)] == [False] * 3 + [True] * 2 + [
        False
    ] * 2
    assert not any(
        Regularization(**late, late_start=0, grace_epochs=2).in_grace_period(e) for e in range(5)
    )
    assert not any(
        Regularization(late_start=3, grace_epochs=2).in_grace_period(e) for e in range(7)
    )


# --- head and optimizer --------------------------------------------------------------------------


def test_arcface_scales_cosines_and_adds_a_margin_in_training_only():
    torch.manual_seed(0)
    head = ArcFace(width=6, signs=4, centres=2, margin=0.3, scale=10.0)
    summary, targets = torch.randn(5, 6), one_hot(torch.arange(5) % 4, 4).float()
    cosines = torch.cosine_similarity(summary[:, None, None], head.centres, dim=-1).amax(1)

    torch.testing.assert_close(head(summary, None), 10 * cosines, rtol=0, atol=1e-4)
    asked = head(summary, targets)
    harder = 10 * (cosines.acos() + 0.3 * targets).cos()
    torch.testing.assert_close(asked, harder, rtol=0, atol=1e-3)
    torch.testing.assert_close(head.eval()(summary, targets), 10 * cosines, rtol=0, atol=1e-4)
    torch.testing.assert_close(head(3 * summary), head(summary), rtol=0, atol=1e-3)


def test_arcface_has_gradients_for_a_summary_of_zeros_and_one_on_its_centre():
    head = ArcFace(width=6, signs=3, centres=1, margin=0.5)
    summary = torch.stack(
        [torch.zeros(6), head.centres[0, 1].detach(), -head.centres[0, 2].detach()]
    )
    summary.requires_grad_()
    cross_entropy(head(summary, torch.eye(3)), torch.arange(3)).backward()
    assert summary.grad.isfinite().all()
    assert head.centres.grad.isfinite().all()


def test_ranger_synchronises_with_slow_weights_every_five_steps():
    paths = {}
    for name in ("radam", "ranger"):
        weight = nn.Parameter(torch.ones(3, 3))
        optimizer, _ = build_optimizer([weight], 100, "ranger", 0.1, 0.0, 0.0, "constant", 0.0)
        if name == "radam":
            optimizer.sync = 10**6
        paths[name] = [weight.detach().clone()]
        for _ in range(6):
            weight.grad = torch.full_like(weight, 2.0)
            optimizer.step()
            paths[name].append(weight.detach().clone())
    for step in range(5):
        torch.testing.assert_close(paths["radam"][step], paths["ranger"][step])
    torch.testing.assert_close(paths["ranger"][5], (paths["radam"][5] + 1) / 2)


def test_the_recipe_of_the_first_place_is_complete():
    recipe = plan("+experiment=gislr_1st")
    chosen = recipe.regularization
    assert (chosen.awp, chosen.late_dropout, chosen.late_start) == (0.2, 0.8, 15)
    assert chosen.label_smoothing == 0.1
    order = ["empty_frames", "time_stretch", "mirror", "time_window", "affine"]
    assert list(recipe.augment) == [*order, "time_mask", "space_mask"]
    assert [make().p for make in recipe.augment.values()] == [1.0, 0.8, 0.5, 1.0, 0.75, 0.5, 0.5]
    parameter = nn.Parameter(torch.ones(2, 2))
    optimizer, schedule = recipe.optimizer(parameters=[parameter], steps=10)
    rates = []
    for _ in range(11):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(4e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-6)
    assert recipe.recognizer["landmarks"]["name"] == "gislr118"
    data = recipe.data
    assert (data.batch_size, data.bucket_by_length, data.drop_last) == (512, False, True)
    assert (data.empty_frames, chosen.ghost_batch) == ("drop", 64)
    assert recipe.monitor == "val/smoothed_loss"
    assert recipe.recognizer["model"]["init"] == recipe.recognizer["head"]["init"] == "keras"
    kinds = {name: type(make()).__name__ for name, make in recipe.augment.items()}
    assert kinds["time_stretch"] == "TimeResize"
    assert (kinds["affine"], kinds["space_mask"]) == ("PictureAffine", "PictureMask")


def test_the_first_places_protocol_reports_the_fold_that_chooses_the_epoch():
    his = plan("+experiment=gislr_1st_protocol")
    signers = [str(number % 21) for number in range(4200)]
    split = his.split(signs=["a", "b"] * 2100, signers=signers)
    assert split.validated_on_test
    assert 0.7 < len(split.train) / 4200 < 0.8
    assert (
        not plan("+experiment=gislr_1st", "split=signer_kfold")
        .split(signs=["a", "b"] * 2100, signers=signers)
        .validated_on_test
    )
