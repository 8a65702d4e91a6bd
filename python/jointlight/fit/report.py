# SPDX-License-Identifier: BSD-3-Clause
"""What a fit says while it runs: progress bar, lines, the user's callback."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from jointlight.result import FitResult

__all__ = ["Reporter", "interactive"]


def interactive() -> bool:
    """True in a terminal or a notebook, where a progress bar can be redrawn.

    Returns
    -------
    bool
        Whether to show one by default.
    """
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    shell = sys.modules.get("IPython")
    kernel = shell.get_ipython() if shell is not None else None
    return kernel is not None and type(kernel).__name__ == "ZMQInteractiveShell"


class Reporter:
    """Shows progress and passes records on to the user's callback.

    The core calls `step` with the GIL held. Exceptions must not cross it, so they are kept and
    raised by `reraise`; a keyboard interrupt only stops the fit.

    Parameters
    ----------
    name : str
        What is fitted.
    verbose : int
        0, 1 or 2.
    progress : bool or None
        Progress bar; None decides by `verbose` and where the output goes.
    callback : callable or None
        The user's.
    """

    def __init__(
        self,
        *,
        name: str,
        verbose: int,
        progress: bool | None,
        callback: Callable[[Mapping[str, Any]], bool | None] | None,
    ) -> None:
        self.name = name
        self.verbose = verbose
        self.callback = callback
        self.error: BaseException | None = None
        self._show = (verbose > 0 and interactive()) if progress is None else progress
        self._bar: Any = None

    def __enter__(self) -> Self:
        if self._show:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=None, desc=self.name, unit=" steps", leave=False)
        if self.verbose > 1:
            print(f"{'step':>5} {'chi2':>16} {'lambda':>9} {'gain':>7} {'cosine':>9}  ")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def step(self, record: Mapping[str, Any]) -> bool:
        """Take note of one trial step.

        Parameters
        ----------
        record : mapping
            The solver's record.

        Returns
        -------
        bool
            True to stop.
        """
        try:
            if self._bar is not None:
                self._bar.update(1)
                self._bar.set_postfix_str(f"chi2 {record.get('chi2', math.nan):.6g}")
            if self.verbose > 1:
                self._line(record)
            stop = self.callback(record) if self.callback is not None else None
        except KeyboardInterrupt:
            return True
        except BaseException as error:  # kept: it may not unwind through the core
            self.error = error
            return True
        return bool(stop)

    def _line(self, record: Mapping[str, Any]) -> None:
        def number(key: str) -> float:
            return float(record.get(key, math.nan))

        mark = "" if record.get("accepted", True) else "rejected"
        text = (
            f"{int(record.get('iteration', 0)):5d} {number('chi2'):16.8g} {number('lambda'):9.1e} "
            f"{number('gain_ratio'):7.3f} {number('gradient_cosine'):9.1e}  {mark}"
        )
        self.say(text)

    def say(self, text: str) -> None:
        """Print a line, above the progress bar where there is one.

        Parameters
        ----------
        text : str
            The line.
        """
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text)

    def reraise(self) -> None:
        """Raise what the callback raised, if anything."""
        if self.error is not None:
            raise self.error

    def done(self, result: FitResult) -> None:
        """Say how it ended.

        Parameters
        ----------
        result : FitResult
            The outcome.
        """
        if self.verbose > 0:
            print(
                f"{self.name}: {result.message} chi2/dof = {result.chi2:.6g}/{result.dof} = "
                f"{result.reduced_chi2:.4g}, {result.time_s:.3g} s"
            )
