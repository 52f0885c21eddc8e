"""What a .tflite says of itself: TFLite's metadata, and the files behind the model that it names.

Any program that reads TFLite metadata learns the signs, the shapes and the run; any that can unzip
finds labels.txt and labels.json.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from asl.export.passes.flatbuffer import pack, parse
from asl.landmarks import LAYOUTS
from asl.runtime.labels import LABELS, LABELS_TEXT

# Tables of tflite-support's metadata_schema.fbs: their fields in order, as far as used.
MODEL = (
    "name",
    "description",
    "version",
    "subgraph_metadata",
    "author",
    "license",
    "associated_files",
    "min_parser_version",
)
SUBGRAPH = ("name", "description", "input_tensor_metadata", "output_tensor_metadata")
TENSOR = (
    "name",
    "description",
    "dimension_names",
    "content",
    "process_units",
    "stats",
    "associated_files",
)
CONTENT = ("content_properties_type", "content_properties")
FILE = ("name", "description", "type")

BYTES = ("content_properties_type", "type")  # all other fields are offsets
FEATURES = 1  # ContentProperties: numbers, neither picture nor sound
DESCRIPTIONS, AXIS_LABELS = 1, 2  # AssociatedFileType
OLDEST_PARSER = "1.0.0"  # of the schema's versions, the first with all that is used here


def add_metadata(tflite_path: Path, labels: Mapping[str, Any]) -> None:
    """Put labels, shapes, preprocessing and provenance into a .tflite.

    The metadata is a buffer of the model; labels.txt and labels.json, which it names, follow the
    model as a zip archive. LiteRT reads the model from the front of the file, unzip programs the
    archive from its end.

    Args:
        tflite_path: a model without metadata; it is written anew.
        labels: the content of labels.json: `signs`, `layout`, `inputs`, what is looked at and made
            of it, and `run` where a run is known.
    """
    tflite = tflite_path.read_bytes()
    model = parse(tflite)
    data = np.frombuffer(metadata(labels), np.uint8)
    model.buffers.append(schema.BufferT(data=data))
    entry = schema.MetadataT(name="TFLITE_METADATA", buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]
    tflite_path.write_bytes(pack(model, len(tflite) + len(data)))
    with zipfile.ZipFile(tflite_path, "a") as archive:  # stored: readers map the files as they are
        for name, text in (
            (LABELS_TEXT, "\n".join(labels["signs"])),
            (LABELS, json.dumps(labels, ensure_ascii=False, indent=2)),
        ):
            # A ZipInfo has no time of day: the same recognizer gives the same bytes.
            archive.writestr(zipfile.ZipInfo(name), text)


def metadata(labels: Mapping[str, Any]) -> bytes:
    """The flatbuffer ModelMetadata of tflite-support's schema, identifier M001."""
    builder = flatbuffers.Builder()
    run = labels.get("run", {})
    graph = _table(
        builder,
        SUBGRAPH,
        description=preprocessing(labels),
        input_tensor_metadata=[_inputs(builder, labels)],
        output_tensor_metadata=[_outputs(builder, labels)],
    )
    facts = _file(
        builder,
        LABELS,
        "All that is known of the model, as JSON: signs, inputs, preprocessing, run.",
        DESCRIPTIONS,
    )
    root = _table(
        builder,
        MODEL,
        name=run.get("name", "isolated sign recognizer"),
        description=description(labels),
        version=run.get("id", ""),
        subgraph_metadata=[graph],
        associated_files=[facts],
        min_parser_version=OLDEST_PARSER,
    )
    builder.Finish(root, b"M001")
    return bytes(builder.Output())


def description(labels: Mapping[str, Any]) -> str:
    """What the model is, in two sentences."""
    said = f"Names one of {len(labels['signs'])} signs in a clip of {labels['layout']} landmarks."
    run = labels.get("run")
    return f"{said} Trained on {run['data']}, {run['split']}." if run else said


def preprocessing(labels: Mapping[str, Any]) -> str:
    """What the graph itself makes of raw landmarks."""
    members = labels.get("members", [labels])
    return "All preprocessing is in the graph: " + "; ".join(map(_steps, members)) + "."


def _steps(facts: Mapping[str, Any]) -> str:
    landmarks = facts["landmarks"]
    steps = [facts[step] for step in ("scaler", "features") if step in facts]
    return ", ".join(
        [f"landmarks {landmarks['name']} ({len(landmarks['rows'])})", *map(_module, steps)]
    )


def _module(facts: Mapping[str, Any]) -> str:
    plain = {name: json.dumps(value) for name, value in facts.items() if name != "class"}
    options = ", ".join(f"{name}={value}" for name, value in plain.items())
    return f"{facts['class']}({options})"


def _inputs(builder: flatbuffers.Builder, labels: Mapping[str, Any]) -> int:
    layout = LAYOUTS[labels["layout"]]
    parts = ", ".join(f"{part} {rows[0]}-{rows[-1]}" for part, rows in layout.parts.items())
    return _tensor(
        builder,
        name="inputs",
        description=f"Raw x, y, z of {layout.size} landmarks ({parts}) in each frame of one clip; "
        "any number of frames from 1 up; NaN = not detected.",
        dimension_names=["frame", "landmark", "coordinate"],
    )


def _outputs(builder: flatbuffers.Builder, labels: Mapping[str, Any]) -> int:
    names = _file(builder, LABELS_TEXT, "The sign of each probability, a line each.", AXIS_LABELS)
    return _tensor(
        builder,
        name="outputs",
        description=f"The probability of each of the {len(labels['signs'])} signs.",
        dimension_names=["sign"],
        associated_files=[names],
    )


def _tensor(builder: flatbuffers.Builder, **fields: str | Sequence[str | int]) -> int:
    numbers = _table(builder, ())
    content = _table(builder, CONTENT, content_properties_type=FEATURES, content_properties=numbers)
    return _table(builder, TENSOR, content=content, **fields)


def _file(builder: flatbuffers.Builder, name: str, description: str, kind: int) -> int:
    return _table(builder, FILE, name=name, description=description, type=kind)


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
