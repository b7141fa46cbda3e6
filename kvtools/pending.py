# SPDX-License-Identifier: GPL-2.0-or-later
"""Futures that follow from other futures without a thread that waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

T = TypeVar("T")


def ready(value: T) -> Future[T]:
    """A future that has its value already."""
    future: Future[T] = Future()
    future.set_result(value)
    return future


def settle(future: Future[T], work: Callable[[], T]) -> None:
    """Give ``future`` what ``work`` returns or raises."""
    try:
        future.set_result(work())
    except CancelledError:
        future.cancel()
    except BaseException as error:  # Interrupted and KeyboardInterrupt too: the waiter sees them
        future.set_exception(error)


def after(needed: Sequence[Future[Any]], work: Callable[[], None]) -> None:
    """Call ``work`` once every future of ``needed`` has ended, well or not.

    In the thread that ends the last one, or at once. ``work`` must not raise and not block.
    """
    lock, left = threading.Lock(), len(needed)

    def one_ended(_: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            last = left == 0
        if last:
            work()

    for future in needed:
        future.add_done_callback(one_ended)
    if not needed:
        work()
