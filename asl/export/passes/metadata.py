"""What a .tflite says of itself: TFLite's metadata, and the files behind the model that it names.

Any program that reads TFLite metadata learns the signs, the shapes and the run; any that can unzip
finds labels.txt and labels.json.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import add_buffer, pack
from asl.landmarks import LAYOUTS
from asl.runtime.labels import LABELS, LABELS_TEXT

if TYPE_CHECKING:
    from torch import nn

    from asl.recognizer.recognizer import Recognizer

# Tables of tflite-support's metadata_schema.fbs: their fields in order, as far as used.
MODEL = (
    "name", "description", "version", "subgraph_metadata", "author", "license", "associated_files",
    "min_parser_version",
)  # fmt: skip
SUBGRAPH = ("name", "description", "input_tensor_metadata", "output_tensor_metadata")
TENSOR = (
    "name", "description", "dimension_names", "content", "process_units", "stats",
    "associated_files",
)  # fmt: skip
CONTENT = ("content_properties_type", "content_properties")
FILE = ("name", "description", "type")

NAME = "TFLITE_METADATA"  # of the buffer
BYTES = ("content_properties_type", "type")  # all other fields are offsets
FEATURES = 1  # ContentProperties: numbers, neither picture nor sound
DESCRIPTIONS, AXIS_LABELS = 1, 2  # AssociatedFileType
OLDEST_PARSER = "1.0.0"  # of the schema's versions, the first with all that is used here


def labels(recognizer: "Recognizer") -> dict[str, Any]:
    """The content of labels.json: the signs in order, the input, and the preprocessing."""
    layout = recognizer.landmarks.layout
    return {
        "signs": list(recognizer.signs),
        "layout": layout.name,
        "inputs": ["frames", layout.size, len(layout.channels)],
        **_preprocessing(recognizer),
    }


def _preprocessing(recognizer: "Recognizer") -> dict[str, Any]:
    """A recognizer's landmarks, scaler and features, or those of each member of an ensemble."""
    landmarks = recognizer.landmarks
    facts = {"landmarks": {"name": landmarks.name, "rows": list(landmarks.own)}}
    members: Sequence[Recognizer] | None = getattr(recognizer, "members", None)
    if members is not None:
        return facts | {"members": [_preprocessing(member) for member in members]}
    return facts | {
        "scaler": _module_facts(recognizer.scaler),
        "features": _module_facts(recognizer.features),
    }


def _module_facts(module: "nn.Module") -> dict[str, Any]:
    """A module's class and those of its attributes that are plain values."""
    plain = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, str | int | float | list | tuple)
        and name != "training"
        and name[0] != "_"
    }
    return {"class": type(module).__name__} | plain


