"""Videos as clips: their landmarks are found once, and kept in the competition's format."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from asl.clips.sources.arrays import Signs
from asl.clips.sources.base import BadClip, Entry, Listing, Reading
from asl.clips.sources.files import ClipFiles
from asl.clips.sources.gislr import read_clip, write_clip
from asl.errors import UserError
from asl.files import TEMPORARY, replacing
from asl.landmarks import MEDIAPIPE_HOLISTIC

_SECONDS_PER_LINE = 10
_LONGEST_NAME = 255 - len(TEMPORARY)  # bytes, on most disks, of a file that is replaced
_last_line = 0.0  # of this process


class VideoSource:
    """A folder of videos, one for each clip.

    The landmarks of a video are found when it is read for the first time; that takes longer than
    watching it. They are kept, so an interrupted `asl prepare` goes on where it was.
    """

    layout = MEDIAPIPE_HOLISTIC.name

    def __init__(
        self,
        root: str | Path,
        *,
        clips: str | Path,
        files: str = "{signer}/{sign}/{sequence}.mp4",
        mirror: bool = False,
        fps: float | None = 30.0,
        path: str | None = None,
        sign: str | None = None,
        signer: str | None = None,
        signs: Signs | None = None,
    ) -> None:
        """Checks the arguments and lists the files.

        Args:
            root: the folder.
            clips: folder for the landmarks; made if need be.
            files: as in `ClipFiles`; its ending is that of the videos, .mp4 for a csv file.
            mirror: whether left and right are exchanged, for mirrored recordings.
            fps: frames a second at most; None for all frames.
            path: the csv's column of paths.
            sign: the csv's column of labels.
            signer: the csv's column of signers.
            signs: names of the labels.

        Raises:
            UserError: an argument is wrong, or what `ClipFiles.listing` raises.
        """
        if fps is not None and not fps > 0:
            raise UserError(
                f"data.source.fps={fps}: choose a number above 0, or null for all frames"
            )
        self.root, self._mirror, self._fps = Path(root), mirror, fps
        suffix = ".mp4" if files.endswith(".csv") else Path(files).suffix
        self._files = ClipFiles(
            root, files, suffix, path=path, sign=sign, signer=signer, signs=signs
        )
        self.settings: dict[str, Any] = {"mirror": mirror, "fps": fps}
        rate = "all" if fps is None else f"{fps:g}"
        self._clips = Path(clips) / f"{rate}fps{'-mirrored' if mirror else ''}"
        self._videos = 0
        self.signs: list[str] = []
        self.listing()

    def listing(self) -> Listing:
        """All clips, as `ClipFiles.listing` finds them; sets `signs`."""
        listing, self.signs = self._files.listing()
        self._videos = len(listing.entries)
        return listing

    def read(self, entry: Entry) -> Reading:
        """One clip.

        Raises:
            BadClip: what is wrong with the video.
            UserError: OpenCV or a model is missing, or the landmarks cannot be kept.
            OSError: a fault of the disk or the system.
        """
        video = self.root / entry.path
        kept = self._clips / f"{entry.path}.parquet"
        if len(os.fsencode(kept.name)) > _LONGEST_NAME:
            raise BadClip(entry.path, "has too long a name for a file of its landmarks; rename it")
        # The clip bears its video's time, so a video that was replaced by an older one is noticed.
        changed = video.stat().st_mtime_ns if video.exists() else None
        if changed is not None and kept.exists() and kept.stat().st_mtime_ns == changed:
            return Reading(read_clip(kept))
        from asl.video.decode import BadVideo  # with OpenCV, which kept clips do without
        from asl.video.extract import extract

        try:
            found = extract(video, mirror=self._mirror, fps=self._fps)
        except BadVideo as problem:
            raise BadClip(entry.path, problem.reason) from problem
        if not found.note and changed is not None:  # what is odd would not be known another time
            _keep(found.clip, kept, changed)
            self._report()
        return Reading(found.clip, found.note)

    def _report(self) -> None:
        """A line on stderr now and then, for shards of many videos take long."""
        global _last_line
        if time.monotonic() - _last_line > _SECONDS_PER_LINE:
            _last_line = time.monotonic()
            done = sum(1 for _ in self._clips.rglob("*.parquet"))
            print(f"landmarks of {done:,} of {self._videos:,} videos", file=sys.stderr, flush=True)


def _keep(clip: np.ndarray, kept: Path, changed: int) -> None:
    """Writes a clip that bears its video's time.

    Raises:
        UserError: it cannot be written; the next video's could not either.
    """
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as file:
            write_clip(file, clip)
            os.utime(file, ns=(changed, changed))
    except OSError as error:
        raise UserError(
            f"{kept}: cannot be written ({error.strerror}); the landmarks that are kept stay: make "
            "room, or name another folder with data.source.clips=, and repeat the command"
        ) from error
