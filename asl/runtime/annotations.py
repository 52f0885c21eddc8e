"""Segments of recordings as files: CSV, JSON, and ELAN's EAF."""

import csv
import io
import json
import mimetypes
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree

from asl.runtime.clips import VIDEOS
from asl.runtime.printed import one_line
from asl.terminal import encodable

_SIGNS, _SCORES = "signs", "scores"  # ELAN's tiers
_ASSOCIATED = "Symbolic_Association"


class Spotted(NamedTuple):
    """A sign in a recording.

    Attributes:
        start: in seconds.
        end: likewise.
        sign: its name.
        score: how probable it is.
    """

    start: float
    end: float
    sign: str
    score: float


def as_csv(segments: Sequence[Spotted]) -> str:
    """A row for each segment, with a header; times in seconds."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(Spotted._fields)
    table.writerows((f"{s.start:.3f}", f"{s.end:.3f}", s.sign, f"{s.score:.4f}") for s in segments)
    return text.getvalue()


def as_json(segments: Sequence[Spotted], recording: Path) -> str:
    """An object with the recording's name and its segments, times in seconds."""
    content = {"recording": recording.name, "segments": [s._asdict() for s in segments]}
    return encodable(json.dumps(content, ensure_ascii=False, indent=2)) + "\n"


def as_eaf(segments: Sequence[Spotted], recording: Path, folder: Path) -> str:
    """A document of ELAN's annotation format 3.0.

    The tier `signs` has an annotation for each segment, and the tier `scores` below it one for each
    of these. A video is linked, by its path relative to the document too.

    Args:
        segments: in their order; no two overlap.
        recording: that they are in.
        folder: of the document.

    Source: Max Planck Institute for Psycholinguistics, "EAF Annotation Format 3.0 and ELAN", 2017.
    """
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "asl",
            "DATE": now,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    _add_header(root, recording, folder, annotations=2 * len(segments))
    _add_times(root, segments)
    _add_tiers(root, segments)
    _add_types(root)
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode", xml_declaration=True) + "\n"


def _add_header(root: ElementTree.Element, recording: Path, folder: Path, annotations: int) -> None:
    header = _add(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if recording.suffix.lower() in VIDEOS:
        relative = Path(os.path.relpath(recording, folder)).as_posix()
        _add(
            header,
            "MEDIA_DESCRIPTOR",
            MEDIA_URL=recording.absolute().as_uri(),
            MIME_TYPE=mimetypes.guess_type(recording.name)[0] or "unknown",
            RELATIVE_MEDIA_URL=quote(os.fsencode(f"./{relative}")),
        )
    _add(header, "PROPERTY", str(annotations), NAME="lastUsedAnnotationId")


def _add_times(root: ElementTree.Element, segments: Sequence[Spotted]) -> None:
    """Two time slots a segment."""
    order = _add(root, "TIME_ORDER")
    times = [time for segment in segments for time in (segment.start, segment.end)]
    for number, time in enumerate(times, start=1):
        milliseconds = str(round(time * 1000))
        _add(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{number}", TIME_VALUE=milliseconds)


def _add_tiers(root: ElementTree.Element, segments: Sequence[Spotted]) -> None:
    signs = _add(root, "TIER", LINGUISTIC_TYPE_REF=_SIGNS, TIER_ID=_SIGNS)
    scores = _add(root, "TIER", LINGUISTIC_TYPE_REF=_SCORES, PARENT_REF=_SIGNS, TIER_ID=_SCORES)
    for number, segment in enumerate(segments, start=1):
        of_sign, of_score = f"a{number}", f"a{len(segments) + number}"
        start, end = f"ts{2 * number - 1}", f"ts{2 * number}"
        aligned = _add(
            _add(signs, "ANNOTATION"),
            "ALIGNABLE_ANNOTATION",
            ANNOTATION_ID=of_sign,
            TIME_SLOT_REF1=start,
            TIME_SLOT_REF2=end,
        )
        _add(aligned, "ANNOTATION_VALUE", one_line(segment.sign))
        referring = _add(
            _add(scores, "ANNOTATION"),
            "REF_ANNOTATION",
            ANNOTATION_ID=of_score,
            ANNOTATION_REF=of_sign,
        )
        _add(referring, "ANNOTATION_VALUE", f"{segment.score:.3f}")


def _add_types(root: ElementTree.Element) -> None:
    """What the tiers are to one another."""
    common = {"GRAPHIC_REFERENCES": "false"}
    _add(root, "LINGUISTIC_TYPE", **common, LINGUISTIC_TYPE_ID=_SIGNS, TIME_ALIGNABLE="true")
    _add(
        root,
        "LINGUISTIC_TYPE",
        **common,
        CONSTRAINTS=_ASSOCIATED,
        LINGUISTIC_TYPE_ID=_SCORES,
        TIME_ALIGNABLE="false",
    )
    one = "1-1 association with a parent annotation"
    _add(root, "CONSTRAINT", DESCRIPTION=one, STEREOTYPE=_ASSOCIATED)


def _add(
    parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, name, attributes)
    element.text = text
    return element
