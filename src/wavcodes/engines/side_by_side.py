"""Independent pieces of work on several threads at once: the clips of a batch, the segments of a clip."""

from collections.abc import Callable, Sequence
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def side_by_side(work: Callable[[In, int], Out], items: Sequence[In], threads: int) -> list[Out]:
    """`work(item, its threads)` of each item, in their order. A thread that is done takes the next item.

    Args:
        work: What to do with an item, and on how many threads: the engine's work, which lets other threads run.
        items: Any number.
        threads: How many may be used in all.
    """
    at_once = min(threads, len(items))
    if at_once < 2:
        return [work(item, threads) for item in items]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda item: work(item, threads // at_once), items))
