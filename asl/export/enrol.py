"""`asl enrol`: clips of a person, or of a new sign, as prototypes in an exported file.

LiteRT gives the embeddings of the clips, and passes over the file add the prototypes: no training,
and neither PyTorch nor TensorFlow. The embeddings stay in the file, so that further clips join
them, and the order in which clips come makes no difference.
"""

import copy
import io
import math
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asl.errors import UserError
from asl.export import ExportError
from asl.export.parity.contract import check_contract
from asl.export.passes.flatbuffer import parse
from asl.export.passes.metadata import remove_metadata, write_tflite
from asl.export.passes.prototypes import add_prototypes, remove_prototypes
from asl.export.passes.signatures import join_signatures, separate_signatures
from asl.export.prototypes import DEFAULT, Blend, Head, blended, prototype_head, unknown_left
from asl.files import replacing
from asl.runtime.clips import MAX_BYTES, sign_of
from asl.runtime.labels import LABELS, read_facts, read_labels
from asl.runtime.litert import RECOGNISE
from asl.runtime.predict import check_model, describe

EXAMPLES = "enrolled.npy"
"""The zip entry with the embeddings of the enrolled clips, float32 `[clips, width]`."""

EXACT = 1e-4
"""By how much a probability of the written file may differ from what NumPy computes."""

_MOST_BYTES = 200_000_000  # of embeddings: a small zip entry may unpack to any size

_MOST_COUNTED = 1000  # of a blend's numbers: huge ones overflow

Example = tuple[str, np.ndarray]  # a sign, and the embedding of a clip


@dataclass(frozen=True)
class Enrolled:
    """What a file holds now.

    Attributes:
        path: of the file.
        clips: number of enrolled clips of each sign.
        added: how many of them it did not hold before.
        new: signs that the network does not know.
        problems: why a clip was left out, by its path.
    """

    path: Path
    clips: Mapping[str, int]
    added: int
    new: Sequence[str]
    problems: Mapping[str, str]


def enrol(
    model_path: str | Path,
    clip_paths: Sequence[str | Path],
    sign: str | None = None,
    out: str | Path | None = None,
    *,
    mirror: bool = False,
    forget: bool = False,
) -> Enrolled:
    """Write clips as examples of their signs into an exported file.

    Args:
        model_path: a .tflite with the signature `recognise`, as `asl export` writes it.
        clip_paths: what `asl.runtime.clips.read_clips` reads, one sign each.
        sign: of all these clips, one that the file knows or a new one; where None each clip's own,
            as `asl.runtime.clips.sign_of` finds it.
        out: the file to write; `model_path` itself where None.
        mirror: whether left and right of videos are exchanged.
        forget: whether the clips that were enrolled before are taken out.

    Raises:
        UserError: the file is none that can be enrolled in, or none of the clips can be enrolled.

    Example:
        >>> from asl.export.enrol import enrol
        >>> enrol("model_float16.tflite", ["anna/1.mp4", "anna/2.mp4"], sign="hello").clips
        {'hello': 2}
    """
    path, out = Path(model_path), Path(out or model_path)
    if not clip_paths and not forget:
        raise UserError("enrol needs clips: asl enrol FILE.tflite CLIP… [sign=NAME] [out=FILE]")
    if sign is not None and not sign.strip():
        raise UserError("sign=: name the sign of the clips")
    if not os.path.isfile(path):  # Path.is_file raises where the name is too long
        raise UserError(f"{path}: there is no such file; `asl export` writes one")
    # LiteRT first: it refuses what `parse` would unfold without end, one table named many times.
    check_model(path)
    facts = read_facts(path)
    with _refusing_other_files(path):
        proof = _proof_clips(facts["inputs"])
        network = read_labels(path)[: facts.get("enrolled", {}).get("network")]
        before = [] if forget else _read_examples(path, facts)
        model = parse(path.read_bytes())
        remove_metadata(model)
        join_signatures(model)
        remove_prototypes(model)
    with _refusing_other_files(path), tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.tflite"
        bare = copy.deepcopy(model)
        separate_signatures(bare)
        write_tflite(bare, plain)
        names = _saved(proof, Path(folder))
        outputs, problems = describe(plain, [*clip_paths, *names], mirror=mirror)
        if crashed := [problems[name] for name in names if name in problems]:
            raise UserError(f"{path}: {crashed[0]}")
        expected = {name: outputs.pop(name) for name in names}
        if len(network) != (count := len(expected[names[0]]["outputs"])):
            counts = f"names {len(network)} signs that the network knows, and it gives {count}"
            raise UserError(f"{path}: its {LABELS} {counts} probabilities")
        added, unnamed = _examples(outputs, network, sign)
        problems = {**problems, **unnamed}
        if clip_paths and not added:
            reasons = [f"{clip}: {reason}" for clip, reason in problems.items()]
            more = f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""
            raise UserError(f"{path}: nothing was enrolled: {'; '.join(reasons[:3])}{more}")
        examples = _each_once([*before, *added])
        _write(model, out, facts, network, examples, expected)
    clips = Counter(sign for sign, _ in examples)
    new = sorted(clips.keys() - set(network))
    return Enrolled(out, clips, len(examples) - len(_each_once(before)), new, problems)


@contextmanager
def _refusing_other_files(path: Path) -> Iterator[None]:
    """Raises UserError for any error on a file that is damaged or not from `asl export`."""
    try:
        yield
    except (UserError, ExportError, OSError):
        raise
    except Exception as error:  # the file may be anybody's
        raise UserError(
            f"{path}: not a file to enrol in, as `asl export` writes it: it lacks the signature "
            f"{RECOGNISE} or {LABELS}, or is damaged ({type(error).__name__}: {error})"
        ) from error


