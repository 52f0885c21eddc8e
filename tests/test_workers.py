"""The process pool that prepare, cross-validation and the parity checks share."""

import os
import signal

import pytest

from asl.errors import UserError
from asl.workers import WorkerKilled, process_pool

_offset = 0


def set_offset(offset: int) -> None:
    global _offset
    _offset = offset


def add_offset(number: int) -> int:
    return number + _offset


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def thread_limit() -> tuple[str, int]:
    import torch

    return os.environ["OMP_NUM_THREADS"], torch.get_num_threads()


def sigint_is_ignored() -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_the_initializer_runs_in_each_worker():
    with process_pool(2, set_offset, (10,)) as pool:
        assert list(pool.map(add_offset, range(4))) == [10, 11, 12, 13]


def test_a_killed_worker_is_an_error_of_one_sentence():
    with (
        pytest.raises(WorkerKilled, match="the fold was killed") as caught,
        process_pool(1, killed="the fold was killed") as pool,
    ):
        pool.submit(kill_this_process).result()
    assert isinstance(caught.value, UserError)


def test_threads_are_limited_in_the_workers():
    with process_pool(1, threads=1) as pool:
        assert pool.submit(thread_limit).result() == ("1", 1)


@pytest.mark.parametrize("interruptible", [True, False])
def test_interrupts_reach_only_interruptible_workers(interruptible):
    ignored_here = sigint_is_ignored()  # where the tests run in the background of a script
    with process_pool(1, interruptible=interruptible) as pool:
        assert pool.submit(sigint_is_ignored).result() is (ignored_here or not interruptible)
