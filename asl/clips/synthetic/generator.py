"""Generated clips in the competition's layout, for when no recording is at hand.

A sign is a handshape at a place with a movement, as signed languages build theirs (W. Stokoe,
Sign Language Structure, 1960); many signs of the lexicon share two of the three with another. A
signer has a body, a speed, a dominant hand, a way of bending and of missing the place, and a
camera. What MediaPipe does to recordings is done here too: hands are lost, above all the one at
rest and the fast one, and every point trembles. Whatever is learnt from these clips says something
about the code, and nothing about signing.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Interval

from asl.clips.sources.base import Entry
from asl.clips.sources.gislr import CLIPS_FOLDER, GislrSource, write_clip, write_lists
from asl.clips.synthetic import body_model as puppet
from asl.errors import UserError
from asl.landmarks import MEDIAPIPE_HOLISTIC

_VERSION = 1  # of the generator: another one makes other clips
_MARKER = "synthetic.json"
_FRAMES_A_SECOND = 15


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
    """What one signer brings to every clip.

    Attributes:
        arm: length of the arms, 1 = average; likewise `head` and `hand`.
        speed: 1 = average.
        size: of movements, 1 = average.
        left_handed: signs with the left hand.
        habit: curls added to the fingers' bend and the spread [6], metres added to the place [3]
            and a rotation vector that turns the hand [3]: in every sign, and in each one besides.
        turn: of the camera, a rotation vector.
        shift: where in the picture, [2].
        distance: of the camera, metres.
        zoom: width of the picture a metre has.
        tremble: of each point, in widths of the picture.
        loss: share of frames in which a moving hand is lost.
    """

    arm: float
    head: float
    hand: float
    speed: float
    size: float
    left_handed: bool
    habit: np.ndarray
    turn: np.ndarray
    shift: np.ndarray
    distance: float
    zoom: float
    tremble: float
    loss: float


# Thumb, index, middle, ring, little finger from straight (0) to closed (1); spread.
HANDSHAPES = {
    "flat": (0.3, 0.0, 0.0, 0.0, 0.0, 0.1),
    "fist": (0.9, 1.0, 1.0, 1.0, 1.0, 0.0),
    "point": (0.9, 0.0, 1.0, 1.0, 1.0, 0.0),
    "vee": (0.9, 0.0, 0.0, 1.0, 1.0, 1.0),
    "phone": (0.0, 1.0, 1.0, 1.0, 0.0, 0.4),
    "claw": (0.3, 0.5, 0.5, 0.5, 0.5, 1.0),
    "five": (0.0, 0.0, 0.0, 0.0, 0.0, 1.2),
}

# Where the palm is, which way the fingers and which way the palm look.
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


def _path(*points: tuple[float, float, float]) -> Callable[[np.ndarray], np.ndarray]:
    """A movement along straight lines between points, metres off the place."""
    stops = np.array(points)
    times = np.linspace(0.0, 1.0, len(points))
    return lambda u: np.stack([np.interp(u, times, stops[:, i]) for i in range(3)], axis=1)


def _circle(u: np.ndarray) -> np.ndarray:
    angle = 4 * np.pi * u
    return 0.07 * np.stack([np.cos(angle), np.sin(angle), np.zeros_like(u)], axis=1)


def _tap(u: np.ndarray) -> np.ndarray:
    away = np.abs(np.sin(2 * np.pi * u))
    return away[:, None] * np.array([-0.05, 0.04, -0.08])


def _shake(u: np.ndarray) -> np.ndarray:
    return np.sin(6 * np.pi * u)[:, None] * np.array([0.05, 0.0, 0.0])


MOVEMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tap": _tap,
    "circle": _circle,
    "shake": _shake,
    "out": _path((0.06, 0, 0), (-0.16, 0, 0)),
    "in": _path((-0.16, 0, 0), (0.06, 0, 0)),
    "down": _path((0, -0.06, 0), (0, 0.16, -0.02)),
    "up": _path((0, 0.12, 0), (0, -0.1, -0.02)),
    "arc": _path((0.05, 0.02, 0), (0.0, -0.1, 0), (-0.08, -0.1, 0), (-0.14, 0.03, 0)),
    "twist": _path((0, 0, 0), (0, 0, 0)),
    "open": _path((0.03, 0.03, 0), (-0.04, -0.04, -0.04)),
}


def synthetic_source(
    root: str | Path,
    *,
    signs: Annotated[int, Interval(ge=2, le=250)] = 10,
    signers: Annotated[int, Ge(1)] = 10,
    clips_per_sign: Annotated[int, Ge(1)] = 6,
    seed: Annotated[int, Ge(0)] = 0,
) -> GislrSource:
    """The generated data set in a folder of the competition's layout, made on first use.

    Args:
        root: the folder; made anew where it was generated under other settings.
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
    if not _is_made(root, settings):
        try:
            _make(root, settings)
        except OSError as error:
            raise UserError(f"data.root={root}: cannot be written ({error})") from error
    return GislrSource(root)


