"""Generated clips in the competition's layout, for use where no recordings are at hand.

A sign is a handshape at a place with a movement, as signs of signed languages are (W. Stokoe, Sign
Language Structure, 1960); signs come in minimal pairs, which differ in one of the three. Signers
differ in build, tempo, dominant hand, accent and camera. Clips begin and end at rest or in a
neighbouring sign, and landmarks jitter and go missing as MediaPipe's do. Results on these clips
compare models and test code; they say nothing about signing.
"""

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Interval

from asl.clips.sources.base import Entry
from asl.clips.sources.gislr import CLIPS_FOLDER, GislrSource, write_clip, write_lists
from asl.clips.synthetic import body_model
from asl.clips.synthetic.body_model import HEAD, Camera, Pose, blend
from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC

_VERSION = 2  # of the generator; a folder of another version is generated again
_MARKER = "synthetic.json"
_FRAMES_PER_SECOND = 15

# Curls: thumb, index, middle, ring, little finger from straight (0) to closed (1); spread.
HANDSHAPES = {
    "flat": (0.3, 0.0, 0.0, 0.0, 0.0, 0.1),
    "fist": (0.9, 1.0, 1.0, 1.0, 1.0, 0.0),
    "point": (0.9, 0.0, 1.0, 1.0, 1.0, 0.0),
    "vee": (0.9, 0.0, 0.0, 1.0, 1.0, 1.0),
    "phone": (0.0, 1.0, 1.0, 1.0, 0.0, 0.4),
    "claw": (0.3, 0.5, 0.5, 0.5, 0.5, 1.0),
    "five": (0.0, 0.0, 0.0, 0.0, 0.0, 1.2),
}

# The middle of the palm in metres, the directions of the fingers and of the palm.
PLACES = {
    "forehead": ((-0.06, -0.31, -0.16), (0.5, -1.0, 0.0), (0.6, 0.2, 1.0)),
    "chin": ((-0.03, -0.1, -0.18), (0.4, -1.0, 0.1), (0.2, 0.0, 1.0)),
    "cheek": ((-0.13, -0.2, -0.12), (0.1, -1.0, 0.0), (1.0, 0.0, 0.4)),
    "chest": ((0.0, 0.17, -0.14), (1.0, -0.2, 0.0), (0.0, 0.1, 1.0)),
    "shoulder": ((0.13, 0.04, -0.14), (0.9, -0.6, 0.1), (0.1, 0.2, 1.0)),
    "side": ((-0.3, 0.02, -0.25), (0.0, -1.0, -0.2), (0.1, -0.1, -1.0)),
    "belly": ((-0.03, 0.33, -0.2), (0.7, -0.1, -0.7), (0.2, -1.0, 0.1)),
    "front": ((-0.12, 0.12, -0.35), (0.1, -0.8, -0.6), (0.6, 0.2, -0.8)),
}

# Points off the place, in metres, that the palm passes at equal intervals. "twist" turns the hand,
# "open" opens it.
MOVEMENTS = {
    "tap": ((-0.05, 0.04, -0.08), (0.0, 0.0, 0.0)) * 2,
    "circle": [(0.07 * np.cos(a), 0.07 * np.sin(a), 0.0) for a in np.linspace(0, 4 * np.pi, 33)],
    "shake": ((0.05, 0.0, 0.0), (-0.05, 0.0, 0.0)) * 3,
    "out": ((0.06, 0.0, 0.0), (-0.16, 0.0, 0.0)),
    "in": ((-0.16, 0.0, 0.0), (0.06, 0.0, 0.0)),
    "down": ((0.0, -0.06, 0.0), (0.0, 0.16, -0.02)),
    "up": ((0.0, 0.12, 0.0), (0.0, -0.1, -0.02)),
    "arc": ((0.05, 0.02, 0.0), (0.0, -0.1, 0.0), (-0.08, -0.1, 0.0), (-0.14, 0.03, 0.0)),
    "twist": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    "open": ((0.03, 0.03, 0.0), (-0.04, -0.04, -0.04)),
}