def _read_examples(path: Path, facts: Mapping[str, Any]) -> list[Example]:
    """The examples in a file; none where nothing was enrolled."""
    if "enrolled" not in facts:
        return []
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(EXAMPLES).file_size > _MOST_BYTES:
            raise ValueError(f"{EXAMPLES} has more than {_MOST_BYTES:,} bytes")
        embeddings = np.load(io.BytesIO(archive.read(EXAMPLES)), allow_pickle=False)
    clips = facts["enrolled"]["clips"].items()
    signs = (sign for sign, count in clips for _ in range(count))  # a list might be endless
    return list(zip(signs, embeddings.astype(np.float32), strict=True))


def _examples(
    outputs: Mapping[str, Mapping[str, np.ndarray]], network: Sequence[str], sign: str | None
) -> tuple[list[Example], dict[str, str]]:
    """The clips whose sign is known, as examples, and for each other clip the reason."""
    examples, problems = [], {}
    for clip, answers in outputs.items():
        name = sign or sign_of(clip, network)
        if name is None:
            problems[clip] = "which sign it shows is not known: sign=NAME names it"
        else:
            examples.append((name, answers["embedding"]))
    return examples, problems


def _each_once(examples: Sequence[Example]) -> list[Example]:
    """The examples without duplicates, in an order that does not depend on the input's."""
    different = {(sign, embedding.tobytes()): embedding for sign, embedding in examples}
    return [(key[0], different[key]) for key in sorted(different)]


def _write(
    model: Any,
    out: Path,
    facts: dict[str, Any],
    network: Sequence[str],
    examples: Sequence[Example],
    expected: Mapping[str, dict[str, np.ndarray]],
) -> None:
    """Write the file with these examples, checked as an export is.

    Args:
        model: the file's tree without prototypes; it is changed.
        out: the file to write.
        facts: its labels.json.
        network: the signs that the network knows.
        examples: in their order.
        expected: clips' paths to the outputs of the file without prototypes, which prove it.
    """
    names = [sign for sign, _ in examples]
    signs = [*network, *sorted(set(names) - set(network))]
    facts = {key: value for key, value in facts.items() if key != "enrolled"} | {"signs": signs}
    files, head = {}, None
    if examples:
        embeddings = np.stack([embedding for _, embedding in examples])
        labels = [signs.index(name) for name in names]
        head = prototype_head(embeddings, labels, len(signs), blend_of(facts))
        add_prototypes(model, len(network), head)
        facts["enrolled"] = {"network": len(network), "clips": Counter(names)}
        stream = io.BytesIO()
        np.save(stream, embeddings)
        files[EXAMPLES] = stream.getvalue()
    separate_signatures(model)
    with replacing(out) as temporary:
        write_tflite(model, temporary, facts, files)
        _check(temporary, expected, len(signs), head)


def blend_of(facts: Mapping[str, Any]) -> Blend:
    """How much prototypes count in the file of this labels.json, as its export has said.

    Raises:
        ValueError, TypeError: it says no numbers, or such as no export writes.
    """
    blend = Blend(**facts["blend"]) if "blend" in facts else DEFAULT
    if not all(0 <= number <= _MOST_COUNTED for number in astuple(blend)):
        raise ValueError(f"blend is {blend}")
    return blend


def _proof_clips(inputs: Sequence[Any]) -> list[np.ndarray]:
    """Made-up clips of the shape that labels.json names."""
    frames, *frame = inputs
    lengths = (frames,) if isinstance(frames, int) else (1, 30)
    if (size := 4 * math.prod([lengths[-1], *frame])) > MAX_BYTES:
        raise ValueError(f"its clips have {size / 1e9:.1f} GB")
    random = np.random.default_rng(0)
    return [random.random((length, *frame), np.float32) for length in lengths]


def _saved(clips: Sequence[np.ndarray], folder: Path) -> list[str]:
    """The paths of clips as files."""
    names = [str(folder / f"{number}.npy") for number in range(len(clips))]
    for name, clip in zip(names, clips, strict=True):
        np.save(name, clip)
    return names


def _check(
    path: Path, expected: Mapping[str, dict[str, np.ndarray]], signs: int, head: Head | None
) -> None:
    """Check a file's contract, and that it answers as NumPy does.

    Args:
        path: of the file.
        expected: clips' paths to the outputs of the file without prototypes.
        signs: number of its signs.
        head: of its prototypes; None without any.

    Raises:
        ExportError: it breaks the contract, or answers otherwise.
    """
    outputs, problems = describe(path, list(expected))
    if problems:
        raise ExportError(f"enrolled: {next(iter(problems.values()))}")
    for clip, plain in expected.items():
        for output, values in _with_prototypes(plain, head).items():
            difference = float(np.abs(outputs[clip][output] - values).max())
            if not difference <= EXACT:
                raise ExportError(f"enrolled: {output} differs by {difference:.1e} from NumPy's")
    clips = [np.load(clip) for clip in expected]
    frames = None if len(clips) > 1 else len(clips[0])
    check_contract("enrolled", path, clips[-1], signs, frames, list(next(iter(expected.values()))))


def _with_prototypes(plain: dict[str, np.ndarray], head: Head | None) -> dict[str, np.ndarray]:
    """What a file answers with prototypes, of its answers to a clip without them."""
    if head is None:
        return plain
    rows = {output: values[None] for output, values in plain.items()}
    answers = plain | {"outputs": blended(rows["outputs"], rows["embedding"], head)[0]}
    if "unknown" in plain:
        answers["unknown"] = unknown_left(rows["unknown"], rows["embedding"], head)[0]
    return answers
