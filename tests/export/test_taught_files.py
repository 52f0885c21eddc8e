"""Files of a trained network, taught by a signer's clips, in every variant."""

from dataclasses import replace

import numpy as np
import pytest

import asl
from asl.errors import UserError
from asl.export.enrol import enrol
from asl.export.export import export
from asl.export.parity.scores import tflite_outputs
from asl.export.variants import VARIANTS, file_name
from asl.runs.data import make_split
from asl.runs.load import load_run
from asl.runtime.labels import read_labels
from asl.runtime.predict import predict
from asl.tracking.store import open_tracker

pytestmark = pytest.mark.slow

OWN = 2
"""Enrolled clips of each sign."""


@pytest.fixture(scope="module")
def taught(words15_store, shared_data, tmp_path_factory):
    """A network of one epoch on blocks 1 and 2, exported in every variant, and its report."""
    folder = tmp_path_factory.mktemp("taught")
    tracking = {"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "asl"}
    plan = asl.plan("data=words15", "split.test=[3]", "model=cnn", "trainer.max_epochs=1")
    run = asl.train(replace(plan, tracking=tracking), store=words15_store, draw=False)
    recognizer = load_run(run.run_id, open_tracker(tracking)).recognizer
    split = make_split(plan.split, words15_store)
    report = export(
        recognizer, folder, variants=list(VARIANTS), data=(words15_store, split), most=64
    )
    return folder, report, split


def accuracy(model, store, rows):
    signs = [store.signs.index(sign) for sign in read_labels(model)[: len(store.signs)]]
    top = tflite_outputs(model, store, rows, workers=1).argmax(1)
    known = np.append(signs, [-1] * 100)
    return float((known[top] == store.sign[rows]).mean())


def test_every_variant_has_an_embedding_and_a_score_that_agree(taught):
    _, report, _ = taught
    assert report["rejection"]["accepted"] == 0.95
    assert [result["name"] for result in report["parity"]] == ["onnx", *VARIANTS]
    for result in report["parity"]:
        assert result["distances"].keys() == {"embedding", "unknown"}
    assert not {"float32", "float16", "dynamic"} & report["rejected"].keys()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_signers_own_clips_raise_the_accuracy_on_the_others(
    taught, words15_store, shared_data, tmp_path, variant
):
    folder, _, split = taught
    store, out = words15_store, tmp_path / "enrolled.tflite"
    own = [rows[:OWN] for rows in (split.test[store.sign[split.test] == s] for s in range(15))]
    rest = np.setdiff1d(split.test, np.concatenate(own))
    paths = [shared_data / "words15" / store.clips["path"][row] for row in np.concatenate(own)]

    done = enrol(folder / file_name(variant), paths, out=out)

    assert (done.added, done.problems, done.new) == (OWN * 15, {}, [])
    before, after = (accuracy(m, store, rest) for m in (folder / file_name(variant), out))
    assert after > before + 0.02


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sign_that_the_network_has_not_learned_is_recognised(
    taught, words15_store, shared_data, tmp_path, variant
):
    """Backwards, a sign is another one."""
    folder, _, split = taught
    store, out = words15_store, tmp_path / "enrolled.tflite"
    rows = split.test[store.sign[split.test] == store.signs.index("coffee")]
    paths = []
    for row in rows[:12]:
        paths.append(tmp_path / f"{row}.npy")
        np.save(paths[-1], store.read(row)[::-1] * [-1, 1, 1])
    enrol(folder / file_name(variant), paths[:3], "eeffoc", out)
    found, _ = predict(out, paths[3:], top=1)
    assert np.mean([best[0][0] == "eeffoc" for best in found.values()]) > 0.7
    assert all(best.unknown is not None for best in found.values())


def test_noise_is_not_a_sign(taught, tmp_path):
    folder, _, _ = taught
    noise = tmp_path / "noise.npy"
    np.save(noise, np.random.default_rng(0).random((30, 543, 3), dtype=np.float32))
    ((best,),) = [list(predict(folder / "model_float32.tflite", [noise])[0].values())]
    assert not best.sure
    with pytest.raises(UserError, match="nothing was enrolled"):
        enrol(folder / "model_float32.tflite", [noise])
