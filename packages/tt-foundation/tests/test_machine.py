"""Threads over blocks, memory and what the machine is."""

import platform
import threading
from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tt_foundation.machine import (
    available_cores,
    describe,
    keep_freed_memory,
    num_threads,
    parallel_blocks,
    peak_memory_bytes,
    set_num_threads,
)


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = num_threads()
    set_num_threads(3)
    yield
    set_num_threads(before)


def test_blocks_cover_the_range_once_on_several_threads(three_threads: None) -> None:
    seen: list[tuple[int, int]] = []
    barrier = threading.Barrier(3, timeout=10)

    def block(start: int, stop: int) -> None:
        barrier.wait()
        seen.append((start, stop))

    parallel_blocks(block, 10)
    assert sorted(seen) == [(0, 3), (3, 6), (6, 10)]


def test_small_ranges_and_calls_from_within_run_in_place(three_threads: None) -> None:
    inner: list[tuple[int, int]] = []
    parallel_blocks(lambda a, b: parallel_blocks(lambda c, d: inner.append((c, d)), 6), 3)
    assert inner == [(0, 6)] * 3
    single: list[tuple[int, int]] = []
    parallel_blocks(lambda a, b: single.append((a, b)), 10, min_block=8)
    parallel_blocks(lambda a, b: single.append((a, b)), 0)
    assert single == [(0, 10)]


def test_an_error_in_a_block_reaches_the_caller_after_all_ended(three_threads: None) -> None:
    done: list[int] = []

    def block(start: int, stop: int) -> None:
        if start == 3:
            raise KeyError("second")
        done.append(start)

    with pytest.raises(KeyError, match="second"):
        parallel_blocks(block, 9)
    assert sorted(done) == [0, 6]


def test_blas_uses_one_thread_once_a_block_has_woken_another(three_threads: None) -> None:
    threadpool_limits(limits=2, user_api="blas")
    parallel_blocks(lambda a, b: None, 10)
    assert all(pool["num_threads"] == 1 for pool in threadpool_info() if pool["user_api"] == "blas")


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        set_num_threads(0)


def test_the_machine_is_described() -> None:
    assert available_cores() >= 1
    assert peak_memory_bytes() > 10_000_000
    assert {"cpu", "cores", "numpy", "blas"} <= describe().keys()


def test_the_allocator_policy_says_whether_it_took_effect() -> None:
    assert keep_freed_memory() is (platform.libc_ver()[0] == "glibc")