def lexicon(signs: int, seed: int) -> list[Sign]:
    """Different signs, most of which share two of their three parts with one before."""
    rng = np.random.default_rng([seed, 1])
    parts = [list(HANDSHAPES), list(PLACES), list(MOVEMENTS)]
    chosen: list[Sign] = []
    while len(chosen) < signs:
        drawn = [str(rng.choice(part)) for part in parts]
        if chosen and rng.random() < 0.35:
            drawn = list(chosen[rng.integers(len(chosen))])
            changed = int(rng.integers(3))
            drawn[changed] = str(rng.choice(parts[changed]))
        if (sign := Sign(*drawn)) not in chosen:
            chosen.append(sign)
    return chosen


def draw_signer(number: int, seed: int) -> Signer:
    """The signer of that number; every fourth is left-handed."""
    rng = np.random.default_rng([seed, 2, number])
    return Signer(
        arm=rng.uniform(0.88, 1.12),
        head=rng.uniform(0.88, 1.15),
        hand=rng.uniform(0.85, 1.15),
        speed=rng.uniform(0.7, 1.4),
        size=rng.uniform(0.6, 1.35),
        left_handed=number % 4 == 3,
        habit=_habit(rng),
        turn=rng.normal(0.0, [0.08, 0.18, 0.05]),
        shift=rng.normal(0.0, 0.05, 2),
        distance=rng.uniform(0.7, 1.8),
        zoom=rng.uniform(0.75, 1.25),
        tremble=rng.uniform(0.0008, 0.002),
        loss=rng.uniform(0.01, 0.1),
    )


def _habit(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0.0, np.repeat([0.05, 0.018, 0.12], [6, 3, 3]))


