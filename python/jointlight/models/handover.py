# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of ties when models leave a group.

A parameter of a model that leaves may hold the value that others follow. The first of those that
stay takes it over: value, limits, prior and whether it is fixed. All others follow that one from
then on, and so does the parameter that left. Nothing is changed before everything is known to go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jointlight.errors import InvalidInput
from jointlight.parameters import (
    FunctionTie,
    LinearTie,
    Normal,
    Parameter,
    dependency_order,
    resolve_affine,
)
from jointlight.parameters.values import wrap_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jointlight.parameters import Affine

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

_ROUNDING = 1e-12  # of a value and its limit, relative


@dataclass
class Heir:
    """A parameter that takes over: ``parameter = scale * root + offset``."""

    parameter: Parameter
    scale: FloatArray
    offset: FloatArray
    takes_state: bool = True

    @property
    def is_equal(self) -> bool:
        """Whether it simply equals the root."""
        return bool(np.all(self.scale == 1.0) and np.all(self.offset == 0.0))


@dataclass
class Handover:
    """Ties as they will be; `apply` makes them so."""

    heirs: dict[Parameter, Heir] = field(default_factory=dict)
    linear: list[tuple[Parameter, list[Parameter], list[FloatArray], FloatArray]] = field(
        default_factory=list
    )
    functions: list[tuple[Parameter, list[Parameter]]] = field(default_factory=list)
    freed: list[Parameter] = field(default_factory=list)

    def apply(self) -> None:
        """Change the ties."""
        for parameter in self.freed:
            parameter.untie()
        for root, heir in self.heirs.items():
            if heir.takes_state:
                _take_over(root, heir)
            root.tie(heir.parameter, scale=1.0 / heir.scale, offset=-heir.offset / heir.scale)
        for parameter, inputs, scales, offset in self.linear:
            error = parameter.uncertainty
            parameter.tie_linear(inputs, scales=scales, offset=offset)
            parameter.uncertainty = error
        for parameter, inputs in self.functions:
            tie = parameter.current_tie
            assert isinstance(tie, FunctionTie)
            error = parameter.uncertainty
            parameter.tie(tie.function, inputs, jacobian=tie.jacobian)
            parameter.uncertainty = error


def plan(
    leaving: Iterable[Parameter],
    staying: Iterable[Parameter],
    *,
    ties: str = "hand over",
    heirs: Mapping[Parameter, Parameter] | None = None,
) -> Handover:
    """Find out how the ties of those that stay are to be changed.

    Parameters
    ----------
    leaving, staying : iterable of Parameter
    ties : {"hand over", "untie"}
        Whether a follower takes over, or all followers are set free at their values.
    heirs : mapping of Parameter to Parameter, optional
        Parameters that stay and take the place of ones that leave, at their own values.

    Returns
    -------
    Handover

    Raises
    ------
    InvalidInput
        Where a parameter that stays can be computed from those that leave only.
    """
    gone = {id(p) for p in leaving}
    out = Handover()
    affected = [
        p
        for p in staying
        if p.current_tie is not None and any(id(q) in gone for q in p.current_tie.inputs)
    ]
    if ties == "untie":
        out.freed = affected
        return out
    one = [(old, new) for old, new in (heirs or {}).items() if not old.is_tied]
    affine = resolve_affine(dependency_order(affected))
    for old, new in one:
        out.heirs[old] = Heir(new, np.ones(old.shape), np.zeros(old.shape), takes_state=False)
    linear = [p for p in affected if isinstance(p.current_tie, LinearTie)]
    for p in linear:
        single = affine[p].single
        if single is not None and id(single[0]) in gone and single[0] not in out.heirs:
            heir = Heir(p, single[1], single[2])
            _check_root(single[0], heir, gone)
            _check_state(single[0], heir)
            out.heirs[single[0]] = heir
    taken = {id(heir.parameter) for heir in out.heirs.values()}
    for p in linear:
        if id(p) not in taken:
            out.linear.append(_rewritten(p, affine[p], gone, out.heirs))
    for p in affected:
        if isinstance(p.current_tie, FunctionTie):
            out.functions.append((p, _new_inputs(p, gone, affine, out.heirs)))
    return out


def _check_root(root: Parameter, heir: Heir, gone: set[int]) -> None:
    """Raise where what follows a function cannot take it over."""
    tie = root.current_tie
    if tie is None:
        return
    if not heir.is_equal or any(id(q) in gone for q in tie.inputs):
        raise _refusal(heir.parameter, root)


def _check_state(root: Parameter, heir: Heir) -> None:
    """Raise where the heir's own limits leave no room for what it would take over."""
    if root.is_tied:
        return
    p = heir.parameter
    low, high = (np.asarray(end) for end in _limits(root, heir))
    value = root.stored
    fits = bool(np.all(low < high))
    if fits and value is not None:
        there = wrap_into(heir.scale * value + heir.offset, low, high, p.period)
        # Rounding on a limit is no step outside.
        slack = _ROUNDING * (1.0 + np.abs(there))
        fits = bool(np.all((there >= low - slack) & (there <= high + slack)))
    if not fits:
        raise InvalidInput(
            f"{p.label} stays and would take over from {root.label}, which leaves, but its limits "
            f"{p.limits} do not go with the value {root.value} and the limits {root.limits} of "
            f"that one. Change {p.label}.limits, call .untie() on it, or pass ties='untie'",
            argument="models",
        )


