# SPDX-License-Identifier: BSD-3-Clause
"""Parameters: values, units, limits, priors and ties."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from jointlight.errors import InvalidInput
from jointlight.parameters import (
    Domain,
    Normal,
    Parameter,
    dependency_order,
    resolve_affine,
    tie_polynomial,
)


def re(value: Any = None, **options: Any) -> Parameter:
    return Parameter("Re", value, unit="arcsec", domain=Domain(0.0, np.inf, True), **options)


def center(value: Any = None) -> Parameter:
    return Parameter("center", value, unit="arcsec", shape=(2,))


def square(x: float) -> float:
    return x * x


# --- values --------------------------------------------------------------------------------------


def test_value_is_a_float_and_a_vector_a_read_only_array() -> None:
    p = re(2)
    assert p.value == 2.0
    assert type(p.value) is float
    c = center([1, 2])
    assert c.value.shape == (2,)
    with pytest.raises(ValueError, match="read-only"):
        c.value[0] = 3.0
    assert c.component_names == ("center_x", "center_y")
    assert p.component_names == ("Re",)


def test_unset_until_given() -> None:
    p = re()
    assert p.value is None
    assert p.quantity is None
    p.value = 1.0
    p.value = None
    assert p.value is None


@pytest.mark.parametrize("value", [3.0 * u.arcsec, 0.05 * u.arcmin, np.float32(3.0), np.array(3)])
def test_units_are_converted(value: Any) -> None:
    assert re(value).value == pytest.approx(3.0, rel=1e-12)


def test_vector_of_quantities() -> None:
    c = center([1 * u.arcmin, 2 * u.arcsec])
    np.testing.assert_allclose(c.value, [60.0, 2.0])
    assert c.quantity is not None
    assert c.quantity.unit == u.arcsec


def test_setting_a_value_forgets_the_uncertainty() -> None:
    p = re(3.0)
    p.uncertainty = 0.1
    assert p.uncertainty == 0.1
    p.value = 4.0
    assert p.uncertainty is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: re(np.nan), ["Re", "nan", "finite"]),
        (lambda: re(np.inf), ["Re", "inf", "finite"]),
        (lambda: re("big"), ["Re", "'big'", "number"]),
        (lambda: re([1.0, 2.0]), ["Re", "(2,)", "expected ()"]),
        (lambda: re(-1.0), ["Re", "-1.0", "(0, inf)"]),
        (lambda: re(0.0), ["Re", "0.0", "(0, inf)"]),
        (lambda: re(5.0, limits=(1, 3)), ["Re", "5.0", "(1.0, 3.0)"]),
        (lambda: re(3.0 * u.kg), ["Re", "kg", "arcsec"]),
        (lambda: center(3.0), ["center", "expected (2,)"]),
        (lambda: center((1.0, np.nan)), ["center", "finite"]),
        (lambda: re(1.0, limits=(3, 1)), ["limits", "(3, 1)"]),
        (lambda: re(1.0, limits=(1, 1)), ["limits", "fixed"]),
        (lambda: re(1.0, limits=5), ["limits", "pair"]),
        (lambda: re(1.0, limits=(0, "x")), ["limit", "'x'"]),
        (lambda: re(1.0, limits=(0, np.nan)), ["limit", "nan"]),
        (lambda: re(1.0, limits=(-2, 5)), ["limits", "(-2, 5)", "(0, inf)"]),
        (lambda: re(1.0, fixed="no"), ["fixed", "'no'"]),
        (lambda: re(1.0, prior=(1, 2)), ["prior", "Normal"]),
        (lambda: re(1.0, prior=Normal((1, 2), 3)), ["prior", "one number"]),
        (lambda: Normal(1.0, 0.0), ["sigma", "0.0"]),
        (lambda: Normal(np.nan, 1.0), ["mean", "nan"]),
        (lambda: re(1.0).configure({"vlaue": 2}), ["'vlaue'", "Did you mean 'value'"]),
        (lambda: re(lambda: 3.0), ["Re", ".tie(function, [inputs])"]),
    ],
)
def test_bad_values_are_refused_by_name(make: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_limits_that_exclude_the_value_are_refused_and_change_nothing() -> None:
    p = re(2.0)
    with pytest.raises(InvalidInput, match=r"\(3, 5\) exclude its value 2\.0"):
        p.limits = (3, 5)
    assert p.limits == (0.0, None)
    p.limits = (1, None)
    assert p.limits == (1.0, None)
    p.limits = None
    assert p.limits == (0.0, None)


def test_limits_of_a_vector() -> None:
    c = center((0.0, 0.0))
    assert c.limits == (None, None)
    c.limits = ((-1, -2), (1, None))
    low, high = c.bounds
    np.testing.assert_array_equal(low, [-1, -2])
    np.testing.assert_array_equal(high, [1, np.inf])
    with pytest.raises(InvalidInput, match="outside its limits"):
        c.value = (0.0, -3.0)


def test_a_cyclic_value_moves_by_periods_into_its_limits() -> None:
    pa = Parameter("PA", 170.0, unit="deg", period=180.0)
    pa.limits = (-30, 30)
    assert pa.value == pytest.approx(-10.0)
    pa.value = 195.0
    assert pa.value == pytest.approx(15.0)
    with pytest.raises(InvalidInput, match="limits"):
        pa.value = 90.0
    free = Parameter("PA", 200.0, unit="deg", period=180.0)
    assert free.value == 200.0
    free.set_fitted(np.array(-20.0), None)  # the fit has chosen the turn
    assert free.value == -20.0


def test_configure_sets_limits_before_the_value() -> None:
    p = re(2.0, limits=(1, 3))
    p.configure({"value": 2.5, "limits": (2, 4), "fixed": True, "prior": Normal(2, 1)})
    assert (p.value, p.limits, p.fixed) == (2.5, (2.0, 4.0), True)
    assert p.prior == Normal(2.0, 1.0)


# --- ties ----------------------------------------------------------------------------------------


def test_assigning_a_parameter_ties() -> None:
    a, b = re(2.0), re()
    b.value = a
    a.value = 5.0
    assert b.value == 5.0
    assert b.is_tied
    assert not b.is_free
    with pytest.raises(InvalidInput, match="untie"):
        b.value = 3.0
    with pytest.raises(InvalidInput, match="untie"):
        b.fixed = True
    b.untie()
    a.value = 1.0
    assert b.value == 5.0
    assert b.is_free


def test_linear_ties_compose() -> None:
    a, b, c = re(2.0), re(), re()
    b.tie(a, scale=3.0, offset=1.0)
    c.tie(b, scale=0.5, offset=-1.0)
    assert c.value == pytest.approx(0.5 * (3 * 2 + 1) - 1)
    affine = resolve_affine(dependency_order([c]))[c]
    assert affine.single is not None
    root, scale, offset = affine.single
    assert root is a
    assert (float(scale), float(offset)) == (1.5, -0.5)


def test_vector_offset() -> None:
    a, b = center((1.0, 2.0)), center()
    b.tie(a, offset=(0.1, -0.1))
    np.testing.assert_allclose(b.value, [1.1, 1.9])


def test_a_very_long_chain_works() -> None:
    chain = [re(1.0)]
    for _ in range(3000):
        p = re()
        p.tie(chain[-1])
        chain.append(p)
    assert chain[-1].value == 1.0
    with pytest.raises(InvalidInput, match="circle"):
        chain[0].tie(chain[-1])


def test_function_tie() -> None:
    r, n, t = re(2.0), Parameter("n", 3.0), re()
    t.tie(lambda x, y: x * y**0.5, [r, n])
    assert t.value == pytest.approx(2 * 3**0.5)
    r.value = None
    assert t.value is None


def loop_names() -> tuple[Parameter, Parameter, Parameter]:
    parts = tuple(re(1.0) for _ in range(3))
    for p, owner in zip(parts, "abc", strict=True):
        p.owner = owner
    return parts  # type: ignore[return-value]


def test_loops_are_named() -> None:
    a, b, c = loop_names()
    b.tie(a)
    c.tie(square, [b])
    with pytest.raises(InvalidInput, match=r"circle: a\.Re -> .*b\.Re.* -> a\.Re") as caught:
        a.tie(c)
    assert "c.Re" in str(caught.value)
    assert a.value == 1.0
    with pytest.raises(InvalidInput, match=r"a\.Re -> a\.Re"):
        a.tie(a)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda a, b: a.tie(3.0), ["cannot tie to 3.0"]),
        (lambda a, b: a.tie(square), ["inputs = None"]),
        (lambda a, b: a.tie(square, [3.0]), ["inputs = [3.0]"]),
        (lambda a, b: a.tie(b, [b]), ["function only"]),
        (lambda a, b: a.tie(square, [b], scale=2), ["inside the function"]),
        (lambda a, b: a.tie(square, [b], jacobian=3), ["jacobian = 3"]),
        (lambda a, b: a.tie(b, scale=np.nan), ["scale", "finite"]),
        (lambda a, b: a.tie(b, scale=(1, 2)), ["scale", "(1, 2)"]),
        (lambda a, b: a.tie(center((0, 0))), ["shape (2,)", "function"]),
    ],
)
def test_bad_ties_are_refused_and_change_nothing(make: Any, words: list[str]) -> None:
    a, b = re(1.0), re(2.0)
    with pytest.raises(InvalidInput) as caught:
        make(a, b)
    assert all(word in str(caught.value) for word in words)
    assert not a.is_tied
    assert a.value == 1.0


def test_what_a_function_does_wrong_is_told() -> None:
    a, b = re(2.0), re()
    a.owner, b.owner = "one", "two"
    b.tie(lambda x: 1.0 / (x - 2.0), [a])
    with pytest.raises(InvalidInput, match=r"two\.Re raised ZeroDivisionError.*one\.Re = 2"):
        _ = b.value
    b.tie(lambda x: [x, x], [a])
    with pytest.raises(InvalidInput, match=r"shape \(2,\); expected shape \(\)"):
        _ = b.value
    assert "invalid" in repr(b)


def derivative(p: Parameter) -> np.ndarray:
    tie = p.current_tie
    assert tie is not None
    return tie.derivative([np.asarray(q.array) for q in tie.inputs])


@given(x=st.floats(0.1, 50.0), y=st.floats(-3.0, 3.0))
def test_numerical_derivatives_of_functions(x: float, y: float) -> None:
    a, c, t = re(x), center((y, 1.0)), re()
    t.tie(lambda r, xy: r**1.3 * np.exp(xy[0]) + xy[1] ** 2, [a, c])
    expected = [1.3 * x**0.3 * np.exp(y), x**1.3 * np.exp(y), 2.0]
    np.testing.assert_allclose(derivative(t), [expected], rtol=1e-7, atol=1e-7)


def test_numerical_derivative_at_the_edge_of_the_domain_is_one_sided() -> None:
    a, t = Parameter("a", 0.0), re()
    t.tie(lambda x: 1.0 + np.sqrt(x) * x, [a])
    assert np.isfinite(derivative(t)).all()


@pytest.mark.parametrize(
    "jacobian",
    [
        lambda x, c: [1.0, [2.0, 3.0]],
        lambda x, c: np.array([[1.0, 2.0, 3.0]]),
        lambda x, c: [1, 2, 3],
    ],
)
def test_given_jacobian(jacobian: Any) -> None:
    a, c, t = re(1.0), center((1.0, 2.0)), re()
    t.tie(lambda x, xy: x + 2 * xy[0] + 3 * xy[1], [a, c], jacobian=jacobian)
    np.testing.assert_array_equal(derivative(t), [[1.0, 2.0, 3.0]])


def test_given_jacobian_of_the_wrong_shape() -> None:
    a, t = re(1.0), re()
    t.tie(square, [a], jacobian=lambda x: [1.0, 2.0])
    with pytest.raises(InvalidInput, match=r"jacobian.*\(2,\).*\(1, 1\)"):
        derivative(t)


# --- start values --------------------------------------------------------------------------------


def test_propose_fills_only_what_is_unset() -> None:
    p = re()
    assert p.propose(-5.0)
    assert p.value > 0.0
    assert not p.propose(7.0)
    q = re(limits=(1, 2))
    assert q.propose(30.0)
    assert q.value == 2.0
    small = re()
    small.propose(1e-5)
    assert small.value == 1e-5
    with pytest.raises(InvalidInput, match="finite"):
        re().propose(np.nan)


def test_propose_goes_through_linear_ties() -> None:
    a, b = re(), re()
    b.tie(a, scale=2.0, offset=1.0)
    assert b.propose(5.0)
    assert a.value == 2.0
    bands = [re() for _ in range(4)]
    coefficients = tie_polynomial(bands, [400.0, 500.0, 650.0, 800.0], degree=2)
    assert bands[2].propose(3.0)
    assert [c.value for c in coefficients] == [3.0, 0.0, 0.0]
    assert bands[0].value == 3.0
    f = re()
    g = re()
    f.tie(square, [g])
    assert not f.propose(4.0)


# --- polynomials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_polynomial_reproduces_one(degree: int) -> None:
    wavelengths = np.array([350.0, 480.0, 620.0, 900.0])
    truth = np.polynomial.Polynomial([3.0, -0.002, 1e-6][: degree + 1])
    bands = [re(float(truth(w))) for w in wavelengths]
    coefficients = tie_polynomial(bands, wavelengths * u.nm, degree=degree)
    assert len(coefficients) == degree + 1
    np.testing.assert_allclose([b.value for b in bands], truth(wavelengths), rtol=1e-12)
    assert all(b.is_tied for b in bands)
    assert all(c.is_free for c in coefficients)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([], [], 0), "0 parameters"),
        (([re(1.0), re(1.0)], [1.0], 0), "wavelengths"),
        (([re(1.0), re(1.0)], [1.0, np.nan], 0), "wavelengths"),
        (([re(1.0), re(1.0)], [1.0, 2.0], 2), "degree = 2"),
        (([re(1.0), re(1.0)], [1.0, 2.0], 0.5), "degree = 0.5"),
        (([re(1.0), re(1.0)], [1.0, 1.0], 1), "different wavelengths"),
        (([re(1.0), center((0, 0))], [1.0, 2.0], 1), "shape"),
    ],
)
def test_bad_polynomials(arguments: Any, words: str) -> None:
    parameters, wavelengths, degree = arguments
    with pytest.raises(InvalidInput, match=words):
        tie_polynomial(parameters, wavelengths, degree=degree)


def test_polynomial_refuses_tied_and_repeated() -> None:
    a, b = re(1.0), re(2.0)
    with pytest.raises(InvalidInput, match="twice"):
        tie_polynomial([a, a], [1, 2], degree=1)
    b.tie(a)
    with pytest.raises(InvalidInput, match="tied already"):
        tie_polynomial([a, b], [1, 2], degree=1)
    assert not a.is_tied


# --- copies and text -----------------------------------------------------------------------------


def test_copies_keep_ties_among_themselves() -> None:
    a, b = re(2.0), re()
    b.tie(a, scale=2.0)
    for twin_a, twin_b in (copy.deepcopy((a, b)), pickle.loads(pickle.dumps((a, b)))):
        twin_a.value = 7.0
        assert twin_b.value == 14.0
        assert b.value == 4.0


def test_function_ties_pickle_by_name() -> None:
    a, b = re(2.0), re()
    b.tie(square, [a])
    assert copy.deepcopy(b).value == 4.0
    assert pickle.loads(pickle.dumps(b)).value == 4.0


def test_text() -> None:
    a, b = re(2.0), re()
    a.owner = "r"
    a.uncertainty = 0.1
    assert repr(a) == "<Parameter r.Re = 2.0 ± 0.1 arcsec, free>"
    b.tie(a, scale=2.0, offset=1.0)
    assert b.state() == "= 2 * r.Re + 1"
    b.tie(square, [a])
    assert b.state() == "= square(r.Re)"
    assert float(a) == 2.0


# --- settings that would do nothing --------------------------------------------------------------


@pytest.mark.parametrize(
    ("attribute", "value", "hint"),
    [
        ("vary", False, r"\.fixed = True"),
        ("fix", True, "Did you mean 'fixed'"),
        ("limit", (1, 2), "Did you mean 'limits'"),
        ("tie", 3, r"method: call it, \.tie"),
    ],
)
def test_unknown_settings_are_refused(attribute: str, value: Any, hint: str) -> None:
    p = re(2.0)
    with pytest.raises(InvalidInput, match=hint):
        setattr(p, attribute, value)
    for twin in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        twin.fixed = True
        assert (twin.value, p.fixed) == (2.0, False)


def test_priors_with_units() -> None:
    p = re(2.0)
    p.prior = Normal(3 * u.arcmin, 0.01 * u.arcmin)
    assert p.prior is not None
    assert (p.prior.mean, p.prior.sigma) == (pytest.approx(180.0), pytest.approx(0.6))
    p.prior = Normal(3 * u.arcmin, 2.0)
    assert (p.prior.mean, p.prior.sigma) == (pytest.approx(180.0), 2.0)
    where = center((0.0, 0.0))
    where.prior = Normal((1 * u.arcmin, 2 * u.arcsec), 1.0)
    assert where.prior is not None
    assert where.prior.mean == pytest.approx((60.0, 2.0))
    with pytest.raises(InvalidInput, match=r"mean.*3.* s.*'arcsec'"):
        p.prior = Normal(3 * u.s, 1.0)
    for mean, sigma in (("a", 1), (None, 1), (1, "b"), ((1 * u.s, 2 * u.m), 1)):
        with pytest.raises(InvalidInput, match="must be a number"):
            Normal(mean, sigma)
    with pytest.raises(InvalidInput, match="positive"):
        Normal(1 * u.deg, -1 * u.deg)