_PARTS = (list(HANDSHAPES), list(PLACES), list(MOVEMENTS))
_RELAXED = np.full(6, 0.35)  # curls of a hand that does not sign
_HANGING = body_model.orientation(np.array([0.1, 1.0, -0.1]), np.array([1.0, 0.0, 0.0]))
_REST = Pose(np.array([-0.23, 0.56, -0.03]), _HANGING, _RELAXED)

# Standard deviations [12] from the lexicon's form of a sign: of curls and spread (6), of the place
# in metres (3), of the turn of the hand in radians (3).
_HABIT = np.repeat([0.05, 0.018, 0.12], [6, 3, 3])  # of a signer, and again of each of their signs
_TAKE = 0.6 * _HABIT  # of a clip
_ACCENT = 0.15  # share of the signs of which a signer has a variant
_COARTICULATION = 0.5  # share of clips that begin, and that end, in another sign


class Sign(NamedTuple):
    """One sign of the lexicon: a key of each of HANDSHAPES, PLACES and MOVEMENTS."""

    handshape: str
    place: str
    movement: str

    @property
    def name(self) -> str:
        """As the sign map names it."""
        return "-".join(self)


@dataclass(frozen=True)
class Signer:
    """What all clips of one signer share; sizes and tempo are 1 on average."""

    arm: float
    head: float
    hand: float
    movement: float
    tempo: float
    left_handed: bool
    habit: np.ndarray  # [12], deviation in every sign, see _HABIT
    camera: Camera
    jitter: float  # of each landmark, in widths of the picture
    dropout: float  # share of frames in which the moving hand is not detected


def synthetic_source(
    root: str | Path,
    *,
    signs: Annotated[int, Interval(ge=2, le=250)] = 10,
    signers: Annotated[int, Ge(1)] = 10,
    clips_per_sign: Annotated[int, Ge(1)] = 6,
    seed: Annotated[int, Ge(0)] = 0,
) -> GislrSource:
    """The generated data set in a folder of the competition's layout, generated on first use.

    Args:
        root: the folder; generated again where its settings or the generator's version differ.
        signs: size of the lexicon.
        signers: how many, named 1, 2, ….
        clips_per_sign: of each signer.
        seed: of everything.

    Raises:
        UserError: the folder has content that was not generated, or cannot be written.
    """
    root = Path(root)
    settings = {
        "version": _VERSION,
        "signs": signs,
        "signers": signers,
        "clips_per_sign": clips_per_sign,
        "seed": seed,
    }
    if not _is_generated(root, settings):
        try:
            _generate(root, settings)
        except OSError as error:
            raise UserError(f"data.root={root}: cannot be written ({error})") from error
    return GislrSource(root)


def lexicon(signs: int, seed: int) -> list[Sign]:
    """Different signs in minimal pairs: the second of a pair shares two of three parts."""
    rng = np.random.default_rng([seed, 1])
    shuffled = [rng.permutation(part) for part in _PARTS]
    chosen: list[Sign] = []
    number = 0
    while len(chosen) < signs:
        sign = Sign(*(str(part[number % len(part)]) for part in shuffled))
        chosen += [each for each in (sign, _minimal_pair(sign, rng)) if each not in chosen]
        number += 1
    return chosen[:signs]


def _draw_sign(rng: np.random.Generator) -> Sign:
    return Sign(*(str(rng.choice(part)) for part in _PARTS))


def _minimal_pair(sign: Sign, rng: np.random.Generator) -> Sign:
    """Another sign that differs in one part."""
    part = rng.integers(3)
    others = [value for value in _PARTS[part] if value != sign[part]]
    return sign._replace(**{Sign._fields[part]: str(rng.choice(others))})