def _rewritten(
    p: Parameter, affine: Affine, gone: set[int], heirs: Mapping[Parameter, Heir]
) -> tuple[Parameter, list[Parameter], list[FloatArray], FloatArray]:
    """A linear tie in terms of parameters that stay."""
    terms: dict[Parameter, FloatArray] = {}
    offset = affine.offset.copy()
    for root, scale in affine.terms.items():
        source, factor = root, scale
        if id(root) in gone:
            heir = heirs.get(root)
            if heir is None:
                raise _refusal(p, root)
            source, factor = heir.parameter, scale / heir.scale
            offset = offset - factor * heir.offset
        terms[source] = terms.get(source, np.zeros(p.shape)) + factor
    return p, list(terms), list(terms.values()), offset


def _new_inputs(
    p: Parameter,
    gone: set[int],
    affine: Mapping[Parameter, Affine],
    heirs: Mapping[Parameter, Heir],
) -> list[Parameter]:
    """What a function reads from then on: parameters equal to those it read."""
    tie = p.current_tie
    assert tie is not None
    inputs = []
    for q in tie.inputs:
        if id(q) not in gone:
            inputs.append(q)
            continue
        single = affine[q].single
        if single is None:
            raise _refusal(p, q)
        root, scale, offset = single
        heir = heirs.get(root)
        if id(root) not in gone and np.all(scale == 1.0) and np.all(offset == 0.0):
            inputs.append(root)
        elif heir is not None and np.all(scale == heir.scale) and np.all(offset == heir.offset):
            inputs.append(heir.parameter)
        else:
            raise _refusal(p, q)
    return inputs


def _refusal(p: Parameter, root: Parameter) -> InvalidInput:
    return InvalidInput(
        f"{p.label} stays and follows {root.label}, which would leave, by "
        f"{p.state()[2:]}: nothing that stays can take its place. Tie it to something else, "
        "call .untie() on it, which keeps its value, or pass ties='untie'",
        argument="models",
    )


def _take_over(root: Parameter, heir: Heir) -> None:
    """Make the heir what the root was; the root keeps its value until it is tied."""
    p, scale, offset = heir.parameter, heir.scale, heir.offset
    tie = root.current_tie
    if tie is not None:
        assert isinstance(tie, FunctionTie)
        p.tie(tie.function, tie.inputs, jacobian=tie.jacobian)
        return
    value, error, limits = root.stored, root.uncertainty, _limits(root, heir)
    p.untie()
    if value is not None:
        p.limits = None
        sky = root._sky if heir.is_equal else None
        low, high = (np.asarray(end) for end in limits)
        there = wrap_into(np.asarray(scale * value + offset), low, high, p.period)
        p.value = sky if sky is not None else np.clip(there, low, high)
    p.limits = limits
    prior = _prior(root, heir)
    p.prior = prior
    root.prior = None  # it is the heir's now, and must not count twice if the root comes back
    p.uncertainty = None if error is None else np.abs(scale) * np.asarray(error)
    p.fixed = root.fixed


def _limits(root: Parameter, heir: Heir) -> tuple[Any, Any]:
    """Both parameters' limits, in terms of the heir."""
    low, high = heir.parameter.bounds
    ends = [heir.scale * end + heir.offset for end in root.bounds]
    new_low, new_high = np.minimum(*ends), np.maximum(*ends)
    if root.period is not None and not heir.is_equal:
        with np.errstate(invalid="ignore"):  # an open range has no middle, and needs no turn
            turns = np.round((0.5 * (new_low + new_high) - 0.5 * (low + high)) / root.period)
        turns = np.where(np.isfinite(turns), turns, 0.0)
        new_low, new_high = new_low - turns * root.period, new_high - turns * root.period
    return _ends(np.maximum(low, new_low)), _ends(np.minimum(high, new_high))


def _ends(array: FloatArray) -> Any:
    return float(array) if array.ndim == 0 else array


def _prior(root: Parameter, heir: Heir) -> Normal | None:
    """The product of both parameters' priors, in terms of the heir."""
    p = heir.parameter
    parts: list[tuple[FloatArray, FloatArray]] = []
    if p.prior is not None:
        parts.append(_normal(p.prior, p.shape))
    if root.prior is not None:
        mean, sigma = _normal(root.prior, p.shape)
        parts.append((heir.scale * mean + heir.offset, np.abs(heir.scale) * sigma))
    if not parts:
        return None
    weights: Sequence[FloatArray] = [1.0 / sigma**2 for _, sigma in parts]
    total = np.sum(weights, axis=0)
    means = [mean for mean, _ in parts]
    if p.period is not None and len(means) == 2:
        means[1] = means[1] - p.period * np.round((means[1] - means[0]) / p.period)
    mean = np.sum([w * m for w, m in zip(weights, means, strict=True)], axis=0) / total
    sigma = 1.0 / np.sqrt(total)
    if np.ndim(mean) == 0:
        return Normal(float(mean), float(sigma))
    return Normal(tuple(map(float, mean)), tuple(map(float, sigma)))


def _normal(prior: Normal, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    return (
        np.broadcast_to(np.asarray(prior.mean, dtype=np.float64), shape),
        np.broadcast_to(np.asarray(prior.sigma, dtype=np.float64), shape),
    )