def write_tflite(
    model: Any,
    path: Path,
    labels: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Pack a model and write it, with labels, shapes, preprocessing and provenance inside.

    The metadata is a buffer of the model; labels.txt and labels.json, which it names, follow the
    model as a zip archive. LiteRT reads the model from the front of the file, unzip programs the
    archive from its end.

    Args:
        model: a tree of `asl.export.passes.flatbuffer` without metadata; it is given some.
        path: the file to write.
        labels: the content of labels.json: `signs`, `layout`, `inputs`, `landmarks`, `scaler`,
            `features`, and `run` where a run is known. Without it the model is written as it is.
        files: further files of the archive, by name.
    """
    if labels is None:
        path.write_bytes(pack(model))
        return
    buffer = add_buffer(model, np.frombuffer(metadata(labels), np.uint8))
    entry = schema.MetadataT(name=NAME, buffer=buffer)
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(pack(model))
    with zipfile.ZipFile(path, "a") as archive:  # stored: readers map the files as they are
        texts = {
            LABELS_TEXT: "\n".join(labels["signs"]),
            LABELS: json.dumps(labels, ensure_ascii=False, indent=2),
        }
        contents: dict[str, str | bytes] = {**texts, **files}
        for name, content in contents.items():
            # A ZipInfo has no time of day: the same recognizer gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name), content)


def remove_metadata(model: Any) -> None:
    """Take out of a parsed model what `write_tflite` put into it last."""
    last = len(model.buffers) - 1
    ours = [each for each in model.metadata or [] if each.name == NAME.encode()]
    model.metadata = [each for each in model.metadata or [] if each not in ours]
    if any(each.buffer == last for each in ours):
        model.buffers.pop()


def metadata(labels: Mapping[str, Any]) -> bytes:
    """The flatbuffer ModelMetadata of tflite-support's schema, identifier M001."""
    builder = flatbuffers.Builder()
    run = labels.get("run", {})
    subgraph = _table(
        builder,
        SUBGRAPH,
        description=preprocessing(labels),
        input_tensor_metadata=[_inputs(builder, labels)],
        output_tensor_metadata=[_outputs(builder, labels)],
    )
    content = "All that is known of the model, as JSON: signs, inputs, preprocessing, run."
    root = _table(
        builder,
        MODEL,
        name=str(run.get("name", "isolated sign recognizer")),
        description=description(labels),
        version=str(run.get("id", "")),
        subgraph_metadata=[subgraph],
        associated_files=[
            _table(builder, FILE, name=LABELS, description=content, type=DESCRIPTIONS)
        ],
        min_parser_version=OLDEST_PARSER,
    )
    builder.Finish(root, b"M001")
    return bytes(builder.Output())


def description(labels: Mapping[str, Any]) -> str:
    """The task of the model and the run that it comes from, in two sentences."""
    task = f"Names one of {len(labels['signs'])} signs in a clip of {labels['layout']} landmarks."
    run = labels.get("run")
    return f"{task} Trained on {run['data']}, {run['split']}." if run else task


def preprocessing(labels: Mapping[str, Any]) -> str:
    """The preprocessing that the graph contains, in words."""
    recognizers = []
    for facts in labels.get("members", [labels]):
        landmarks = facts["landmarks"]
        steps = [f"landmarks {landmarks['name']} ({len(landmarks['rows'])})"]
        steps += [_call(facts[step]) for step in ("scaler", "features") if step in facts]
        recognizers.append(", ".join(steps))
    return f"All preprocessing is in the graph: {'; '.join(recognizers)}."


def _call(facts: Mapping[str, Any]) -> str:
    """A module's class and options as a Python call."""
    options = (f"{key}={json.dumps(value)}" for key, value in facts.items() if key != "class")
    return f"{facts['class']}({', '.join(options)})"


def _inputs(builder: flatbuffers.Builder, labels: Mapping[str, Any]) -> int:
    layout = LAYOUTS[labels["layout"]]
    parts = ", ".join(f"{part} {rows[0]}-{rows[-1]}" for part, rows in layout.parts.items())
    counted = f"{layout.size} landmark{'s' * (layout.size > 1)}"
    return _tensor(
        builder,
        name="inputs",
        description=f"Raw {', '.join(layout.channels)} of {counted} ({parts}) in each frame of one "
        "clip; any number of frames from 1 up; NaN = not detected.",
        dimension_names=["frame", "landmark", "coordinate"],
    )


def _outputs(builder: flatbuffers.Builder, labels: Mapping[str, Any]) -> int:
    content = "The sign of each probability, a line each."
    return _tensor(
        builder,
        name="outputs",
        description=f"The probability of each of the {len(labels['signs'])} signs.",
        dimension_names=["sign"],
        associated_files=[
            _table(builder, FILE, name=LABELS_TEXT, description=content, type=AXIS_LABELS)
        ],
    )


def _tensor(builder: flatbuffers.Builder, **fields: str | Sequence[str | int]) -> int:
    numbers = _table(builder, ())
    content = _table(builder, CONTENT, content_properties_type=FEATURES, content_properties=numbers)
    return _table(builder, TENSOR, content=content, **fields)


def _table(
    builder: flatbuffers.Builder, names: Sequence[str], **fields: str | int | Sequence[str | int]
) -> int:
    """Write a table: numbers are bytes, or offsets of what is written; the table's own offset."""
    written = {name: _written(builder, value) for name, value in fields.items()}
    builder.StartObject(len(names))
    for name, value in written.items():
        if name in BYTES:
            builder.PrependInt8Slot(names.index(name), value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(names.index(name), value, 0)
    return int(builder.EndObject())


def _written(builder: flatbuffers.Builder, value: str | int | Sequence[str | int]) -> int:
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        return int(builder.CreateString(value))
    offsets = [_written(builder, member) for member in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
