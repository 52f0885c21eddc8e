"""Proof that the exported files say what the recognizer says, clip by clip."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from asl.export import ExportError
from asl.landmarks import Layout
from asl.recognizer.recognizer import Recognizer
from asl.runtime.litert import interpreter, load, silent_stderr

Recognise = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Limit:
    """What a hop must keep to.

    Attributes:
        difference: of a probability, at most.
        agreement: share of the clips with the same top sign, at least.
        tie: where the recognizer's own probabilities of two top signs lie closer than this, either
            of them counts as the same sign; the report says how often that was so.
    """

    difference: float
    agreement: float
    tie: float


LIMITS = {
    "onnx": Limit(1e-4, 1.0, 1e-5),
    "float32": Limit(1e-4, 1.0, 1e-5),
    "float16": Limit(2e-2, 0.995, 1e-3),
    "dynamic": Limit(2e-1, 0.98, 1e-2),
    "int8": Limit(5e-1, 0.95, 5e-2),
}


@dataclass(frozen=True)
class Hop:
    """How far one file's probabilities are from the recognizer's.

    Attributes:
        name: `onnx` or the TFLite variant.
        largest: difference of a probability on any clip.
        mean: difference over all probabilities of all clips.
        worst_clip: where the largest is.
        same_top: share of clips with the same top sign.
        ties: clips with another top sign that the recognizer itself all but ties with its own.
        changed: clips with another top sign, ties not counted.
        clips: how many were compared.
    """

    name: str
    largest: float
    mean: float
    worst_clip: str
    same_top: float
    ties: int
    changed: tuple[str, ...]
    clips: int


def probabilities(recognise: Recognise, clips: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """What `recognise` says of each clip, float32 [clips, signs].

    Raises:
        ExportError: it fails on a clip, or its answer is not finite or does not sum to 1.
    """
    answers = []
    for clip_name, clip in clips.items():
        try:
            answer = recognise(clip)
        except Exception as error:  # each runtime has its own
            raise ExportError(f"{name}: fails on clip {clip_name!r}: {error}") from error
        if not (np.isfinite(answer).all() and abs(answer.sum() - 1) < 1e-3):
            raise ExportError(
                f"{name}: on clip {clip_name!r} the outputs sum to {answer.sum()}, not 1"
            )
        answers.append(answer)
    return np.stack(answers)


def torch_recognise(recognizer: Recognizer) -> Recognise:
    """The recognizer itself, from and to NumPy."""

    def recognise(clip: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return recognizer.recognise(torch.from_numpy(clip)).numpy()

    return recognise


def onnx_recognise(path: Path) -> Recognise:
    """An ONNX file in ONNX Runtime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda clip: session.run(["outputs"], {"inputs": clip})[0]


def compare(name: str, wanted: np.ndarray, got: np.ndarray, clip_names: Sequence[str]) -> Hop:
    """Compare probabilities, both [clips, signs]."""
    difference = np.abs(got - wanted)
    worst = int(difference.max(1).argmax())
    rows = np.arange(len(wanted))
    ours, theirs = wanted.argmax(1), got.argmax(1)
    lead = wanted[rows, ours] - wanted[rows, theirs]
    other, tied = ours != theirs, lead < LIMITS[name].tie
    return Hop(
        name,
        largest=float(difference.max()),
        mean=float(difference.mean()),
        worst_clip=clip_names[worst],
        same_top=float(1 - other.mean()),
        ties=int((other & tied).sum()),
        changed=tuple(
            name for name, is_other in zip(clip_names, other & ~tied, strict=True) if is_other
        ),
        clips=len(wanted),
    )


def judge(hop: Hop) -> None:
    """Refuse a hop that breaks its limit.

    Raises:
        ExportError: names the file, the clip and by how much.
    """
    limit = LIMITS[hop.name]
    if hop.largest > limit.difference:
        raise ExportError(
            f"{hop.name}: on clip {hop.worst_clip!r} a probability differs from the "
            f"recognizer's by {hop.largest:.2e}, allowed is {limit.difference:.0e}."
        )
    agreement = 1 - len(hop.changed) / hop.clips
    if agreement < limit.agreement:
        changed = ", ".join(hop.changed[:5])
        raise ExportError(
            f"{hop.name}: the top sign is the recognizer's on {agreement:.2%} of {hop.clips}, "
            f"not on {limit.agreement:.1%}; it is another on {changed}, and a probability differs "
            f"by up to {hop.largest:.2e}, on clip {hop.worst_clip!r}."
        )


def verify_tflite(
    name: str, path: Path, wanted: np.ndarray, clips: Mapping[str, np.ndarray]
) -> tuple[Hop, Counter[str]]:
    """Check a .tflite in LiteRT: signature, operators, no kept state, and every clip's answer.

    Args:
        name: the variant.
        path: the file.
        wanted: the recognizer's probabilities [clips, signs].
        clips: name to clip, [n, N, 3].

    Returns:
        the hop, to be judged, and how often each operator occurs.

    Raises:
        ExportError: names the file, the clip and by how much.
    """
    first = next(iter(clips.values()))
    check_signature(name, path, landmarks=first.shape[1], signs=wanted.shape[1])
    operators = count_operators(path)
    if foreign := [op for op in operators if op.startswith("CUSTOM")]:
        raise ExportError(f"{name}: has operators that are not built in: {', '.join(foreign)}")
    check_no_kept_state(name, path, first)
    return compare(name, wanted, probabilities(load(path), clips, name), list(clips)), operators


