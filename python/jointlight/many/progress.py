# SPDX-License-Identifier: BSD-3-Clause
"""How far many fits are: a bar, or the user's function."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

__all__ = ["Progress"]


class Progress:
    """Tells how many objects are done.

    Parameters
    ----------
    show : bool or callable
        True for a bar; or called with the number of objects done and the number of all.
    n : int
        Number of all.

    Attributes
    ----------
    interrupted : bool
        Whether a keyboard interrupt came in.
    """

    def __init__(self, show: bool | Callable[[int, int], object], n: int) -> None:
        self.n = n
        self.interrupted = False
        self._tell = show if callable(show) else None
        self._show = show is True
        self._bar: Any = None
        self._before = 0  # objects of earlier calls of the core
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        if self._show:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=self.n, unit=" fits", leave=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, done: int) -> bool:
        """Take note of how many objects the core has done.

        Parameters
        ----------
        done : int
            In its present call.

        Returns
        -------
        bool
            False to stop.
        """
        try:
            if self._bar is not None:
                self._bar.update(self._before + done - self._bar.n)
            if self._tell is not None and self._error is None:
                self._tell(self._before + done, self.n)
        except KeyboardInterrupt:
            self.interrupted = True
        except BaseException as error:  # kept: the core's threads are to end first
            self._error = error
        return self.go_on

    @property
    def go_on(self) -> bool:
        """Whether nothing came in that stops the fits."""
        return self._error is None and not self.interrupted

    def count(self, done: int) -> None:
        """Count a call of the core as over.

        Parameters
        ----------
        done : int
            Its objects.
        """
        if self.go_on:
            self.step(done)
            self._before += done

    def reraise(self) -> None:
        """Raise what the user's function raised, if anything."""
        if self._error is not None:
            raise self._error
