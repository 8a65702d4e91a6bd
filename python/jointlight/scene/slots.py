# SPDX-License-Identifier: BSD-3-Clause
"""The map from free parameters to slots: ties, limits and priors flattened into tables.

A *slot* is one scalar that a component needs (centre x, axis ratio, ...). Slots of parameters
that are equal by ties are one slot. Linear ties become rows of a sparse matrix, function ties
blocks that carry a callable and its Jacobian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from jointlight.errors import InvalidInput
from jointlight.parameters import (
    Affine,
    FunctionTie,
    LinearTie,
    Parameter,
    dependency_order,
    evaluate_all,
    resolve_affine,
    root_component,
)
from jointlight.parameters.values import wrap_into

from .functions import FunctionBlock, follows_function, sharing_functions
from .guards import LimitGuard, make_guards

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# A start may sit this far outside its limits, relative to their size, and is moved onto them:
# the rounding of a tie, not a mistake.
_ROUNDING = 1e-12


def root_parameters(named: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the untied parameters that everything in `named` follows from, by path.

    One that is not in `named` goes by its own label.
    """
    paths: dict[int, str] = {}
    for path, parameter in named.items():
        paths.setdefault(id(parameter), path)
    roots: dict[str, Parameter] = {}
    for parameter in dependency_order(named.values()):
        if parameter.is_tied:
            continue
        base = name = paths.get(id(parameter), parameter.label)
        k = 1
        while name in roots:
            k += 1
            name = f"{base} ({k})"
        roots[name] = parameter
    return roots