def check_signature(name: str, path: Path, landmarks: int, signs: int) -> None:
    """The competition's contract: serving_default, inputs [n, N, 3] with n free -> outputs [signs].

    Raises:
        ExportError: another signature.
    """
    model = interpreter(path)
    signatures = model.get_signature_list()
    wanted = {"serving_default": {"inputs": ["inputs"], "outputs": ["outputs"]}}
    if signatures != wanted:
        raise ExportError(f"{name}: has the signatures {signatures}, not {wanted}")
    (inputs,), (outputs,) = model.get_input_details(), model.get_output_details()
    shapes = [list(inputs["shape_signature"]), list(outputs["shape_signature"])]
    if shapes != [[-1, landmarks, 3], [signs]] or {inputs["dtype"], outputs["dtype"]} != {
        np.float32
    }:
        raise ExportError(
            f"{name}: inputs and outputs are {shapes}, "
            f"not float32 [-1, {landmarks}, 3] and [{signs}]"
        )


def count_operators(path: Path) -> Counter[str]:
    """How often each operator occurs, loops' bodies included; CUSTOM:<name> for a foreign one."""
    from ai_edge_litert import schema_py_generated as schema

    names = {
        code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
    }
    model = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    codes = []
    for i in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(i)
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        codes.append(f"CUSTOM:{code.CustomCode().decode()}" if name == "CUSTOM" else name)
    graphs = [model.Subgraphs(i) for i in range(model.SubgraphsLength())]
    return Counter(
        codes[g.Operators(i).OpcodeIndex()] for g in graphs for i in range(g.OperatorsLength())
    )


def check_no_kept_state(name: str, path: Path, clip: np.ndarray) -> None:
    """A clip's answer must not depend on the clip before: LiteRT's fused LSTM keeps its state.

    The tensors are allocated once, because allocating them anew would wipe what is kept.

    Raises:
        ExportError: the same clip gets another answer the second time.
    """
    model = interpreter(path)
    (inputs,), (outputs,) = model.get_input_details(), model.get_output_details()
    model.resize_tensor_input(inputs["index"], clip.shape)
    with silent_stderr():
        model.allocate_tensors()
    answers = []
    for given in (clip, clip[::-1] * 2, clip):
        model.set_tensor(inputs["index"], np.ascontiguousarray(given, np.float32))
        model.invoke()
        answers.append(model.get_tensor(outputs["index"]))
    difference = float(np.abs(answers[2] - answers[0]).max())
    if not difference <= 1e-6:
        raise ExportError(
            f"{name}: keeps state: the same clip's second answer differs by {difference:.2e}"
        )


def edge_case_clips(clips: Sequence[np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """Edge cases derived from real clips: very short and long, missing parts, non-finite values.

    Args:
        clips: real ones, float32 [n, N, 3]; at least one.
        layout: of the clips.
    """
    clip = max(clips, key=lambda clip: np.isfinite(clip).mean())
    random = np.random.default_rng(0)
    edge_cases = {f"{n} frame{'s' * (n > 1)}": _tile(clip, n) for n in (1, 2, 3, 400, 1000)}
    edge_cases["half missing"] = np.where(
        random.random(clip.shape[:2])[..., None] < 0.5, np.nan, clip
    )
    edge_cases["every other frame empty"] = _without(clip, slice(1, None, 2))
    hands = [part for part in ("left_hand", "right_hand") if part in layout.parts]
    rows = [list(layout.parts[part]) for part in hands]
    for part, own in zip(hands, rows, strict=True):
        edge_cases[f"no {part}"] = _without(clip, slice(None), own)
    if hands:
        edge_cases["no hands"] = _without(clip, slice(None), [*rows[0], *rows[1]])
    edge_cases["nothing at all"] = np.full_like(clip, np.nan)
    edge_cases["one frame of nothing"] = np.full_like(clip[:1], np.nan)
    infinite = np.where(random.random(clip.shape) < 0.5, np.inf, -np.inf)
    edge_cases["inf here and there"] = np.where(random.random(clip.shape) < 0.1, infinite, clip)
    edge_cases["off the image"] = clip * 5 - 2
    edge_cases["absurdly far away"] = clip * 1e7
    edge_cases["nothing moves"] = np.repeat(clip[:1], 30, axis=0)
    return {name: made.astype(np.float32) for name, made in edge_cases.items()}


def _tile(clip: np.ndarray, frames: int) -> np.ndarray:
    return np.tile(clip, (-(-frames // len(clip)), 1, 1))[:frames]


def _without(
    clip: np.ndarray, frames: slice, rows: Sequence[int] | slice = slice(None)
) -> np.ndarray:
    emptied = clip.copy()
    emptied[frames, rows] = np.nan
    return emptied
