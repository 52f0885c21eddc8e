"""Clips with the same content: perhaps one recording under two names."""

from collections.abc import Iterable, Sequence

from asl.clips.odd import NOTHING
from asl.clips.shards import Shard
from asl.clips.sources.base import Entry, Problem, clip_names


def find_copies(entries: Sequence[Entry], shards: Iterable[Shard]) -> list[Problem]:
    """A problem for each clip with the content of an earlier one.

    Under two signers, such a clip is trained on and tested on at once. Clips in which nothing was
    detected are not compared.

    Args:
        entries: the listing of the raw data set.
        shards: all of the store.
    """
    digests = {
        clip.key: clip.digest
        for shard in shards
        for clip in shard.clips
        if clip.frames and clip.reason != NOTHING
    }
    first: dict[str, tuple[str, Entry]] = {}
    problems = []
    for name, entry in zip(clip_names(entries), entries, strict=True):
        digest = digests.get((entry.path, entry.row))
        if digest is None:
            continue
        other_name, other = first.setdefault(digest, (name, entry))
        if other is not entry:
            facts = [
                f" of {what} {theirs!r}"
                for what, ours, theirs in (
                    ("sign", entry.sign, other.sign),
                    ("signer", entry.signer, other.signer),
                )
                if ours != theirs
            ]
            reason = f"has the content of {other_name!r}{''.join(facts)}"
            problems.append(Problem(name, reason, kept=True))
    return problems
