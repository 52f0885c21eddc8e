"""Files of a trained network, taught by a signer's clips, in every variant."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import asl
from asl.errors import UserError
from asl.export.enrol import blend_of, enrol
from asl.export.export import export
from asl.export.parity.clips import edge_case_clips
from asl.export.parity.compare import answers, check_parity, compare, onnx_describer
from asl.export.parity.scores import tflite_outputs
from asl.export.prototypes import blended, prototype_head, unknown_left
from asl.export.variants import VARIANTS, file_name, fixed
from asl.landmarks import landmark_set
from asl.recognizer.preprocessing.presence import detected_frames
from asl.runs.data import make_split
from asl.runs.load import load_run
from asl.runtime.labels import read_facts, read_labels
from asl.runtime.litert import load_all
from asl.runtime.predict import predict
from asl.tracking.store import open_tracker

pytestmark = pytest.mark.slow

OWN = 2
"""Enrolled clips of each sign."""

FRAMES = 64
FIXED = [fixed("float32", FRAMES), fixed("float16", FRAMES)]
FILES = [*VARIANTS, *FIXED]
"""Every variant, and files that read so many frames."""


@pytest.fixture(scope="module")
def taught(words15_store, shared_data, tmp_path_factory):
    """A network of one epoch on blocks 1 and 2, exported in every variant, and its report."""
    folder = tmp_path_factory.mktemp("taught")
    return folder, *_exported(folder, words15_store, 1, VARIANTS, frames=FRAMES)


def _exported(folder, store, epochs, variants, **options):
    """The report of a network's files, and the split that it was trained with."""
    tracking = {"uri": f"sqlite:///{folder}/mlflow.db", "experiment": "asl"}
    plan = asl.plan("data=words15", "split.test=[3]", "model=cnn", f"trainer.max_epochs={epochs}")
    run = asl.train(replace(plan, tracking=tracking), store=store, draw=False)
    recognizer = load_run(run.run_id, open_tracker(tracking)).recognizer
    split = make_split(plan.split, store)
    variants = list(variants)
    report = export(recognizer, folder, variants=variants, data=(store, split), most=64, **options)
    return report, split


def accuracy(model, store, rows):
    signs = [store.signs.index(sign) for sign in read_labels(model)[: len(store.signs)]]
    top = tflite_outputs(model, store, rows, workers=1).argmax(1)
    known = np.append(signs, [-1] * 100)
    return float((known[top] == store.sign[rows]).mean())


def _detected(clip):
    return int(detected_frames(torch.from_numpy(clip)))


def test_every_variant_has_an_embedding_and_a_score_that_agree(taught):
    _, report, _ = taught
    assert report["rejection"]["accepted"] == 0.99  # validation is of signers who were trained on
    assert [result["name"] for result in report["parity"]] == ["onnx", *FILES]
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


@pytest.mark.parametrize("file", FILES)
def test_a_taught_file_passes_the_parity_proof_of_its_variant(
    taught, words15_store, shared_data, tmp_path, file
):
    """NumPy blends the ONNX file's answers with prototypes of the ONNX file's embeddings."""
    folder, _, split = taught
    store, out = words15_store, tmp_path / "enrolled.tflite"
    own = [row for s in range(15) for row in split.test[store.sign[split.test] == s][:OWN]]
    clips = {f"own {row}": store.read(row) for row in own}
    new = {f"new {row}": store.read(row)[::-1] * np.float32([-1, 1, 1]) for row in own[:OWN]}
    for name, clip in new.items():
        np.save(tmp_path / f"{name}.npy", clip)
    enrol(
        folder / file_name(file),
        [shared_data / "words15" / store.clips["path"][row] for row in own],
        out=out,
    )
    enrol(out, [tmp_path / f"{name}.npy" for name in new], "backwards")

    describe = onnx_describer(folder / "model.onnx")
    taught_with = answers(describe, clips | new, "onnx")["embedding"]
    signs = [*(store.sign[own]), *[15] * len(new)]
    head = prototype_head(taught_with, signs, 16, blend_of(read_facts(out)))
    proof = {f"clip {row}": store.read(row) for row in np.setdiff1d(split.test, own)[::20]}
    edges = edge_case_clips(list(proof.values()), landmark_set("hands").layout)
    proof |= {name: clip for name, clip in edges.items() if len(clip) <= FRAMES} | clips | new
    # Frames without anything at a clip's end do not count in files of fixed length.
    ends = {
        name: clip[: _detected(clip)] if file in FIXED else clip for name, clip in proof.items()
    }
    plain = answers(describe, ends, "onnx")
    embeddings = plain["embedding"]
    wanted = {
        "outputs": blended(plain["outputs"], embeddings, head),
        "unknown": unknown_left(plain["unknown"], embeddings, head),
    }
    given = answers(load_all(out), proof, file)
    others = {"unknown": (wanted["unknown"], given["unknown"])}

    check_parity(compare(file, wanted["outputs"], given["outputs"], list(proof), others))


def test_noise_is_not_a_sign(words15_store, shared_data, tmp_path):
    """To a network that has learned the signs; one of one epoch is sure of none."""
    folder = tmp_path / "export"
    _exported(folder, words15_store, 3, ["float32"])
    noise = tmp_path / "noise.npy"
    np.save(noise, np.random.default_rng(0).random((30, 543, 3), dtype=np.float32))
    ((best,),) = [list(predict(folder / "model_float32.tflite", [noise])[0].values())]
    assert not best.sure
    with pytest.raises(UserError, match="nothing was enrolled"):
        enrol(folder / "model_float32.tflite", [noise])