def draw_signer(number: int, seed: int) -> Signer:
    """The signer of that number; every fourth is left-handed."""
    rng = np.random.default_rng([seed, 2, number])
    arm, head, hand = rng.uniform([0.88, 0.88, 0.85], [1.12, 1.15, 1.15])
    return Signer(
        arm,
        head,
        hand,
        movement=rng.uniform(0.6, 1.35),
        tempo=rng.uniform(0.7, 1.4),
        left_handed=number % 4 == 3,
        habit=rng.normal(0.0, _HABIT),
        camera=Camera(
            turn=rng.normal(0.0, [0.08, 0.18, 0.05]),
            shift=rng.normal(0.0, 0.05, 2),
            distance=rng.uniform(0.7, 1.8),
            zoom=rng.uniform(0.75, 1.25),
        ),
        jitter=rng.uniform(0.001, 0.003),
        dropout=rng.uniform(0.02, 0.25),
    )


def _draw_form(
    sign: Sign, signer: Signer, signs: list[Sign], rng: np.random.Generator
) -> tuple[Sign, np.ndarray]:
    """A signer's form of a sign: the sign or a variant of it, and a deviation [12]."""
    variant = sign
    if rng.random() < _ACCENT:
        while variant in signs:
            variant = _minimal_pair(sign, rng)
    return variant, signer.habit + rng.normal(0.0, _HABIT)


