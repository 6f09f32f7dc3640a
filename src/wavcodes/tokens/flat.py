"""`Flat`: one sequence of tokens, in which the id of each one says where in a cycle it belongs."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..values import as_array
from .base import Layout
from .stream import Rows, integers


@dataclass(frozen=True, kw_only=True)
class Flat(Layout):
    """Cycle after cycle of `F = len(order)` tokens; each place in a cycle is a *slot* with ids of its own::

        tokens[n * F + i] = first[i] + rows[i][n]

    Attributes:
        first: Id of code 0 in each slot. The ids of the slots, `first[i]` to `first[i] + codebook_size - 1`, are
            disjoint, so that an id tells its slot and a reader cannot get out of step.
        end: Ids with which a model ends the clip; they are no codes.
    """

    first: tuple[int, ...]
    end: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.first) != len(self.order):
            raise InputError(f"expected one first id for each of {len(self.order)} slots, got {len(self.first)}")
        if min(np.diff(sorted(self.first)), default=self.codebook_size) < self.codebook_size:
            raise InputError(
                f"expected first ids at least {self.codebook_size} apart, so that an id tells its slot, "
                f"got {self.first}"
            )
        for token in self.end:
            if self._slots(np.array([token]))[0] >= 0:
                raise InputError(f"expected an end that is no code, got {token}")

    def starting_at(self, first: int) -> "Flat":
        """The same layout in another vocabulary: all ids are moved so that `first` is the first one of slot 0.

        A model on another base, or the numbers in the names of tokens: `ORPHEUS.starting_at(10)` has those of
        `<custom_token_10>` and so on.
        """
        by = first - self.first[0]
        return replace(self, first=tuple(i + by for i in self.first), end=tuple(i + by for i in self.end))

    def without_repeats(self, tokens: ArrayLike, slots: int) -> NDArray[np.int64]:
        """Tokens without the cycles whose first `slots` tokens are those of the cycle before.

        This loses sound for good: a cycle may differ in its other slots, and the duration shrinks. Some models were
        trained on such tokens, Orpheus with one slot and Kani with all four.

        Args:
            tokens: As `encode` gives them.
            slots: How many tokens of a cycle are compared, 1 to F.

        Raises:
            InputError: Not what `encode` gives, or there are not so many slots.
        """
        if not 1 <= slots <= len(self.order):
            raise InputError(f"expected 1 to {len(self.order)} slots, got {slots}")
        rows = self._read(tokens)
        kept = np.ones(rows.shape[1], bool)
        kept[1:] = (rows[:slots, 1:] != rows[:slots, :-1]).any(axis=0)
        return self._arrange(rows[:, kept])

    def _slots(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The slot of each id, or -1 where it is no code."""
        first = np.array(self.first)
        inside = (ids[:, None] >= first) & (ids[:, None] < first + self.codebook_size)
        slots: NDArray[np.int64] = np.where(inside.any(axis=1), inside.argmax(axis=1), -1)
        return slots

    def _arrange(self, rows: Rows) -> NDArray[np.int64]:
        tokens: NDArray[np.int64] = rows.T + np.array(self.first)
        return tokens.reshape(-1)

    def _read(self, tokens: ArrayLike) -> Rows:
        ids = integers("tokens", tokens, "n")
        slots = self._slots(ids)
        expected = np.arange(len(ids)) % len(self.order)
        wrong = np.flatnonzero(slots != expected)
        if wrong.size:
            at = int(wrong[0])
            slot, low = slots[at], self.first[expected[at]]
            raise InputError(
                f"position {at}: expected a token of slot {expected[at]}, {low} to {low + self.codebook_size - 1}, got "
                f"{ids[at]}, which is {f'one of slot {slot}' if slot >= 0 else 'no code'}; "
                "extract reads what a model generated"
            )
        if len(ids) % len(self.order):
            raise InputError(
                f"expected a multiple of {len(self.order)} tokens, got {len(ids)}; extract reads what a model generated"
            )
        rows: Rows = ids.reshape(-1, len(self.order)).T - np.array(self.first)[:, None]
        return rows

    def _reader(self) -> "FlatReader":
        return FlatReader(self)


class FlatReader:
    """Finds whole cycles: all slots in their order, with nothing but tokens that are no codes in between."""

    def __init__(self, layout: Flat) -> None:
        self.ended = False
        self.dropped = 0
        self._layout = layout
        self._begun = np.zeros(0, np.int64)  # tokens of a cycle that is not complete

    def push(self, tokens: ArrayLike) -> Rows:
        """The rows of the cycles that are complete now; `tokens` is `(n,)` or a single one."""
        layout, slots_in_all = self._layout, len(self._layout.order)
        ids = integers("tokens", np.atleast_1d(as_array("tokens", tokens)), "n")
        if self.ended:
            live = ids[:0]
        else:
            ends = np.flatnonzero(np.isin(ids, layout.end))
            self.ended = bool(ends.size)
            live = ids[: ends[0]] if self.ended else ids
        behind = ids[len(live) :]
        live = np.concatenate([self._begun, live[layout._slots(live) >= 0]])
        slots = layout._slots(live)
        # Only a whole cycle has slot 0 in its first place and nowhere else, so no two of these overlap.
        starts = np.flatnonzero(slots == 0)
        starts = starts[starts + slots_in_all <= len(live)]
        places = starts[:, None] + np.arange(slots_in_all)
        whole = places[(slots[places] == np.arange(slots_in_all)).all(axis=1)]
        self._begun = live[:0] if self.ended else self._unfinished(live, slots)
        self.dropped += len(live) - whole.size - len(self._begun) + int((layout._slots(behind) >= 0).sum())
        rows: Rows = live[whole].T - np.array(layout.first)[:, None]
        return rows

    def _unfinished(self, live: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The last tokens, if they are the beginning of a cycle."""
        last = max(np.flatnonzero(slots == 0), default=len(live))
        tail = slots[last:]
        is_begun = len(tail) < len(self._layout.order) and np.array_equal(tail, np.arange(len(tail)))
        return live[last:] if is_begun else live[:0]

    def finish(self) -> None:
        """Counts the tokens of a last cycle that is not complete."""
        self.dropped += len(self._begun)
        self._begun = self._begun[:0]
