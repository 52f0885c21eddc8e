import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def open_stderr():
    """absl (TensorFlow imports it) may close the stderr that it was imported with: not pytest's."""
    with contextlib.redirect_stderr(sys.__stderr__), contextlib.suppress(ImportError):
        import absl.logging  # noqa: F401


@pytest.fixture(scope="session", autouse=True)
def hasty_databases():
    """SQLite does not wait for the disk, for no test need outlive the machine."""
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def hurry(connection, record) -> None:
        if "sqlite3" in type(connection).__module__:
            connection.execute("PRAGMA synchronous=OFF")


@pytest.fixture(scope="session", autouse=True)
def copied_databases(tmp_path_factory):
    """A new database of MLflow is a copy of the first one: its 60 migrations take seconds."""
    import sqlite3
    from contextlib import closing

    from mlflow.store.db import utils

    migrated = tmp_path_factory.mktemp("database") / "mlflow.db"
    migrate = utils._initialize_tables

    def initialize(engine) -> None:
        first = not migrated.exists()
        if first:
            migrate(engine)
        with closing(sqlite3.connect(migrated)) as copy, closing(engine.raw_connection()) as new:
            ends = (new.driver_connection, copy)
            source, target = ends if first else ends[::-1]
            source.backup(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", initialize)
        yield


@pytest.fixture(scope="session", autouse=True)
def coarse_pictures(tmp_path_factory):
    """Figures of few pixels, in other processes too: most tests make some and look at none."""
    folder = tmp_path_factory.mktemp("matplotlib")
    (folder / "matplotlibrc").write_text("savefig.dpi: 20\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATPLOTLIBRC", str(folder))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips; a test that asks for it is skipped where there is none."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("ASL_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder} (ASL_SHARED_DATA names their folder)")
    return folder


@pytest.fixture(scope="session")
def odd_names() -> list[str]:
    """Names that rich, matplotlib or a browser would not show as they are."""
    return ["$5", r"$\frac$", "a$_$b", "[bye]", "[/b]", ":smile: 100 %", "<i>&amp;"]


@pytest.fixture(scope="session")
def odd_store(odd_names, tmp_path_factory):
    """Clips whose signs and signers have these names, one of each."""
    import numpy as np

    from asl.clips.prepare import prepare
    from asl.clips.sources.npz import NpzSource

    folder = tmp_path_factory.mktemp("odd")
    clips = np.random.default_rng(0).random((len(odd_names), 5, 543, 3), dtype=np.float32)
    names = np.array(odd_names)
    np.savez(folder / "a.npz", X=clips, sign=names, participant_id=names[::-1])
    source = NpzSource(folder, layout="mediapipe_holistic", file="a.npz")
    return prepare(source, folder / "store", workers=1)


@pytest.fixture(scope="session")
def synthetic_raw(tmp_path_factory) -> Path:
    """A small generated data set in the competition's layout: 4 signs, 5 signers, 40 clips."""
    from asl.clips.synthetic.generator import synthetic_source

    root = tmp_path_factory.mktemp("synthetic") / "raw"
    synthetic_source(root, signs=4, signers=5, clips_per_sign=2)
    return root


@pytest.fixture(scope="session")
def synthetic_store(synthetic_raw):
    from asl.clips.prepare import prepare
    from asl.clips.sources.gislr import GislrSource

    return prepare(GislrSource(synthetic_raw), synthetic_raw.parent / "store", name="synthetic")


@pytest.fixture(scope="session")
def words15_store(shared_data, tmp_path_factory):
    """The real clips of words15, packed by two processes."""
    from asl.clips.prepare import prepare
    from asl.clips.sources.gislr import GislrSource

    store = tmp_path_factory.mktemp("stores") / "words15"
    return prepare(GislrSource(shared_data / "words15"), store, workers=2)


