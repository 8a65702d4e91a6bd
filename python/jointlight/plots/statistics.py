# SPDX-License-Identifier: BSD-3-Clause
"""Plots of a result's covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import sparse

from jointlight.errors import Described, did_you_mean, invalid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jointlight.result import FitResult
    from jointlight.result.slots import FloatArray
    from jointlight.scene import Covariance

__all__ = ["covariance"]

_CORNER_MAX = 12  # more parameters than this are shown as a matrix
_MATRIX_MAX = 60  # no more than this are shown unless asked for
_BLUE = "#2f5d8a"


def covariance(
    result: FitResult,
    *,
    kind: Literal["auto", "corner", "matrix"] = "auto",
    parameters: list[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Plot the covariance of the free parameters.

    Parameters
    ----------
    result : FitResult
        The result.
    kind : {"auto", "corner", "matrix"}, optional
        One- and two-sigma ellipses of each pair, or the correlation matrix in colours; by
        default ellipses for up to 12 parameters.
    parameters : list of str, optional
        Only these, by full or short name. Default: all; of more than 60, those with the
        strongest correlations.
    figure : Figure, optional
        Where to draw; a new one by default.

    Returns
    -------
    Figure
        The figure.
    """
    from matplotlib.figure import Figure as NewFigure

    check_result(result)
    if kind not in {"auto", "corner", "matrix"}:
        options = ("auto", "corner", "matrix")
        raise invalid("kind", kind, "a kind of plot", did_you_mean(kind, options))
    known = result.known_covariance
    if known is None:
        raise invalid("result", Described("one without"), "a fit with a covariance")
    chosen = _chosen(result, parameters)
    crowded = parameters is None and len(chosen) > _MATRIX_MAX
    if crowded:
        chosen = _most_correlated(known, chosen)
    if not chosen:
        raise invalid("result", Described("none"), "a fit with constrained parameters")
    if kind == "auto":
        kind = "corner" if len(chosen) <= _CORNER_MAX else "matrix"
    labels = _labels(result, chosen)
    size = max(4.0, (1.15 if kind == "corner" else 0.42) * len(chosen) + 1.5)
    if figure is None:
        # A solved layout of this many axes takes longer than drawing them.
        figure = NewFigure(figsize=(size, size), layout="constrained" if kind == "matrix" else None)
    if crowded:
        block = known.block(np.array(chosen))[0]  # pairs that are not stored stay blank
    else:
        block = result.covariance_of([result.parameters[i].full_name for i in chosen])
    if kind == "matrix":
        _matrix(block, labels, figure)
    else:
        _corner(result, chosen, block, labels, figure)
    return figure


def check_result(result: object) -> None:
    """Refuse what is no result.

    Parameters
    ----------
    result : object
        What was passed.
    """
    from jointlight.result import FitResult

    if not isinstance(result, FitResult):
        raise invalid("result", result, "a FitResult, as model.fit() returns it")


def _chosen(result: FitResult, parameters: list[str] | None) -> list[int]:
    good = [i for i in range(result.n_free) if np.isfinite(result.errors[i])]
    if parameters is None:
        return good
    chosen = []
    for name in parameters:
        hits = [i for i, p in enumerate(result.parameters) if name in {p.full_name, p.name}]
        if not hits:
            names = [p.full_name for p in result.parameters]
            raise invalid("parameters", name, "a free parameter", did_you_mean(name, names))
        chosen += [i for i in hits if i in good]
    return list(dict.fromkeys(chosen))


def _most_correlated(known: Covariance, good: list[int]) -> list[int]:
    """The parameters of the strongest correlations, in their order."""
    lower = sparse.coo_array(sparse.tril(known.stored, k=-1))
    scale = np.sqrt(known.stored.diagonal())
    with np.errstate(invalid="ignore", divide="ignore"):
        strength = np.abs(lower.data / (scale[lower.row] * scale[lower.col]))
    allowed = set(good)
    chosen: set[int] = set()
    for k in np.argsort(np.where(np.isfinite(strength), -strength, 0.0), kind="stable"):
        chosen |= {int(lower.row[k]), int(lower.col[k])} & allowed
        if len(chosen) >= _MATRIX_MAX:
            break
    return sorted(chosen) or good[:_MATRIX_MAX]


