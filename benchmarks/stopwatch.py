"""Seconds of each part of a program; nested parts count for themselves alone."""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Stopwatch:
    """Adds up what each part takes by itself while it runs; `start` and `stop` may alternate."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._parts = ["the rest"]
        self._since: float | None = None

    def start(self) -> None:
        """Count from now on."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Count no longer."""
        self._lap()
        self._since = None

    def timed(self, part: str, act: Callable[P, R]) -> Callable[P, R]:
        """The same function, its time counted for the part."""

        @wraps(act)
        def within(*args: P.args, **given: P.kwargs) -> R:
            self._lap()
            self._parts.append(part)
            try:
                return act(*args, **given)
            finally:
                self._lap()
                self._parts.pop()

        return within

    def _lap(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self.seconds[self._parts[-1]] += now - self._since
            self._since = now
