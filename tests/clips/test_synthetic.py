import filecmp
import json
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from asl.clips.synthetic.generator import draw_signer, lexicon, synthetic_source
from asl.errors import UserError

SMALL = {"signs": 2, "signers": 2, "clips_per_sign": 1}


def test_files_are_those_of_the_competition(synthetic_raw, one_file, shared_data):
    genuine = shared_data / "gislr_sample/train_landmark_files/22343/239181.parquet"
    generated, real = pq.read_table(one_file), pq.read_table(genuine)
    assert generated.column_names == real.column_names
    assert [field.type for field in generated.schema] == [field.type for field in real.schema]
    frame = generated["frame"][0].as_py()
    start = generated.slice(0, 543).to_pydict()
    real_frame = real["frame"][0].as_py()
    assert [name.replace(f"{frame}-", f"{real_frame}-", 1) for name in start["row_id"]] == (
        real["row_id"].slice(0, 543).to_pylist()
    )
    assert start["type"] == real["type"].slice(0, 543).to_pylist()
    assert (synthetic_raw / "train.csv").read_text().startswith("path,participant_id,sequence_id,")


def test_clips_depend_on_the_seed_alone(tmp_path):
    for name, seed in {"one": 0, "same": 0, "other": 1}.items():
        synthetic_source(tmp_path / name, **SMALL, seed=seed)
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file()]
    same = filecmp.cmpfiles(tmp_path / "one", tmp_path / "same", files, shallow=False)[0]
    assert len(same) == len(files) == 7
    other = tmp_path / "other" / "train.csv"
    assert other.read_text() != (tmp_path / "one/train.csv").read_text()


def test_it_is_generated_once_and_again_for_other_settings(tmp_path):
    source = synthetic_source(tmp_path / "raw", **SMALL)
    first = [p.stat().st_mtime_ns for p in sorted(source.root.rglob("*.parquet"))]
    synthetic_source(tmp_path / "raw", **SMALL)
    assert [p.stat().st_mtime_ns for p in sorted(source.root.rglob("*.parquet"))] == first
    more = synthetic_source(tmp_path / "raw", **{**SMALL, "signs": 3})
    assert len(more.listing().entries) == 6
    assert not more.listing().problems


def test_a_folder_of_an_older_generator_is_generated_again(tmp_path):
    source = synthetic_source(tmp_path / "raw", **SMALL)
    marker = tmp_path / "raw" / "synthetic.json"
    current = marker.read_text()
    marker.write_text(json.dumps({**json.loads(current), "version": 1}))
    (clip := next(source.root.rglob("*.parquet"))).write_bytes(b"old")
    synthetic_source(tmp_path / "raw", **SMALL)
    assert marker.read_text() == current
    assert clip.read_bytes() != b"old"


def test_a_folder_that_was_not_generated_is_not_touched(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(UserError, match="was not generated"):
        synthetic_source(tmp_path, **SMALL)
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_clips_look_like_recordings(synthetic_store):
    lengths = synthetic_store.frames
    assert 15 <= np.median(lengths) <= 30
    assert lengths.min() >= 2
    assert len(set(lengths.tolist())) > 5
    clips = [synthetic_store.read(i) for i in range(len(synthetic_store))]
    left, right = (
        np.array([1 - np.isnan(c[:, row, 0]).mean() for c in clips]) for row in (468, 522)
    )
    assert np.mean((left == 0) | (right == 0)) > 0.7
    assert np.mean((left == 0) & (right == 0)) < 0.1
    assert all(np.isfinite(c[:, 489:522]).all() for c in clips)
    shoulders = np.concatenate([c[:, [500, 501], :2].mean(axis=1) for c in clips])
    assert ((shoulders > 0.2) & (shoulders < 0.8)).all()
    assert all((c[:, 500, 0] > c[:, 501, 0]).all() for c in clips)
    assert all(np.nanmean(c[:, :468, 1]) < c[:, 500, 1].mean() for c in clips)


def test_signers_differ_and_some_are_left_handed(synthetic_store):
    signers = [draw_signer(number, seed=0) for number in range(1, 9)]
    assert sum(signer.left_handed for signer in signers) == 2
    assert len({signer.arm for signer in signers}) == 8
    left_handed = np.flatnonzero(synthetic_store.clip_signers == "3")
    seen = [np.isfinite(synthetic_store.read(int(i))[:, [468, 522], 0]).sum(0) for i in left_handed]
    assert np.mean([left > right for left, right in seen]) > 0.5


def test_signs_come_in_pairs_that_share_two_parts():
    signs = lexicon(20, seed=0)
    assert len({sign.name for sign in signs}) == 20
    shared = [
        sum(a == b for a, b in zip(sign, other, strict=True))
        for sign, other in zip(signs[::2], signs[1::2], strict=True)
    ]
    assert shared == [2] * 10


def test_the_whole_lexicon_can_be_drawn():
    assert len(set(lexicon(250, seed=0))) == 250


def test_a_new_signer_is_harder_than_a_new_clip(tmp_path):
    """A split by signer is harder than a random one, and neither is solved by its neighbours."""
    from asl.clips.prepare import prepare

    began = time.process_time()
    source = synthetic_source(tmp_path / "raw", signs=8, signers=6, clips_per_sign=4)
    store = prepare(source, tmp_path / "store", workers=1)
    x = np.stack([_features(store.read(i)) for i in range(len(store))])
    takes = np.arange(len(store)) % 4
    by_signer = np.mean([_nearest(x, store.sign, store.signer == s) for s in range(6)])
    by_clip = np.mean([_nearest(x, store.sign, takes == take) for take in range(4)])
    assert by_clip > by_signer + 0.05
    assert 3 / 8 < by_signer < 3 / 4
    assert time.process_time() - began < 60


def _features(clip):
    """Hands and arms at eight moments, relative to the shoulders, in shoulder widths."""
    points = clip[:, [*range(468, 489), *range(502, 506), *range(522, 543)], :2]
    shoulders = clip[:, 500:502, :2]
    centre = shoulders.mean(axis=(0, 1))
    width = np.linalg.norm(shoulders[:, 0] - shoulders[:, 1], axis=1).mean()
    moments = np.linspace(0, len(clip) - 1, 8).round().astype(int)
    return np.nan_to_num((points[moments] - centre) / width).ravel()


def _nearest(x, y, held):
    """Accuracy on the held-out rows of the nearest neighbour among the others."""
    distances = np.linalg.norm(x[held][:, None] - x[~held][None], axis=2)
    return np.mean(y[~held][distances.argmin(axis=1)] == y[held])
