"""Validation clips decide which file is best, test clips never."""

from dataclasses import replace

import numpy as np
import pytest

from asl.clips.split import Split
from asl.export.parity.clips import select_verification_clips, stratified_sample
from asl.export.parity.memory import STATUS, peak_memory
from asl.export.selection import select_variant

SIZES = {"float32": 400, "float16": 200, "dynamic": 100}


def figures(**accuracy):
    return {"clips": 200, "files": {name: {"accuracy": a} for name, a in accuracy.items()}}


def test_the_smallest_file_that_loses_no_more_than_allowed_is_best():
    val = figures(torch=0.9, float32=0.9, float16=0.895, dynamic=0.89)
    found = select_variant(SIZES, {}, {"val": val}, max_drop=0.005)
    assert found.best == "float16"
    assert found.why.startswith("the smallest of 2 files that lose at most 0.005")
    assert "0.0100 below the recognizer's" in found.rejected["dynamic"]
    assert select_variant(SIZES, {}, {"val": val}, max_drop=0.01).best == "dynamic"


def test_test_clips_choose_nothing():
    test = figures(torch=0.9, float32=0.9, float16=0.1, dynamic=0.1)
    found = select_variant(SIZES, {}, {"test": test}, max_drop=0.005)
    assert found.rejected == {}
    assert found.best == "float16"  # of a quantized file nothing is known
    assert "could not be judged" in found.why
    assert select_variant({"dynamic": 100}, {}, {}, max_drop=0.005).best == "dynamic"


def test_a_file_that_fails_verification_is_rejected():
    found = select_variant({"dynamic": 100}, {"dynamic": "differs"}, {}, max_drop=0.005)
    assert found.best is None
    assert found.rejected == {"dynamic": "differs"}


def test_clips_of_all_signs_and_signers(synthetic_store):
    rows = np.arange(len(synthetic_store))
    chosen = stratified_sample(synthetic_store, rows, 20)
    assert len(set(chosen.tolist())) == 20
    assert np.bincount(synthetic_store.sign[chosen]).tolist() == [5, 5, 5, 5]
    assert np.bincount(synthetic_store.signer[chosen]).tolist() == [4, 4, 4, 4, 4]
    assert (stratified_sample(synthetic_store, rows[:7], 20) == rows[:7]).all()


def test_clips_that_were_not_trained_on_come_first(synthetic_store):
    parts = np.split(np.arange(len(synthetic_store)), [4, 10])
    split = Split(*reversed(parts), "random", (), (), False, False)
    assert select_verification_clips(synthetic_store, split, 3)[0] == "validation"
    name, rows = select_verification_clips(synthetic_store, split, 9)
    assert name == "validation and test"
    assert len(set(rows.tolist()) & set(split.val.tolist())) == len(split.val)
    assert not set(rows.tolist()) & set(split.train.tolist())
    alone = replace(split, val=rows[:0], test=rows[:0])
    assert select_verification_clips(synthetic_store, alone, 9)[0] == "training"


@pytest.mark.skipif(not STATUS.is_file(), reason="only Linux tells a process's peak")
def test_a_long_clip_takes_more_memory(tiny_tflite, tmp_path):
    model = tiny_tflite(tmp_path / "tiny.tflite")
    short, long = (peak_memory(model, np.zeros((n, 543, 3), np.float32)) for n in (1, 5000))
    clip = 5000 * 543 * 3 * 4
    assert clip / 2 < long - short < 3 * clip