def _labels(result: FitResult, chosen: list[int]) -> list[str]:
    short = [result.parameters[i].name for i in chosen]
    return [
        name if short.count(name) == 1 else result.parameters[i].full_name
        for name, i in zip(short, chosen, strict=True)
    ]


def _matrix(covariance: FloatArray, labels: list[str], figure: Figure) -> None:
    scales = np.sqrt(np.diag(covariance))
    block = covariance / np.outer(scales, scales)
    ax = figure.add_subplot()
    mesh = ax.imshow(block, cmap="RdBu_r", vmin=-1, vmax=1)
    ax.set_xticks(range(len(labels)), labels=labels, rotation=90)
    ax.set_yticks(range(len(labels)), labels=labels)
    if len(labels) <= 20:
        for i in range(len(labels)):
            for j in range(len(labels)):
                color = "w" if abs(block[i, j]) > 0.6 else "k"
                text = f"{block[i, j]:.2f}".replace("0.", ".", 1)
                ax.text(j, i, text, ha="center", va="center", fontsize=6, color=color)
    figure.colorbar(mesh, ax=ax, fraction=0.046, pad=0.03).set_label("correlation")


def _corner(
    result: FitResult,
    chosen: list[int],
    covariance: FloatArray,
    labels: list[str],
    figure: Figure,
) -> None:
    n = len(chosen)
    width, height = figure.get_size_inches()
    room = {"left": 1.0 / width, "bottom": 0.9 / height, "right": 0.97, "top": 0.98}
    axes: Any = figure.subplots(
        n, n, sharex="col", squeeze=False, gridspec_kw={"wspace": 0.1, "hspace": 0.1, **room}
    )
    for row in range(n):
        for column in range(n):
            ax = axes[row, column]
            if column > row:
                ax.remove()
                continue
            i, j = chosen[column], chosen[row]
            x, sx = result.values[i], result.errors[i]
            if row == column:
                grid = np.linspace(-3.5, 3.5, 101)
                ax.fill_between(
                    x + sx * grid, np.exp(-0.5 * grid**2), color=_BLUE, alpha=0.35, lw=0
                )
                ax.plot(x + sx * grid, np.exp(-0.5 * grid**2), color=_BLUE, lw=1)
                ax.set_ylim(0, 1.15)
                ax.set_yticks([])
            else:
                pair = [column, row]
                _ellipses(ax, result.values[[i, j]], covariance[np.ix_(pair, pair)])
            _axis_labels(ax, row, column, n, labels)
    figure.align_labels()


def _ellipses(ax: Axes, center: FloatArray, block: FloatArray) -> None:
    scales = np.sqrt(np.diag(block))
    eigenvalues, vectors = np.linalg.eigh(block / np.outer(scales, scales))
    root = vectors * np.sqrt(np.maximum(eigenvalues, 0.0))
    angle = np.linspace(0.0, 2.0 * np.pi, 121)
    circle = np.vstack([np.cos(angle), np.sin(angle)])
    # Delta chi2 of 68.3 % and 95.4 % in two dimensions.
    for delta, alpha in ((6.18, 0.15), (2.30, 0.35)):
        x, y = (root @ circle) * np.sqrt(delta) * scales[:, None]
        ax.fill(center[0] + x, center[1] + y, color=_BLUE, alpha=alpha, lw=0)
        ax.plot(center[0] + x, center[1] + y, color=_BLUE, lw=0.8)
    ax.set_xlim(center[0] - 3.5 * scales[0], center[0] + 3.5 * scales[0])
    ax.set_ylim(center[1] - 3.5 * scales[1], center[1] + 3.5 * scales[1])


def _axis_labels(ax: Axes, row: int, column: int, n: int, labels: list[str]) -> None:
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    ax.tick_params(labelsize=6)
    ax.xaxis.set_major_locator(MaxNLocator(2, prune="both"))
    ax.xaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    ax.tick_params(axis="x", rotation=45)
    if row != column:
        ax.yaxis.set_major_locator(MaxNLocator(2, prune="both"))
        ax.yaxis.set_major_formatter(ScalarFormatter(useOffset=False))
    if row == n - 1:
        ax.set_xlabel(labels[column], fontsize=8)
    else:
        ax.tick_params(labelbottom=False)
    if column == 0 and row > 0:
        ax.set_ylabel(labels[row], fontsize=8)
    elif column > 0:
        ax.tick_params(labelleft=False)