class SlotMap:
    """Free parameters, slots, and what lies between.

    Parameters
    ----------
    named : mapping of str to Parameter
        All parameters of the model by path; they give the free ones their names.
    used : iterable of Parameter
        Those that components need, in order.

    Attributes
    ----------
    free : list of (Parameter, int)
        The free scalars: parameter and component.
    names : list of str
        Their paths, ``"galaxy 1/center_x"``.
    start, lower, upper : ndarray
        [n_free], natural units; infinite where there is no limit.
    prior_mean, prior_sigma : ndarray
        [n_free]; NaN where there is no prior.
    matrix : scipy.sparse.csr_array
        [n_slots, n_free]; rows of slots that come from functions hold the pattern only.
    constants : ndarray
        [n_slots].
    blocks : list of (FunctionBlock or LimitGuard, ndarray)
        Function ties, and limits that are none of a free parameter, with the slots they write.
    cyclic : ndarray of bool
        [n_free]; a whole period more is the same model: everything that follows the parameter
        has its period and is it plus a constant.
    """

    def __init__(self, named: Mapping[str, Parameter], used: Iterable[Parameter]) -> None:
        self.used = list(dict.fromkeys(used))
        order = dependency_order(self.used)
        self._paths: dict[int, str] = {}
        for path, p in named.items():
            self._paths.setdefault(id(p), path)
        _refuse_unset([self.path(p) for p in order if not p.is_tied and p.stored is None])
        self._list_free(order)
        self._affine = resolve_affine(order)
        self._by_function = follows_function(order)
        self._check_values()
        self._find_cyclic()
        self._set_limits()
        self._set_priors()
        self._place_start()
        self._make_slots()

    def path(self, p: Parameter) -> str:
        """Path of a parameter in the model; its own label where it belongs to another."""
        return self._paths.get(id(p), p.label)

    @property
    def n_free(self) -> int:
        """Number of free scalars."""
        return len(self.free)

    @property
    def n_slots(self) -> int:
        """Number of slots."""
        return len(self.constants)

    def slots_of(self, p: Parameter) -> IntArray:
        """Slot of each component of a used parameter."""
        found = self._slots.get(id(p))
        return self._slots[id(self._representative(p))] if found is None else found

    def values(self, v: FloatArray) -> FloatArray:
        """Slot values, [n_slots]."""
        slots = self.constants + self.matrix @ v
        for block, where in self.blocks:
            slots[where] = block(v[block.inputs])[0]
        return np.asarray(slots, dtype=np.float64)

    def wrapped(self, v: FloatArray) -> FloatArray:
        """Return the same point with cyclic parameters in [0, period), or within their limits.

        Also of many points, [..., n_free].
        """
        out = np.array(v, dtype=np.float64)
        for i, (p, component) in enumerate(self.free):
            limited = np.isfinite(self.lower[i]) or np.isfinite(self.upper[i])
            if p.period is None or limited or not self._may_wrap[i]:
                continue
            low, high = (end.reshape(-1)[component] for end in p.bounds)
            out[..., i] = wrap_into(np.mod(out[..., i], p.period), low, high, p.period)
        return out

    def jacobian(self, v: FloatArray) -> sparse.csr_array:
        """d slot / d free, [n_slots, n_free]."""
        if not self.blocks:
            return self.matrix.copy()
        by_function = np.zeros(self.n_slots, dtype=bool)
        rows, columns, data = [], [], []
        for block, where in self.blocks:
            by_function[where] = True
            gradient = block(v[block.inputs])[1]
            rows.append(np.repeat(where, len(block.inputs)))
            columns.append(np.tile(block.inputs, len(where)))
            data.append(gradient.ravel())
        keep = sparse.diags_array((~by_function).astype(np.float64))
        extra = sparse.coo_array(
            (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))),
            shape=self.matrix.shape,
        )
        return sparse.csr_array(keep @ self.matrix + extra)

    # --- building -------------------------------------------------------------------------

    def _list_free(self, order: Sequence[Parameter]) -> None:
        self.free: list[tuple[Parameter, int]] = []
        self.names: list[str] = []
        start: list[float] = []
        taken: set[str] = set()
        for p in order:
            if not p.is_free:
                continue
            base = self.path(p)
            prefix = base[: len(base) - len(p.name)] if base.endswith(p.name) else f"{base} "
            names = [prefix + component for component in p.component_names]
            k = 1
            while taken.intersection(names):
                k += 1
                names = [f"{prefix}{component} ({k})" for component in p.component_names]
            taken.update(names)
            value = p.stored
            assert value is not None
            for component, x in enumerate(np.ravel(value)):
                self.free.append((p, component))
                self.names.append(names[component])
                start.append(float(x))
        self.start = np.array(start, dtype=np.float64)
        self._index = {key: i for i, key in enumerate(self.free)}

    def _check_values(self) -> None:
        """Evaluate function ties once, so that what fails does so here, by name."""
        values = evaluate_all(dependency_order(self.used))
        self._own_limits = [p for p in self.used if p.is_tied and not self._is_copy(p)]
        for p in self._own_limits:
            value = values[p]
            assert value is not None
            if not np.all(np.isfinite(value)):
                raise InvalidInput(
                    f"{self.path(p)} follows {p.state()[2:]} and comes out as {p.value} at the "
                    "start; it must be finite"
                )
            low, high = p.bounds
            slack = _ROUNDING * (1.0 + np.abs(value))
            inside = np.all(value >= low - slack) and np.all(value <= high + slack)
            if p.domain.low_open:
                inside = inside and np.all(value > p.domain.low)
            if p.period is None and not inside:
                raise InvalidInput(
                    f"{self.path(p)} follows {p.state()[2:]} and starts at {p.value}, outside "
                    f"its limits {p.limits}"
                )

    def _is_copy(self, p: Parameter) -> bool:
        """Whether a parameter equals an untied one and has the same limits: most ties do."""
        root = self._representative(p)
        if root.is_tied or root.period != p.period or root.domain != p.domain:
            return False
        pairs = zip(p.bounds, root.bounds, strict=True)
        return all(mine.tobytes() == theirs.tobytes() for mine, theirs in pairs)

    def _find_cyclic(self) -> None:
        self.cyclic = np.array([p.period is not None for p, _ in self.free], dtype=bool)
        self._shifted = np.zeros(self.n_free, dtype=bool)  # followed at an offset
        inputs = {
            q
            for p in dependency_order(self.used)
            if isinstance(p.current_tie, FunctionTie)
            for q in p.current_tie.inputs
        }
        for p in dict.fromkeys([*self.used, *inputs]):
            affine = self._affine[p]
            for root, scale in affine.terms.items():
                if not root.is_free:
                    continue
                if root.shape != p.shape:
                    self.cyclic[self._index[root, 0]] = False
                    continue
                for component in range(root.size):
                    i = self._index[root, component]
                    same = p not in inputs and p.period == root.period
                    self.cyclic[i] &= same and scale.flat[component] == 1.0
                    self._shifted[i] |= affine.offset.flat[component] != 0.0

    def _set_limits(self) -> None:
        self.lower = np.full(self.n_free, -np.inf)
        self.upper = np.full(self.n_free, np.inf)
        for i, (p, component) in enumerate(self.free):
            ends = p.bounds
            low, high = (float(end.flat[component]) for end in ends)
            if not self._allows_all(i, low, high):
                self.lower[i], self.upper[i] = low, high
        for p in self._own_limits:
            single = self._one_free(p)
            if single is None:
                continue
            root, scale, offset = single
            moved = [np.ravel((end - offset) / scale) for end in p.bounds]
            for component in range(p.size):
                i = self._index[root, root_component(root, component)]
                low, high = sorted(float(end[component]) for end in moved)
                if self._allows_all(i, low, high):
                    continue
                self.lower[i] = max(self.lower[i], low)
                self.upper[i] = min(self.upper[i], high)
                if self.lower[i] >= self.upper[i]:
                    raise InvalidInput(
                        f"the limits of {self.path(root)} {root.limits} and of {self.path(p)} "
                        f"{p.limits}, which is tied to it, exclude each other"
                    )
        for i, name in enumerate(self.names):
            x, low, high = self.start[i], self.lower[i], self.upper[i]
            if self.cyclic[i]:
                x = float(wrap_into(np.asarray(x), low, high, self.free[i][0].period))
            slack = _ROUNDING * (1.0 + abs(x))
            if x < low - slack or x > high + slack:
                raise InvalidInput(
                    f"{name} starts at {x:g}, outside ({low:g}, {high:g}) that its own limits "
                    "and those of the parameters tied to it leave"
                )
            self.start[i] = min(max(x, low), high)

    def _one_free(self, p: Parameter) -> tuple[Parameter, FloatArray, FloatArray] | None:
        """(root, scale, offset) where a parameter follows one free root, all others held."""
        affine = self._affine[p]
        free = [root for root in affine.terms if root.is_free]
        if len(free) != 1 or any(root.is_tied for root in affine.terms):
            return None
        offset = affine.offset
        for root, scale in affine.terms.items():
            if root is not free[0]:
                held = root.stored
                assert held is not None
                offset = offset + scale * held
        scale = affine.terms[free[0]]
        return (free[0], scale, offset) if np.all(scale != 0.0) else None

    def _allows_all(self, i: int, low: float, high: float) -> bool:
        """Whether a range holds every value of a cyclic parameter."""
        period = self.free[i][0].period
        return bool(self.cyclic[i]) and period is not None and high - low >= period

    def _set_priors(self) -> None:
        """Priors of tied parameters are put on what they are tied to."""
        precision = np.zeros(self.n_free)
        weighted = np.zeros(self.n_free)
        for p in dict.fromkeys([*self.used, *(p for p, _ in self.free)]):
            if p.prior is None:
                continue
            n_free = sum(root.is_free for root in self._affine[p].terms)
            if p in self._by_function or n_free > 1:
                raise InvalidInput(
                    f"{self.path(p)} has a prior but is tied to {p.state()[2:]}; put priors on "
                    "the parameters that it follows"
                )
            single = self._one_free(p)
            if single is None:
                continue  # held: the prior is a constant
            root, scale, offset = single
            mean = np.broadcast_to(np.asarray(p.prior.mean), (p.size,))
            sigma = np.broadcast_to(np.asarray(p.prior.sigma), (p.size,))
            for component in range(p.size):
                i = self._index[root, root_component(root, component)]
                s, o = scale.flat[component], offset.flat[component]
                w = (s / sigma[component]) ** 2
                m = (mean[component] - o) / s
                if self.cyclic[i] and precision[i] > 0.0:
                    # Several priors: the turn of the others is that of the first.
                    m = _nearest_turn(m, weighted[i] / precision[i], root.period)
                precision[i] += w
                weighted[i] += w * m
        has = precision > 0.0
        self.prior_mean = np.full(self.n_free, np.nan)
        self.prior_sigma = np.full(self.n_free, np.nan)
        self.prior_mean[has] = weighted[has] / precision[has]
        self.prior_sigma[has] = 1.0 / np.sqrt(precision[has])

    def _place_start(self) -> None:
        """Start cyclic parameters within half a period of their prior's mean."""
        has = np.isfinite(self.prior_sigma)
        unlimited = np.isinf(self.lower) & np.isinf(self.upper)
        for i in np.flatnonzero(self.cyclic & has & unlimited):
            self.start[i] = _nearest_turn(self.start[i], self.prior_mean[i], self.free[i][0].period)
        # At an offset the core compares with the prior as numbers, not modulo the period.
        self._may_wrap = self.cyclic & ~(has & self._shifted)

    def _representative(self, p: Parameter) -> Parameter:
        """The parameter whose slot `p` shares: the one it equals, or itself."""
        while isinstance(p.current_tie, LinearTie) and p.current_tie.is_identity:
            p = p.current_tie.inputs[0]
        return p

    def _make_slots(self) -> None:
        self._slots: dict[int, IntArray] = {}
        owners: list[Parameter] = []
        n = 0
        for p in self.used:
            owner = self._representative(p)
            if id(owner) not in self._slots:
                self._slots[id(owner)] = np.arange(n, n + owner.size)
                owners.append(owner)
                n += owner.size
            self._slots[id(p)] = self._slots[id(owner)]
        self.constants = np.zeros(n)
        by_function: list[Parameter] = []
        rows: list[dict[int, float]] = [{} for _ in range(n)]
        for owner in owners:
            where = self._slots[id(owner)]
            if owner not in self._by_function:
                self._linear_rows(owner, where, rows)
                continue
            if any(p.is_free for p in dependency_order([owner])):
                by_function.append(owner)
            else:
                value = owner.array
                assert value is not None
                self.constants[where] = value.ravel()
        self.blocks: list[tuple[FunctionBlock | LimitGuard, IntArray]] = []
        for outputs in sharing_functions(by_function):
            block = FunctionBlock(outputs, self._index)
            where = np.concatenate([self._slots[id(p)] for p in outputs])
            values, gradient = block.evaluate(self.start[block.inputs])
            if not (np.all(np.isfinite(values)) and np.all(np.isfinite(gradient))):
                bad = ", ".join(self.path(p) for p in outputs)
                raise InvalidInput(
                    f"the functions behind {bad} have no finite value and derivative at the start"
                )
            for slot in where:
                rows[slot] = dict.fromkeys(map(int, block.inputs), 0.0)
            self.blocks.append((block, where))
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        indices = np.array([i for row in rows for i in sorted(row)], dtype=np.int64)
        data = np.array([row[i] for row in rows for i in sorted(row)], dtype=np.float64)
        self.matrix = sparse.csr_array((data, indices, indptr), shape=(n, self.n_free))
        self._add_guards(owners)

    def _add_guards(self, owners: Sequence[Parameter]) -> None:
        """Have steps refused that take what follows several parameters out of its limits."""
        guards = make_guards(
            ((p, self._slots[id(p)])
             for p in owners if p.is_tied and p.period is None and p not in self._by_function),
            self.matrix,
            self.constants,
        )  # fmt: skip
        for guard in guards:
            for slot in guard.slots:
                # As for function ties: what the block gives, the matrix must not.
                self.matrix.data[self.matrix.indptr[slot] : self.matrix.indptr[slot + 1]] = 0.0
            self.constants[guard.slots] = 0.0
            self.blocks.append((guard, guard.slots))

    def _linear_rows(self, owner: Parameter, where: IntArray, rows: list[dict[int, float]]) -> None:
        affine: Affine = self._affine[owner]
        for component, slot in enumerate(where):
            self.constants[slot] = affine.offset.flat[component]
            for root, scale in affine.terms.items():
                c = float(scale.flat[component])
                at = root_component(root, component)
                if root.is_free:
                    i = self._index[root, at]
                    rows[slot][i] = rows[slot].get(i, 0.0) + c
                else:
                    value = root.stored
                    assert value is not None
                    self.constants[slot] += c * value.flat[at]


def _nearest_turn(x: float, mean: float, period: float | None) -> float:
    """`x` moved by whole periods to within half a one of `mean`."""
    return x if period is None else float(x - period * np.round((x - mean) / period))


def _refuse_unset(paths: Sequence[str]) -> None:
    if not paths:
        return
    shown = ", ".join(paths[:12]) + (f" and {len(paths) - 12} more" if len(paths) > 12 else "")
    raise InvalidInput(f"no value is set for {shown}; call model.initialize() or set them yourself")


def as_table(slot_map: SlotMap) -> dict[str, Any]:
    """Arguments of the core's ``set_parameters``."""
    return {
        "n_free": slot_map.n_free,
        "start": slot_map.start,
        "lower": slot_map.lower,
        "upper": slot_map.upper,
        "indptr": slot_map.matrix.indptr.astype(np.int64),
        "indices": slot_map.matrix.indices.astype(np.int64),
        "coefs": slot_map.matrix.data,
        "const": slot_map.constants,
        "prior_mean": slot_map.prior_mean,
        "prior_sigma": slot_map.prior_sigma,
        "functions": [
            (block, block.inputs.tolist(), where.tolist()) for block, where in slot_map.blocks
        ],
    }
