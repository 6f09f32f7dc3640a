"""`Delayed`: a matrix of tokens with one row per book, each row beginning some columns after the first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..values import as_array
from .base import Layout
from .stream import Rows, integers


@dataclass(frozen=True, kw_only=True)
class Delayed(Layout):
    """Row `i` holds the codes of its book from column `lead + delays[i]` on::

        matrix[i][lead + delays[i] + step * n] = offsets[i] + rows[i][n]

    To the left of a row's codes stands `left`. Right behind them stands `end`, if there is one, then `right`, which
    also fills the gaps of a step above 1. `C` cycles take `lead + step * C + max(delays) + 1 - step` columns, and one
    more with an end.

    Attributes:
        delays: Columns by which each row begins later; all 0 for books in parallel.
        lead: Columns of nothing but `left` at the start, from which a model generates the others.
        left: Id before the codes of a row.
        right: Id after them.
        end: Id of the end of the clip, or None where the length alone tells it. If it is a code, a column of nothing
            else is the end.
        step: Columns from one cycle to the next; more than 1 where each cycle has several columns of its own.
        offsets: What is added to every id of a row, `left`, `right` and `end` included, where the rows share one table
            of embeddings; nothing if left out.
    """

    delays: tuple[int, ...]
    left: int
    right: int
    lead: int = 0
    end: int | None = None
    step: int = 1
    offsets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.delays) != len(self.order) or len(self.offsets) not in (0, len(self.order)):
            raise InputError(
                f"expected a delay for each of {len(self.order)} rows, and as many offsets or none, got "
                f"{len(self.delays)} and {len(self.offsets)}"
            )
        if min(self.lead, *self.delays) < 0:
            raise InputError(f"expected a lead and delays of 0 or more, got {self.lead} and {self.delays}")
        if not 1 <= self.step <= (1 if self.end is not None else max(self.delays) + 1):
            raise InputError(
                f"expected a step of 1 to max(delays) + 1, and of 1 where there is an end, got {self.step}"
            )
        if any(0 <= fill < self.codebook_size and fill != self.end for fill in (self.left, self.right)):
            raise InputError(f"expected left and right to be no codes, or the end, got {self.left} and {self.right}")

    @property
    def _added(self) -> NDArray[np.int64]:
        """The offset of each row, as a column."""
        return np.array(self.offsets or (0,) * len(self.order))[:, None]

    def _tail(self) -> int:
        """Columns besides `lead` and the `step` of each cycle."""
        return max(self.delays) + 1 - self.step + (self.end is not None)

    def _places(self, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Index of the codes of `columns` cycles in a matrix without its lead."""
        each_row = np.arange(len(self.order))[:, None]
        return each_row, np.array(self.delays)[:, None] + self.step * np.arange(columns)

    def _arrange(self, rows: Rows) -> NDArray[np.int64]:
        cycles = rows.shape[1]
        matrix = np.full((len(self.order), self.lead + self.step * cycles + self._tail()), self.right, np.int64)
        generated = matrix[:, self.lead :]
        matrix[:, : self.lead] = self.left
        generated[np.arange(generated.shape[1]) < np.array(self.delays)[:, None]] = self.left
        generated[self._places(cycles)] = rows
        if self.end is not None:
            generated[np.arange(len(self.order)), np.array(self.delays) + cycles] = self.end
        matrix += self._added
        return matrix

    def _read(self, tokens: ArrayLike) -> Rows:
        matrix = self._matrix(tokens)
        cycles, rest = divmod(matrix.shape[1] - self.lead - self._tail(), self.step)
        if cycles < 0 or rest:
            least = self.lead + self._tail()
            steps = f"{least} columns or more" if self.step == 1 else f"{least} + a multiple of {self.step} columns"
            raise InputError(f"expected {steps}, got {matrix.shape[1]}; extract reads what a model generated")
        rows: Rows = matrix[:, self.lead :][self._places(cycles)] - self._added
        expected = self._arrange(np.clip(rows, 0, self.codebook_size - 1))
        wrong = np.argwhere((matrix != expected).T)
        if wrong.size:
            column, row = map(int, wrong[0])
            begin = column - self.lead - self.delays[row]
            low = int(self._added[row, 0])
            is_code = 0 <= begin < self.step * cycles and not begin % self.step
            want = f"a code, {low} to {low + self.codebook_size - 1}" if is_code else str(expected[row, column])
            raise InputError(
                f"row {row}, column {column}: expected {want}, got {matrix[row, column]}; "
                "extract reads what a model generated"
            )
        return rows

    def _matrix(self, tokens: ArrayLike) -> NDArray[np.int64]:
        matrix = integers("tokens", tokens, "rows", "columns")
        if len(matrix) != len(self.order):
            raise InputError(f"expected {len(self.order)} rows of tokens, got {len(matrix)}")
        return matrix

    def _reader(self) -> "DelayedReader":
        return DelayedReader(self)


class DelayedReader:
    """Finds the cycles that are complete, up to the first that has an id which is no code, or that is the end."""

    def __init__(self, layout: Delayed) -> None:
        self.ended = False
        self.dropped = 0
        self._layout = layout
        self._begun = np.zeros((len(layout.order), 0), np.int64)  # from the first column of the next cycle on
        self._is_first = True

    def push(self, tokens: ArrayLike) -> Rows:
        """The rows of the cycles that are complete now; `tokens` is `(rows, n)` or a single column `(rows,)`."""
        layout = self._layout
        array = as_array("tokens", tokens)
        columns = self._columns(array[:, None] if array.ndim == 1 and array.size else array)
        if self.ended:
            self.dropped += self._codes_in(columns)
            return columns[:, :0]
        live = np.concatenate([self._begun, columns], axis=1)
        cycles = max(0, (live.shape[1] - max(layout.delays) - 1) // layout.step + 1)
        rows = live[layout._places(cycles)]
        over = ((rows < 0) | (rows >= layout.codebook_size)).any(axis=0) | (rows == layout.end).all(axis=0)
        self.ended = bool(over.any())
        if self.ended:
            rows = rows[:, : int(over.argmax())]
        self._begun = live[:, layout.step * rows.shape[1] :].copy()
        if self.ended:
            self.finish()
        return rows

    def _columns(self, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        layout = self._layout
        if not tokens.size:
            return self._begun[:, :0]
        columns: NDArray[np.int64] = layout._matrix(tokens) - layout._added
        # A model that starts from such a column would be read one column late, without any other sign of it.
        has_code = not min(layout.delays) and not 0 <= layout.left < layout.codebook_size
        if self._is_first and has_code and (columns[:, 0] == layout.left).all():
            raise InputError(
                f"expected the columns that the model generated, but the first holds {layout.left} alone; leave out "
                "the start column"
            )
        self._is_first = False
        return columns

    def finish(self) -> None:
        """Counts the codes of cycles that are not complete, or lie behind the end."""
        late = np.arange(self._begun.shape[1]) >= np.array(self._layout.delays)[:, None]
        self.dropped += self._codes_in(np.where(late, self._begun, self._layout.left))
        self._begun = self._begun[:, :0]

    def _codes_in(self, columns: NDArray[np.int64]) -> int:
        layout = self._layout
        is_code = (columns >= 0) & (columns < layout.codebook_size) & (columns != layout.end)
        return int(is_code.sum())