def draw_clip(
    sign: Sign, signer: Signer, habit: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One signer signs one sign once.

    Args:
        sign: what is signed.
        signer: who signs.
        habit: the signer's own way with this sign, as `Signer.habit`.
        rng: of all that differs from clip to clip.

    Returns:
        float32 [frames, 543, 3], NaN = not detected.
    """
    habit = signer.habit + habit + rng.normal(0.0, np.repeat([0.03, 0.01, 0.06], [6, 3, 3]))
    moved = _timeline(signer, rng)
    wrists, hands, elbows = _arm(sign, signer, habit, moved, rng)
    mouth = np.abs(np.sin(moved.time * rng.uniform(2, 6))) * rng.uniform(0.0, 1.0)
    space = puppet.body(elbows, wrists, hands, mouth, signer.head)
    if signer.left_handed:
        space = space[:, list(MEDIAPIPE_HOLISTIC.mirror)] * np.array([-1.0, 1.0, 1.0])
    clip = puppet.seen(space, signer.turn, signer.shift, signer.distance, signer.zoom)
    clip += _tremble(clip.shape, signer, rng)
    _lose(clip, moved, signer, rng)
    return clip.astype(np.float32)


class _Timeline(NamedTuple):
    """Per frame: seconds; how far the hand has left its rest; progress of the movement."""

    time: np.ndarray
    raised: np.ndarray
    progress: np.ndarray


def _timeline(signer: Signer, rng: np.random.Generator) -> _Timeline:
    lift, hold = rng.uniform(0.15, 0.3) / signer.speed, rng.uniform(0.0, 0.1)
    core = 0.75 * np.exp(rng.normal(0.0, 0.2)) / signer.speed
    idle = rng.exponential(1.5) * (rng.random() < 0.1)
    before, after = rng.uniform(0.0, 0.1), rng.uniform(0.0, 0.1) + idle
    ends = np.cumsum([before, lift, hold, core, hold, lift, after])
    time = np.arange(max(2, round(ends[-1] * _FRAMES_A_SECOND))) / _FRAMES_A_SECOND
    raised = np.interp(time, [ends[0], ends[1], ends[4], ends[5]], [0.0, 1.0, 1.0, 0.0])
    progress = np.interp(time, [ends[2], ends[3]], [0.0, 1.0])
    return _Timeline(time, _smooth(raised), progress)


def _smooth(u: np.ndarray) -> np.ndarray:
    return u * u * (3 - 2 * u)


def _arm(
    sign: Sign, signer: Signer, habit: np.ndarray, moved: _Timeline, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wrists [T, 2, 3], hands [T, 2, 21, 3] and elbows [T, 2, 3]; the signing hand first."""
    at, fingers, palm = (np.array(part) for part in PLACES[sign.place])
    at = puppet.HEAD + (at - puppet.HEAD) * signer.head if at[1] < -0.05 else at * signer.arm
    at = at + habit[6:9]
    way = MOVEMENTS[sign.movement](moved.progress) * signer.size * rng.uniform(0.85, 1.15)
    rotation = puppet.turned(habit[9:]) @ puppet.frame_of(fingers, palm)
    spun = np.zeros((len(moved.time), 3))
    spun[:, 1] = np.sin(4 * np.pi * moved.progress) * 0.9 * (sign.movement == "twist")
    rotations = rotation @ puppet.turned(spun)  # [T, 3, 3]
    middle = rotations @ np.array([0.0, 0.08 * signer.hand, 0.0])
    raised = moved.raised[:, None]
    rest = puppet.REST + rng.normal(0.0, 0.02, 3)
    wanted = rest + raised * (at + way - middle - rest)
    hang = puppet.frame_of(np.array([0.1, 1.0, -0.1]), np.array([1.0, 0.0, 0.0]))
    idle = np.broadcast_to(puppet.REST, wanted.shape) + rng.normal(0.0, 0.02, 3)
    elbow, wrist = puppet.elbow(wanted, signer.arm)
    idle_elbow, idle_wrist = puppet.elbow(idle, signer.arm)
    turning = _between(hang, rotations, moved.raised)
    shape = puppet.hand(_curls(sign, habit[:6], moved)) * signer.hand
    relaxed = puppet.hand(np.full((len(wanted), 6), 0.35)) * signer.hand
    hands = np.stack(
        [
            wrist[:, None] + shape @ np.swapaxes(turning, 1, 2),
            idle_wrist[:, None] + relaxed @ hang.T,
        ],
        axis=1,
    )
    return np.stack([wrist, idle_wrist], 1), hands, np.stack([elbow, idle_elbow], 1)


def _between(start: np.ndarray, ends: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Rotations some way from one to others, [T, 3, 3], by mixing and squaring up again."""
    mixed = start + share[:, None, None] * (ends - start)
    left, _, right = np.linalg.svd(mixed)
    return left @ right


def _curls(sign: Sign, habit: np.ndarray, moved: _Timeline) -> np.ndarray:
    shape = np.array(HANDSHAPES[sign.handshape]) + habit
    curls = 0.35 + moved.raised[:, None] * (shape - 0.35)  # [T, 6]
    if sign.movement == "open":
        shut = (1.0 - _smooth(moved.progress))[:, None]
        curls[:, :5] += moved.raised[:, None] * shut * (0.9 - curls[:, :5])
    return np.clip(curls, -0.1, 1.2)


def _tremble(shape: tuple[int, ...], signer: Signer, rng: np.random.Generator) -> np.ndarray:
    """Errors of detection [T, 543, 3]: of each point, and of each part as a whole; z is worst."""
    size = signer.tremble * np.array([1.0, 1.0, 3.0])
    errors = rng.normal(0.0, 0.5, shape) * size
    for rows in MEDIAPIPE_HOLISTIC.parts.values():
        errors[:, rows] += rng.normal(0.0, 1.0, (shape[0], 1, 3)) * size
    return errors


def _lose(clip: np.ndarray, moved: _Timeline, signer: Signer, rng: np.random.Generator) -> None:
    """Takes away, in place, what a detector would not have found."""
    parts, frames = MEDIAPIPE_HOLISTIC.parts, len(clip)
    signing, resting = parts["right_hand"], parts["left_hand"]
    if signer.left_handed:
        signing, resting = resting, signing
    if rng.random() < 0.85:
        clip[:, resting] = np.nan
    low = moved.raised < rng.uniform(0.2, 0.6)
    clip[low & (rng.random(frames) < 0.8), signing.start : signing.stop] = np.nan
    missed = _runs(frames, signer.loss, rng)
    if rng.random() < 0.01:
        missed[:] = True
    clip[missed, signing.start : signing.stop] = np.nan
    clip[_runs(frames, 0.01, rng), parts["face"].start : parts["face"].stop] = np.nan


def _runs(frames: int, share: float, rng: np.random.Generator, length: int = 3) -> np.ndarray:
    """A share of the frames, in runs, bool [T]."""
    starts = rng.random(frames + length - 1) < share / length
    return np.convolve(starts, np.ones(length), mode="valid") > 0


# --- files --------------------------------------------------------------------------------------


def _is_made(root: Path, settings: dict[str, int]) -> bool:
    try:
        return bool(json.loads((root / _MARKER).read_text(encoding="utf-8")) == settings)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def _make(root: Path, settings: dict[str, int]) -> None:
    """Generates beside the folder, then takes its place, so that it is there whole or not."""
    if root.exists() and any(root.iterdir()) and not (root / _MARKER).is_file():
        raise UserError(f"data.root={root}: has content that was not generated; choose another")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".synthetic-") as beside:
        made = Path(beside) / "made"
        _write_data_set(made, settings)
        shutil.rmtree(root, ignore_errors=True)
        os.replace(made, root)


def _write_data_set(root: Path, settings: dict[str, int]) -> None:
    seed = settings["seed"]
    signs = lexicon(settings["signs"], seed)
    rows = []
    for number in range(1, settings["signers"] + 1):
        signer = draw_signer(number, seed)
        (root / CLIPS_FOLDER / str(number)).mkdir(parents=True)
        for label, sign in enumerate(signs):
            habit = _habit(np.random.default_rng([seed, 4, number, label]))
            for take in range(settings["clips_per_sign"]):
                rng = np.random.default_rng([seed, 3, number, label, take])
                sequence = int(rng.integers(10**8, 10**9))
                path = f"{CLIPS_FOLDER}/{number}/{sequence}.parquet"
                write_clip(
                    root / path, draw_clip(sign, signer, habit, rng), int(rng.integers(0, 100))
                )
                rows.append(Entry(path, str(number), str(sequence), sign.name))
    write_lists(root, rows, [sign.name for sign in signs])
    (root / _MARKER).write_text(json.dumps(settings), encoding="utf-8")
