"""Recognizers ranked."""

from html import unescape

import numpy as np
import pandas as pd
import pytest

from asl.evaluation.intervals import over_signers
from asl.evaluation.leaderboard import Row, accuracies, as_markdown, as_page, overall, ranked

ROWS = [
    Row("words", "cnn", 0.9, 0.85, 0.95, 0.01, 0.9, 1234, 0.5, 1.25, 3.0, 6, "crossval-cnn"),
    Row("words", "gru", 0.95, parameters=99),
    Row("words", "bad", failure="RuntimeError: | <b> *a* fault"),
    Row("kinect", "cnn", 0.7),
    Row("kinect", "gru", 0.7, failure="not exported: no such operator"),
    Row("kinect", "bad", 0.6),
]


def test_the_best_of_each_data_set_is_first_and_failures_are_last():
    order = [(row.data, row.name) for row in ranked(ROWS)]
    assert order[:3] == [("words", "gru"), ("words", "cnn"), ("words", "bad")]
    assert [name for data, name in order if data == "kinect"] == ["cnn", "gru", "bad"]


def test_ranks_are_shared_by_equals_and_a_failure_is_last():
    table = overall(ROWS)
    assert list(table.columns) == ["words", "kinect", "mean rank"]
    assert table["mean rank"].to_dict() == {"gru": 1.25, "cnn": 1.75, "bad": 3.0}
    assert np.isnan(table.loc["bad", "words"])


def test_every_figure_is_in_the_markdown_and_a_failure_with_its_reason():
    text = as_markdown(ranked(ROWS), {"Protocol": "each fold"}, "asl leaderboard seeds=3")
    assert (
        "| 2 | cnn | 0.900 ± 0.010 \\[0.850, 0.950\\] | 0.900 | 1,234 | 0.50 | 1.25 | 3.0 |" in text
    )
    assert "|  | bad | failed |" in text
    assert "`bad`: RuntimeError: \\| \\<b\\> \\*a\\* fault" in text
    assert "`gru`: not exported: no such operator" in text
    assert "asl leaderboard seeds=3" in text


def test_the_page_has_the_same_and_strangers_texts_are_no_html():
    page = as_page(ranked(ROWS), {"Protocol": "<i>"}, "asl leaderboard")
    assert "0.900 ± 0.010 [0.850, 0.950]" in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "RuntimeError: | <b> *a* fault" in unescape(page)
    assert page.count("data:image/png;base64,") == 2
    assert "http" not in page


def test_an_accuracy_is_the_mean_over_clips_and_seeds_and_its_interval_over_signers():
    random = np.random.default_rng(0)
    clips = pd.DataFrame(
        {"clip": [f"c{n}" for n in range(60)], "signer": np.tile(list("abcdef"), 10)}
    )
    clips["sign"] = "yes"
    answers = pd.concat([clips.assign(seed=seed) for seed in range(3)], ignore_index=True)
    answers["predicted"] = np.where(random.random(180) < 0.8, "yes", "no")
    right = (answers["predicted"] == "yes").to_numpy().reshape(3, 60)
    found = accuracies(answers)
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["deviation"] == pytest.approx(right.mean(axis=1).std(ddof=1))
    by_clip = answers.assign(right=right.ravel()).groupby("clip")["right"].mean()
    signers = clips.set_index("clip")["signer"].loc[by_clip.index].to_numpy(str)
    assert (found["low"], found["high"]) == over_signers(by_clip.to_numpy(), signers)
    assert found["signers"] == 6