def draw_clip(
    sign: Sign, signer: Signer, deviation: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One clip, float32 [T, 543, 3], NaN = not detected.

    `deviation`, [12] as `_HABIT`, is the signer's in this sign.
    """
    onset, progress, offset = _draw_timing(signer, rng)
    frames = len(onset)
    pose = _signing(sign, signer, deviation + rng.normal(0.0, _TAKE), progress)
    pose = blend(_draw_neighbour(signer, rng), pose, onset)
    pose = blend(pose, _draw_neighbour(signer, rng), offset)
    pose.curls[_bursts(frames, signer.dropout, rng)] = _RELAXED  # fingers that a detector guesses
    idle = blend(_REST, _REST, np.zeros(frames))
    arms = [body_model.arm(each, signer.arm, signer.hand) for each in (pose, idle)]
    right, left = arms[::-1] if signer.left_handed else arms
    clip = signer.camera.picture(body_model.body(right, left, signer.head))
    clip += _jitter(frames, signer, rng)
    at_rest = onset - offset < rng.uniform(0.1, 0.5)
    _drop(clip, at_rest, signer, rng)
    return clip.astype(np.float32)


def _draw_timing(
    signer: Signer, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onset, movement and offset of the sign: the progress of each from 0 to 1, [T]."""
    tempo = signer.tempo * np.exp(rng.normal(0.0, 0.15))
    lift, lower = rng.uniform(0.15, 0.3, 2) / tempo  # seconds, as are the next
    movement = 0.75 * np.exp(rng.normal(0.0, 0.2)) / tempo
    hold, hold_after, wait, wait_after = rng.uniform(0.0, [0.15, 0.15, 0.1, 0.1])
    if rng.random() < 0.1:
        wait_after += rng.exponential(1.5)
    ends = np.cumsum([wait, lift, hold, movement, hold_after, lower, wait_after])
    time = np.arange(max(2, round(ends[-1] * _FRAMES_PER_SECOND))) / _FRAMES_PER_SECOND
    onset, progress, offset = (np.interp(time, ends[i : i + 2], [0.0, 1.0]) for i in (0, 2, 4))
    return onset, progress ** np.exp(rng.normal(0.0, 0.2)), offset


def _signing(sign: Sign, signer: Signer, deviation: np.ndarray, progress: np.ndarray) -> Pose:
    """The hand's pose at each progress [T] of the movement."""
    place, fingers, palm = (np.array(part) for part in PLACES[sign.place])
    at_head = place[1] < -0.05
    place = HEAD + (place - HEAD) * signer.head if at_head else place * signer.arm
    points = np.array(MOVEMENTS[sign.movement])
    times = np.linspace(0.0, 1.0, len(points))
    path = np.stack([np.interp(progress, times, axis) for axis in points.T], axis=1)
    twist = 0.9 * np.sin(4 * np.pi * progress) * (sign.movement == "twist")
    curls = np.tile(np.array(HANDSHAPES[sign.handshape]) + deviation[:6], (len(progress), 1))
    if sign.movement == "open":
        curls[:, :5] += (1.0 - progress)[:, None] * (0.9 - curls[:, :5])
    return Pose(
        place + deviation[6:9] + path * signer.movement,
        body_model.rotations(deviation[9:])
        @ body_model.orientation(fingers, palm)
        @ body_model.rotations(twist[:, None] * np.array([0.0, 1.0, 0.0])),
        np.clip(curls, -0.1, 1.2),
    )


def _draw_neighbour(signer: Signer, rng: np.random.Generator) -> Pose:
    """The pose before or after a sign: at rest, or in another sign."""
    if rng.random() > _COARTICULATION:
        return _REST
    return _signing(_draw_sign(rng), signer, signer.habit, rng.random(1))


def _jitter(frames: int, signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """Errors of detection [T, 543, 3]: of each landmark and of each part as a whole."""
    size = signer.jitter * np.array([1.0, 1.0, 3.0])  # z is the least certain
    errors = rng.normal(0.0, 0.5, (frames, MEDIAPIPE_HOLISTIC.size, 3)) * size
    for rows in MEDIAPIPE_HOLISTIC.parts.values():
        errors[:, rows] += rng.normal(0.0, 1.0, (frames, 1, 3)) * size
    return errors


def _drop(clip: np.ndarray, at_rest: np.ndarray, signer: Signer, rng: np.random.Generator) -> None:
    """Sets to NaN what a detector misses: mostly the idle hand, and hands at rest (bool [T])."""
    frames = len(clip)
    parts = {name: slice(rows[0], rows[-1] + 1) for name, rows in MEDIAPIPE_HOLISTIC.parts.items()}
    signing, idle = parts["right_hand"], parts["left_hand"]
    if signer.left_handed:
        signing, idle = idle, signing
    if rng.random() < 0.85:
        clip[:, idle] = np.nan
    missed = _bursts(frames, signer.dropout, rng) | (at_rest & (rng.random(frames) < 0.7))
    clip[missed, signing] = np.nan
    clip[_bursts(frames, 0.01, rng), parts["face"]] = np.nan


def _bursts(frames: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """A share of the frames in bursts of three and more, bool [T]."""
    starts = rng.random(frames + 2) < share / 3
    return starts[:-2] | starts[1:-1] | starts[2:]


def _is_generated(root: Path, settings: dict[str, int]) -> bool:
    try:
        return bool(json.loads((root / _MARKER).read_text(encoding="utf-8")) == settings)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _generate(root: Path, settings: dict[str, int]) -> None:
    """Generates beside the folder and then replaces it, so that it is complete or absent."""
    if root.exists() and any(root.iterdir()) and not (root / _MARKER).is_file():
        raise UserError(f"data.root={root}: has content that was not generated; choose another")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".synthetic-") as beside:
        complete = Path(beside) / "complete"
        _write_data_set(complete, settings)
        shutil.rmtree(root, ignore_errors=True)
        os.replace(complete, root)


def _write_data_set(root: Path, settings: dict[str, int]) -> None:
    seed = settings["seed"]
    signs = lexicon(settings["signs"], seed)
    entries = []
    for number in range(1, settings["signers"] + 1):
        signer = draw_signer(number, seed)
        (root / CLIPS_FOLDER / str(number)).mkdir(parents=True)
        for label, sign in enumerate(signs):
            form = _draw_form(sign, signer, signs, np.random.default_rng([seed, 4, number, label]))
            for take in range(settings["clips_per_sign"]):
                rng = np.random.default_rng([seed, 3, number, label, take])
                sequence, first_frame = int(rng.integers(10**8, 10**9)), int(rng.integers(100))
                path = f"{CLIPS_FOLDER}/{number}/{sequence}.parquet"
                write_clip(root / path, draw_clip(form[0], signer, form[1], rng), first_frame)
                entries.append(Entry(path, str(number), str(sequence), sign.name))
    write_lists(root, entries, [sign.name for sign in signs])
    (root / _MARKER).write_text(json.dumps(settings), encoding="utf-8")
