"""Real clips behind one another are found again, by the method and the measure of the benchmark."""

import numpy as np
import pytest

from asl.runs.spot import THRESHOLD
from asl.runtime.spot import Segment
from benchmarks.spotting import describers, iou, joined, measured, right, spotted


def test_each_sign_counts_once_and_only_where_it_is():
    truth = [Segment(0, 20, 3, 1.0), Segment(50, 70, 4, 1.0)]
    assert iou(truth[0], Segment(10, 30, 3, 1.0)) == pytest.approx(1 / 3)
    assert iou(*truth) == 0
    assert right([Segment(2, 20, 3, 0.9), Segment(50, 70, 5, 0.9)], truth) == 1
    assert right([Segment(0, 19, 3, 0.9), Segment(1, 20, 3, 0.9)], truth) == 1
    assert right([Segment(12, 32, 3, 0.9)], truth) == 0


@pytest.fixture(scope="module")
def trained(words15_store, tmp_path_factory):
    """A recognizer of words15 that has seen nothing of signer 3, and its split."""
    import asl
    from asl.tracking.store import open_tracker

    folder = tmp_path_factory.mktemp("spotting")
    choices = ["data=words15", f"data.store={words15_store.directory}", "model=cnn"]
    few = ["split.test=[3]", "trainer.max_epochs=6", "trainer.enable_progress_bar=false"]
    plan = asl.plan(*choices, *few, f"tracking.uri=sqlite:///{folder}/mlflow.db")
    run = asl.train(plan, store=words15_store, draw=False)
    recognizer = asl.load_recognizer(run.run_id, tracker=open_tracker(plan.tracking))
    return describers(recognizer, words15_store, run.split), run.split.test


@pytest.mark.slow
def test_signs_of_a_new_signer_are_found_between_rests_and_nothing_in_the_rests(
    trained, words15_store
):
    files, rows = trained
    rows = np.random.default_rng(0).permutation(rows)[:60]
    recording = joined(words15_store, rows, "rest", seed=0)
    describe = files["with the score `unknown`"]
    found = spotted(describe, recording, words15_store, 20, THRESHOLD)
    assert right(found, recording.truth) > 0.7 * len(rows)  # .93 of all clips after 15 epochs
    for segment in found:
        shared = [
            min(segment.end, true.end) - max(segment.start, true.start) for true in recording.truth
        ]
        assert max(shared) == segment.end - segment.start


@pytest.mark.slow
def test_the_files_own_score_finds_more_of_the_signs_without_a_rest_between(trained, words15_store):
    files, rows = trained
    rows = np.random.default_rng(0).permutation(rows)[:60]
    scored, plain = (
        measured(describe, words15_store, rows, "none", THRESHOLD) for describe in files.values()
    )
    assert scored["F1"] > plain["F1"] + 0.1  # .91 and .66 on all clips after 15 epochs