@pytest.fixture(scope="session")
def isl30_store(shared_data, tmp_path_factory):
    """The real Kinect clips of isl30."""
    from asl.clips.prepare import prepare
    from asl.clips.sources.npz import NpzSource

    source = NpzSource(shared_data / "isl30", file="isl30.npz", layout="kinect20")
    return prepare(source, tmp_path_factory.mktemp("stores") / "isl30", workers=1)


@pytest.fixture(scope="session")
def tiny_tflite() -> Callable[..., Path]:
    """Writes a file of the competition's contract for three signs, without TensorFlow.

    It gives the softmax of the mean x, y and z. Its number of frames is free or fixed.
    """
    import numpy as np
    from ai_edge_litert import schema_py_generated as tfl

    from asl.export.passes.flatbuffer import pack

    def tensor(name, shape, signature=None, buffer=0, kind=tfl.TensorType.FLOAT32):
        return tfl.TensorT(
            name=name, shape=shape, shapeSignature=signature, buffer=buffer, type=kind
        )

    def operator(code, inputs, outputs, kind, options):
        return tfl.OperatorT(
            opcodeIndex=code,
            inputs=inputs,
            outputs=outputs,
            builtinOptionsType=kind,
            builtinOptions=options,
        )

    options = tfl.BuiltinOptions
    graph = tfl.SubGraphT(
        tensors=[
            tensor("inputs", [1, 543, 3], [-1, 543, 3]),
            tensor("axes", [2], buffer=1, kind=tfl.TensorType.INT32),
            tensor("mean", [3]),
            tensor("outputs", [3]),
        ],
        inputs=[0],
        outputs=[3],
        operators=[
            operator(0, [0, 1], [2], options.ReducerOptions, tfl.ReducerOptionsT()),
            operator(1, [2], [3], options.SoftmaxOptions, tfl.SoftmaxOptionsT(beta=1.0)),
        ],
    )
    operators = [tfl.BuiltinOperator.MEAN, tfl.BuiltinOperator.SOFTMAX]
    model = tfl.ModelT(
        version=3,
        operatorCodes=[
            tfl.OperatorCodeT(builtinCode=code, deprecatedBuiltinCode=code, version=1)
            for code in operators
        ],
        subgraphs=[graph],
        buffers=[
            tfl.BufferT(),
            tfl.BufferT(data=np.array([0, 1], np.int32).view(np.uint8)),
        ],
        signatureDefs=[
            tfl.SignatureDefT(
                inputs=[tfl.TensorMapT(name="inputs", tensorIndex=0)],
                outputs=[tfl.TensorMapT(name="outputs", tensorIndex=3)],
                signatureKey="serving_default",
            )
        ],
    )

    def write(path: Path, frames: int | None = None) -> Path:
        inputs = graph.tensors[0]
        inputs.shape, inputs.shapeSignature = [frames or 1, 543, 3], [frames or -1, 543, 3]
        path.write_bytes(pack(model))
        return path

    return write


@pytest.fixture(scope="session")
def scored_tflite(tiny_tflite) -> Callable[..., Path]:
    """Writes the file of `tiny_tflite` with a score that a clip is no sign: the mean x.

    It is given the threshold of that score, and the number of frames.
    """
    from ai_edge_litert import schema_py_generated as tfl

    from asl.export.passes.flatbuffer import parse
    from asl.export.passes.metadata import write_tflite
    from asl.export.passes.signatures import separate_signatures

    def write(path: Path, threshold: object, frames: int | None = None) -> Path:
        tree = parse(tiny_tflite(path, frames).read_bytes())
        tree.signatureDefs[0].outputs.append(tfl.TensorMapT(name=b"unknown", tensorIndex=2))
        tree.subgraphs[0].outputs = [3, 2]
        separate_signatures(tree)
        labels = {
            "signs": ["again", "bird", "cat"],
            "layout": "mediapipe_holistic",
            "inputs": ["frames", 543, 3],
            "landmarks": {"name": "hands", "rows": [468]},
            "rejection": {"threshold": threshold, "accepted": 0.95, "clips": 100},
        }
        write_tflite(tree, path, labels)
        return path

    return write
