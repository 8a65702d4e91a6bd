# SPDX-License-Identifier: BSD-3-Clause
"""Compilation: parameters to slots, tiles, and the compiled scene."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from jointlight import _core, scene
from jointlight.errors import InvalidInput
from jointlight.image import TargetImage, TargetImageList
from jointlight.models import (
    Component,
    FlatSky,
    Gaussian,
    Group,
    Model,
    PointSource,
    Sersic,
    component_classes,
    joint,
)
from jointlight.parameters import Domain, Normal, Parameter, tie_polynomial
from jointlight.psf import gaussian_psf
from jointlight.scene import SlotMap, root_parameters
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image, make_list, values_for

pytestmark = EVERY_BACKEND

# Rows of finite differences agree with analytic ones to this; the specification asks for 1e-7.
DERIVATIVE_TOLERANCE = 1e-7


@pytest.fixture(scope="module")
def both() -> TargetImageList:
    return make_list()


@pytest.fixture(scope="module")
def r() -> TargetImage:
    return make_image()


def par(name: str, value: float, **options: Any) -> Parameter:
    return Parameter(name, value, **options)


def slot_map(*used: Parameter) -> SlotMap:
    named = {p.name: p for p in used}
    return SlotMap(named, used)


# --- slots ---------------------------------------------------------------------------------------


def test_equal_parameters_share_a_slot() -> None:
    a, b, c = par("a", 2.0), par("b", 0.0), par("c", 0.0)
    b.tie(a)
    c.tie(b)
    slots = slot_map(a, b, c)
    assert slots.n_slots == 1
    assert slots.n_free == 1
    assert slots.names == ["a"]
    np.testing.assert_array_equal(slots.slots_of(a), slots.slots_of(c))


def test_fixed_parameters_are_constants() -> None:
    a, b, c = par("a", 2.0, fixed=True), par("b", 3.0), par("c", 0.0)
    c.tie_linear([a, b], scales=[10.0, 1.0], offset=0.5)
    slots = slot_map(a, b, c)
    assert slots.names == ["b"]
    np.testing.assert_allclose(slots.values(np.array([3.0])), [2.0, 3.0, 23.5])
    np.testing.assert_allclose(slots.jacobian(np.array([3.0])).toarray(), [[0], [1], [1]])


def test_chain_of_linear_ties() -> None:
    a, b, c = par("a", 2.0), par("b", 0.0), par("c", 0.0)
    b.tie(a, scale=3.0, offset=1.0)
    c.tie(b, scale=-1.0)
    slots = slot_map(c)
    assert slots.names == ["a"]
    np.testing.assert_allclose(slots.values(np.array([5.0])), [-16.0])
    np.testing.assert_allclose(slots.matrix.toarray(), [[-3.0]])


def test_vectors() -> None:
    a = Parameter("center", (1.0, 2.0), shape=(2,))
    b = Parameter("other", None, shape=(2,))
    b.tie(a, offset=(0.5, -0.5))
    slots = slot_map(a, b)
    assert slots.names == ["center_x", "center_y"]
    np.testing.assert_allclose(slots.values(np.array([3.0, 4.0])), [3, 4, 3.5, 3.5])


def test_limits_of_tied_parameters_hold() -> None:
    n = par("n", 2.0, domain=Domain(0.3, 10.0))
    m = Parameter("m", None, domain=Domain(0.3, 10.0))
    m.tie(n, scale=2.0, offset=-1.0)
    slots = slot_map(n, m)
    np.testing.assert_allclose([slots.lower[0], slots.upper[0]], [0.65, 5.5])
    m.tie(n, scale=-1.0, offset=8.0)
    slots = slot_map(n, m)
    np.testing.assert_allclose([slots.lower[0], slots.upper[0]], [0.3, 7.7])


def test_contradicting_limits() -> None:
    a = par("a", 2.0, limits=(1.0, 3.0))
    b = Parameter("b", None, limits=(10.0, 20.0))
    b.tie(a)
    with pytest.raises(InvalidInput, match="b follows a and starts at 2"):
        slot_map(a, b)


def test_priors_of_tied_parameters_go_to_the_root() -> None:
    a = par("a", 2.0, prior=Normal(1.0, 0.5))
    b = Parameter("b", None, prior=Normal(7.0, 2.0))
    b.tie(a, scale=2.0, offset=1.0)
    slots = slot_map(a, b)
    # (v - 1)^2 / 0.5^2 + (2 v + 1 - 7)^2 / 2^2 = (v - 1)^2 / 0.25 + (v - 3)^2 / 1 + constant
    w = np.array([1 / 0.25, 1.0])
    assert slots.prior_mean[0] == pytest.approx(np.sum(w * [1, 3]) / w.sum())
    assert slots.prior_sigma[0] == pytest.approx(w.sum() ** -0.5)


def test_prior_of_a_sum_is_refused() -> None:
    a, b = par("a", 1.0), par("b", 1.0)
    c = Parameter("c", None, prior=Normal(0, 1))
    c.tie_linear([a, b], scales=[1, 1])
    with pytest.raises(InvalidInput, match="c has a prior but is tied"):
        slot_map(a, b, c)


def test_functions_become_blocks() -> None:
    a, b = par("a", 2.0), par("b", 3.0)
    held = par("held", 5.0, fixed=True)
    f, g, h, alone = (Parameter(name) for name in ("f", "g", "h", "alone"))
    f.tie(lambda x, y: x * y**2, [a, held])
    g.tie(lambda x, y: x + np.sin(y), [f, b])  # a function of a function
    h.tie(g, scale=2.0, offset=1.0)  # linear in a function
    alone.tie(lambda x: x**2, [b])
    slots = slot_map(f, g, h, alone, b)
    assert slots.names == ["a", "b"]
    assert len(slots.blocks) == 2
    v = np.array([1.5, 0.7])
    fv = 1.5 * 25
    gv = fv + np.sin(0.7)
    np.testing.assert_allclose(slots.values(v), [fv, gv, 2 * gv + 1, 0.49, 0.7])
    jacobian = [[25, 0], [25, np.cos(0.7)], [50, 2 * np.cos(0.7)], [0, 1.4], [0, 1]]
    np.testing.assert_allclose(slots.jacobian(v).toarray(), jacobian, rtol=1e-7, atol=1e-8)
    table = scene.slots.as_table(slots)
    for block, inputs, outputs in table["functions"]:
        values, gradient = block(v[inputs])
        assert values.shape == (len(outputs),)
        assert gradient.shape == (len(outputs), len(inputs))
        # The core reads a row's pattern to know where derivatives go.
        for slot in outputs:
            row = table["indices"][table["indptr"][slot] : table["indptr"][slot + 1]]
            assert sorted(inputs) == list(row)


def test_a_function_of_fixed_parameters_is_a_constant() -> None:
    a, f = par("a", 2.0, fixed=True), Parameter("f")
    f.tie(lambda x: x**3, [a])
    slots = slot_map(f)
    assert slots.blocks == []
    np.testing.assert_allclose(slots.values(np.zeros(0)), [8.0])


def test_a_block_that_fails_gives_nan_and_keeps_the_error() -> None:
    a, f = par("a", 2.0), Parameter("f")

    def picky(x: float) -> float:
        if x > 2.5:
            raise RuntimeError("too big")
        return x

    f.tie(picky, [a])
    ((block, _),) = slot_map(f).blocks
    assert np.isnan(block([3.0])[0]).all()
    assert "too big" in str(block.last_error)
    assert np.isfinite(block([2.0])[0]).all()


def test_roots_are_named_once() -> None:
    a, b, c = par("x", 1.0), par("x", 1.0), Parameter("c")
    c.tie_linear([a, b], scales=[1, 1])
    roots = root_parameters({"m/c": c})
    assert list(roots) == ["x", "x (2)"]
    assert slot_map(c).names == ["x", "x (2)"]


# --- tiles ---------------------------------------------------------------------------------------


class Recorder:
    """Stands for the core's builder and keeps what it is given."""

    def __init__(self) -> None:
        self.images: list[tuple[Any, ...]] = []
        self.psfs: list[tuple[Any, ...]] = []
        self.tiles: list[tuple[Any, ...]] = []
        self.parameters: dict[str, Any] = {}
        self.options: dict[str, Any] = {}

    def _add(self, to: list[tuple[Any, ...]], arguments: tuple[Any, ...]) -> int:
        to.append(arguments)
        return len(to) - 1

    def add_image(self, *arguments: Any) -> int:
        return self._add(self.images, arguments)

    def add_psf_array(self, *arguments: Any) -> int:
        return self._add(self.psfs, arguments)

    def add_psf_analytic(self, *arguments: Any) -> int:
        return self._add(self.psfs, arguments)

    def add_tile(self, *arguments: Any) -> int:
        return self._add(self.tiles, arguments)

    def set_parameters(self, **arguments: Any) -> None:
        self.parameters = arguments

    def set_precision(self, name: str) -> None:
        self.precision = name

    def build(self, **options: Any) -> Recorder:
        self.options = options
        return self


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    made = Recorder()
    monkeypatch.setattr(_core, "SceneBuilder", lambda: made)
    return made


def test_what_the_core_is_given(
    both: TargetImageList, recorder: Recorder, every_backend: str
) -> None:
    galaxy = joint("sersic galaxy", target=both, name="g", **values_for(Sersic))
    star = PointSource(target=both[0], name="s", center=(3.0, 2.0), flux=10.0)
    sky = joint("flat sky", target=both, name="sky", I0=1.0)
    model = Group([galaxy, star, sky], target=both, name="all")
    compiled = scene.compile(model, n_threads=1, tolerance=1e-5)
    assert recorder.options == {"n_threads": 1, "tolerance": 1e-5, "backend": every_backend}
    assert len(recorder.images) == 2
    assert len(recorder.psfs) == 2  # one an image, shared by galaxy and star
    assert [tile[0] for tile in recorder.tiles] == ["sersic"] * 2 + ["point"] + ["flat_sky"] * 2
    assert [tile[1] for tile in recorder.tiles] == [0, 1, 0, 0, 1]
    assert [tile[2] for tile in recorder.tiles] == [0, 1, 0, -1, -1]
    assert [tile[-1] for tile in recorder.tiles] == [0, 0, 1, 2, 2]
    r_slots, w_slots = recorder.tiles[0][8], recorder.tiles[1][8]
    np.testing.assert_array_equal(r_slots[:6], w_slots[:6])
    assert r_slots[6] != w_slots[6]
    assert recorder.parameters["n_free"] == len(compiled.names) == 7 + 1 + 3 + 2
    first = compiled.tiles[0]
    assert first.slot_names == ("center_x", "center_y", "q", "PA", "Re", "n", "Ie")
    assert first.map_error_px < 1e-3
    x, y = both[0].plane_to_pixel(0.4, -0.3)
    np.testing.assert_allclose(recorder.tiles[0][4], (x, y), atol=1e-9)
    np.testing.assert_allclose(recorder.tiles[0][5], (0.4, -0.3), atol=1e-9)


def test_weights_are_zero_outside_the_windows(r: TargetImage, recorder: Recorder) -> None:
    a = Gaussian(target=r, window=((2, 20), (3, 25)), **values_for(Gaussian))
    b = Gaussian(target=r, window=((15, 40), (20, 45)), **values_for(Gaussian))
    scene.compile(Group([a, b]))
    weight = recorder.images[0][1]
    inside = np.zeros(r.shape, dtype=bool)
    inside[3:25, 2:20] = inside[20:45, 15:40] = True
    np.testing.assert_array_equal(weight > 0, inside)
    scene.compile(Group([a, FlatSky(target=r, I0=0.0)]))
    np.testing.assert_array_equal(recorder.images[1][1], r.weight)


def test_threads_from_the_environment(
    r: TargetImage, recorder: Recorder, every_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Gaussian(target=r, **values_for(Gaussian))
    monkeypatch.delenv("JOINTLIGHT_NUM_THREADS", raising=False)
    scene.compile(model)
    assert recorder.options == {"n_threads": 0, "backend": every_backend}
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", "3")
    scene.compile(model)
    assert recorder.options == {"n_threads": 3, "backend": every_backend}
    monkeypatch.setenv("JOINTLIGHT_NUM_THREADS", "many")
    with pytest.raises(InvalidInput, match="'many'"):
        scene.compile(model)


def test_a_varying_psf_is_taken_where_the_source_is(recorder: Recorder) -> None:
    seen: list[tuple[float, float]] = []

    def psf(x: float, y: float) -> np.ndarray:
        seen.append((x, y))
        return np.outer([1, 2 + x / 100, 1], [1, 2, 1])

    image = make_image(psf=psf)
    seen.clear()
    scene.compile(Gaussian(target=image, **values_for(Gaussian)))
    np.testing.assert_allclose(seen[-1], image.plane_to_pixel(0.4, -0.3), atol=1e-9)


def test_one_image_of_several(both: TargetImageList, recorder: Recorder) -> None:
    model = joint("sersic galaxy", target=both, **values_for(Sersic))
    part = scene.compile(model, images=[both[1]])
    assert part.images == (both[1],)
    assert len(recorder.tiles) == 1
    assert "W1/Ie" in part.names
    assert "r/Ie" not in part.names


# --- the compiled scene --------------------------------------------------------------------------


@pytest.mark.parametrize("psf", [True, False], ids=["psf", "no psf"])
@pytest.mark.parametrize(
    ("cls", "amplitude"),
    [
        (cls, amplitude)
        for cls in component_classes()
        if cls.__module__.startswith("jointlight.")
        for amplitude in (("brightness", "flux") if cls.has_flux else (None,))
    ],
)
def test_derivatives(cls: type[Component], amplitude: str | None, psf: bool) -> None:
    if cls.needs_psf and not psf:
        pytest.skip("a point source has no image without a PSF")
    image = make_image(rotation=0.3, fwhm=1.2)
    model = cls(
        target=image,
        amplitude=amplitude,
        psf_convolve=psf,
        **values_for(cls, amplitude or "brightness"),
    )
    report = model.check_jacobian(tolerance=DERIVATIVE_TOLERANCE)
    assert report, str(report)
    assert report.errors.shape == (sum(p.size for p in model.parameters.values()), 1)


def test_derivatives_with_all_kinds_of_ties(both: TargetImageList) -> None:
    a = joint("sersic galaxy", target=both, name="a", **values_for(Sersic))
    b = Sersic(target=both[0], name="b", center=(-3.0, 2.0), q=0.5, PA=10.0, n=1.0, Ie=5.0)
    b["Re"].tie(a["Re"], scale=0.5, offset=0.3)
    b["n"].untie()
    b["n"].tie(lambda n, q: 1.0 + 0.2 * n * q, [a["n"], a["q"]])
    a["W1/center"].tie(lambda c, n: [c[0] + 0.1 * n, c[1]], [a["center"], a["n"]])
    report = Group([a, b], target=both).check_jacobian(tolerance=DERIVATIVE_TOLERANCE)
    assert report, str(report)


def test_jacobian_report_finds_a_wrong_derivative(r: TargetImage) -> None:
    model = Gaussian(target=r, **values_for(Gaussian))
    source = Parameter("source", 1.5)
    model["sigma"].tie(lambda s: s, [source], jacobian=lambda s: 1.01)
    report = model.check_jacobian()
    assert not report
    assert report.worst == pytest.approx(0.01, rel=1e-3)
    assert "NOT within" in str(report)
    assert "source" in str(report)
    part = model.check_jacobian(parameters=["q"])
    assert part
    assert part.names == ("q",)
    with pytest.raises(InvalidInput, match="no free parameter is named 'Q'"):
        model.check_jacobian(parameters=["Q"])


def test_derivatives_at_a_limit_stay_inside(r: TargetImage) -> None:
    values = {**values_for(Sersic), "n": 10.0, "q": 1.0}
    report = Sersic(target=r, **values).check_jacobian(parameters=["q", "n"])
    assert report, str(report)


def test_linearize_is_the_sum_over_pixels(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, **values_for(Sersic))
    model["Re"].prior = Normal(2.5, 0.5)
    compiled = model.compile()
    chi2, gradient, hessian = compiled.linearize()
    assert chi2 == pytest.approx(compiled.chi2(), rel=1e-12)
    expected_g, expected_h = np.zeros(compiled.n_free), np.zeros((compiled.n_free,) * 2)
    expected = ((2.0 - 2.5) / 0.5) ** 2
    re = compiled.names.index("Re")
    expected_g[re] += (2.0 - 2.5) / 0.5**2
    expected_h[re, re] += 1 / 0.5**2
    for image in both:
        j = compiled.jacobian(image).reshape(compiled.n_free, -1)
        w = image.weight.ravel()
        residual = (compiled.render(image) - image.data).ravel()
        expected += float(w @ residual**2)
        expected_g += j @ (w * residual)
        expected_h += (j * w) @ j.T
    assert chi2 == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(
        gradient, expected_g, rtol=1e-8, atol=1e-8 * np.abs(expected_g).max()
    )
    np.testing.assert_allclose(
        hessian, expected_h, rtol=1e-8, atol=1e-10 * np.abs(expected_h).max()
    )


def test_slots_are_what_is_drawn(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, **values_for(Sersic))
    compiled = model.compile()
    v = compiled.v0
    v[compiled.names.index("n")] = 3.0
    tile = compiled.tiles[1]
    values = dict(zip(tile.slot_names, compiled.slot_values(v)[tile.slots], strict=True))
    assert values["n"] == 3.0
    assert values["Ie"] == 20.0
    jacobian = compiled.slot_jacobian(v)
    assert jacobian.shape == (compiled.slots.n_slots, compiled.n_free)
    np.testing.assert_allclose(compiled.render_tile(tile, v), compiled.render("W1", v))


def test_assign_writes_values_and_errors(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, **values_for(Sersic))
    model["W1/Re"].tie(model["Re"], scale=2.0)
    model["W1/n"].tie(lambda n, q: n * q, [model["n"], model["q"]])
    model["r/Ie"].fixed = True
    compiled = model.compile()
    names = compiled.names
    v = compiled.v0
    v[names.index("PA")] = -30.0
    v[names.index("Re")] = 2.5
    rng = np.random.default_rng(1)
    root = rng.normal(size=(len(v), len(v)))
    covariance = root @ root.T * 1e-4
    compiled.assign(v, covariance)
    error = dict(zip(names, np.sqrt(np.diag(covariance)), strict=True))
    assert model["PA"].value == pytest.approx(150.0)
    assert model["Re"].uncertainty == pytest.approx(error["Re"])
    np.testing.assert_allclose(model["center"].uncertainty, [error["center_x"], error["center_y"]])
    assert model["W1/Re"].value == 5.0
    assert model["W1/Re"].uncertainty == pytest.approx(2 * error["Re"])
    assert model["W1/q"].uncertainty == pytest.approx(error["q"])
    n, q = names.index("n"), names.index("q")
    row = np.array([v[q], v[n]])
    expected = np.sqrt(row @ covariance[np.ix_([n, q], [n, q])] @ row)
    assert model["W1/n"].uncertainty == pytest.approx(expected, rel=1e-6)
    assert model["r/Ie"].uncertainty is None
    np.testing.assert_array_equal(compiled.v, v)
    compiled.assign(v)
    assert model["Re"].uncertainty is None
    assert model["W1/Re"].uncertainty is None


def test_assign_with_parameters_at_a_limit(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, **values_for(Sersic))
    compiled = model.compile()
    covariance = np.eye(compiled.n_free)
    q = compiled.names.index("q")
    covariance[q, :] = covariance[:, q] = np.nan
    at_bound = np.arange(compiled.n_free) == q
    compiled.assign(compiled.v0, covariance, at_bound=at_bound)
    assert np.isnan(model["q"].uncertainty)
    assert np.isnan(model["W1/q"].uncertainty)
    assert model["Re"].uncertainty == 1.0
    with pytest.raises(InvalidInput, match="covariance has shape"):
        compiled.assign(compiled.v0, np.eye(2))


def test_fit_of_a_noise_free_image_through_the_core(both: TargetImageList) -> None:
    truth = joint("sersic galaxy", target=both, name="t", **values_for(Sersic))
    images = TargetImageList(
        [
            image.copy(data=drawn, name=f"{image.name} made")
            for image, drawn in zip(both, truth.images(), strict=True)
        ]
    )
    start = {**values_for(Sersic), "Re": 1.5, "n": 1.2, "q": 0.8}
    model = joint("sersic galaxy", target=images, name="m", **start)
    compiled = model.compile()
    outcome = compiled.fit()
    assert outcome["chi2"] < 1e-3
    compiled.assign(outcome["v"], outcome["covariance"])
    assert model["Re"].value == pytest.approx(2.0, rel=1e-4)
    assert model["W1 made/n"].value == pytest.approx(2.0, rel=1e-4)
    assert model["n"].uncertainty > 0.0


def test_fit_with_a_function_that_fails_on_the_way(r: TargetImage) -> None:
    truth = Gaussian(target=r, **values_for(Gaussian))
    image = r.copy(data=truth.image(), name="made")
    model = Gaussian(target=image, **{**values_for(Gaussian), "sigma": None})
    size = Parameter("size", 1.0)

    def picky(s: float) -> float:
        if s > 1.2:
            raise RuntimeError("no further")
        return s

    model["sigma"].tie(picky, [size])
    compiled = model.compile()
    outcome = compiled.fit()
    assert np.isfinite(outcome["chi2"])
    assert outcome["v"][compiled.names.index("size")] <= 1.2
    assert any("no further" in str(error) for error in compiled.tie_errors())


def test_everything_fixed_can_be_drawn_and_fitted(r: TargetImage) -> None:
    model = Gaussian(target=r, **values_for(Gaussian))
    for parameter in model.parameters.values():
        parameter.fixed = True
    compiled = model.compile()
    assert compiled.n_free == 0
    assert np.isfinite(compiled.chi2())
    assert compiled.fit()["status"] == "no_free_parameters"
    assert model.check_jacobian()
    compiled.assign([])


def test_polynomial_ties_compile(both: TargetImageList) -> None:
    model = joint("sersic galaxy", target=both, per_image=["Ie", "Re"], **values_for(Sersic))
    tie_polynomial(list(model["Re"].values()), [1.0, 2.0], degree=1)
    report = model.check_jacobian(tolerance=DERIVATIVE_TOLERANCE)
    assert report, str(report)
    assert "polynomial.Re_c1" in report.names


def test_indices_and_text(both: TargetImageList) -> None:
    compiled = joint("sersic galaxy", target=both, **values_for(Sersic)).compile()
    assert compiled.image_index(both[1]) == compiled.image_index("W1") == 1
    for wrong in ("w2", 5, make_image("else")):
        with pytest.raises(InvalidInput):
            compiled.render(wrong)
    with pytest.raises(InvalidInput, match=r"shape \(3,\), expected \(8,\)"):
        compiled.chi2([1, 2, 3])
    assert "2 tiles on 2 images, 8 free" in repr(compiled)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(compiled)


def test_many_components_compile_quickly(r: TargetImage) -> None:
    window = ((0, 12), (0, 12))
    parts = [
        Gaussian(target=r, window=window, name=f"g{k}", **values_for(Gaussian)) for k in range(300)
    ]
    compiled = Group(parts).compile(n_threads=1)
    assert compiled.n_free == 300 * 6
    assert len(compiled.sources) == 300


def test_model_type_of_a_scene_member() -> None:
    assert isinstance(Model("gaussian", target=make_image()), Component)


# --- cyclic parameters ---------------------------------------------------------------------------


def pa(value: float, name: str = "PA", **options: Any) -> Parameter:
    return par(name, value, unit="deg", period=180.0, **options)


def test_a_period_is_taken_off_only_where_nothing_changes() -> None:
    root, shifted = pa(10.0), pa(0.0, "shifted")
    shifted.tie(root, offset=30.0)
    assert slot_map(root, shifted).wrapped(np.array([-20.0])) == 160.0
    for scale in (0.5, -1.0, 2.0):
        shifted.tie(root, scale=scale)
        assert slot_map(root, shifted).wrapped(np.array([-20.0])) == -20.0
    shifted.tie(lambda x: 0.5 * x, [root])
    assert slot_map(root, shifted).wrapped(np.array([-20.0])) == -20.0
    other = par("other", 1.0)
    other.tie(root)
    assert slot_map(root, other).wrapped(np.array([-20.0])) == -20.0


def test_a_fit_of_scaled_angles_keeps_its_model(r: TargetImage) -> None:
    a, b = (Sersic(target=r, name=name, **values_for(Sersic)) for name in "ab")
    a["PA"].value = 400.0
    b["PA"].tie(a["PA"], scale=0.5)
    group = Group([a, b])
    compiled = group.compile()
    before = compiled.chi2()
    compiled.assign(compiled.v0)
    assert a["PA"].value == 400.0
    assert group.chi2() == pytest.approx(before, rel=1e-12)
    b["PA"].tie(a["PA"], offset=0.5)
    compiled = group.compile()
    before = compiled.chi2()
    compiled.assign(compiled.v0)
    assert a["PA"].value == pytest.approx(40.0)
    assert group.chi2() == pytest.approx(before, rel=1e-12)


def test_priors_on_angles_know_the_period() -> None:
    one = slot_map(pa(175.0, prior=Normal(2.0, 5.0)))
    np.testing.assert_allclose((one.start, one.prior_mean), ([-5.0], [2.0]))
    assert one.wrapped(one.start) == 175.0
    assert slot_map(pa(5.0, prior=Normal(530.0, 5.0))).start == 545.0
    # Priors of parameters that are equal: means on either side of the period belong together.
    root, twin = pa(1.0, prior=Normal(179.0, 1.0)), pa(0.0, "twin", prior=Normal(1.0, 1.0))
    twin.tie(root)
    assert np.mod(slot_map(root, twin).prior_mean, 180.0) == pytest.approx(0.0, abs=1e-9)
    # A parameter that is not cyclic here is left alone.
    twin.tie(root, scale=0.5)
    twin.prior = None
    root.prior = Normal(179.0, 1.0)
    assert slot_map(root, twin).start == 1.0


def test_the_prior_of_an_angle_in_chi2(r: TargetImage) -> None:
    model = Sersic(target=r, name="it", **{**values_for(Sersic), "PA": 178.0})
    plain = model.chi2()
    for mean in (178.0, -2.0, 358.0):
        model["PA"].prior = Normal(mean, 1.0)
        assert model.chi2() == pytest.approx(plain, abs=1e-6)
    model["PA"].prior = Normal(2.0, 1.0)
    assert model.chi2() == pytest.approx(plain + 16.0, abs=1e-6)


def test_limits_as_wide_as_the_period_do_not_limit() -> None:
    for limits in ((0, 180), (-90, 90), (0, None), (-500, 500)):
        angles = slot_map(pa(10.0, limits=limits))
        assert (angles.lower, angles.upper) == (-np.inf, np.inf)
        assert angles.wrapped(np.array([-350.0])) == 10.0
    assert slot_map(pa(10.0, limits=(-90, 90))).wrapped(np.array([135.0])) == -45.0
    narrow = slot_map(pa(10.0, limits=(0, 179)))
    assert (narrow.lower, narrow.upper) == (0.0, 179.0)
    # Limits of what follows it hold modulo the period.
    root, twin = pa(170.0), pa(0.0, "twin", limits=(-30, 30))
    twin.tie(root)
    assert slot_map(root, twin).start == -10.0


@pytest.mark.parametrize("zero", [0, 0.0, np.float32(0.0), np.int64(0)])
def test_no_tolerance_is_one_box(zero: Any) -> None:
    image = TargetImage(
        np.zeros((301, 301)),
        pixelscale=1.0,
        variance=1.0,
        psf=gaussian_psf(fwhm=3.0, pixelscale=1.0),
    )
    model = Sersic(
        target=image, center=(0.2, 0.1), q=0.7, PA=20.0, n=2.0, Re=20.0, Ie=1.0, name="galaxy"
    )
    parts, whole = model.compile(), model.compile(tolerance=zero)
    assert parts.describe()["tiles"][0]["box"][0] < 301 <= whole.describe()["tiles"][0]["box"][0]
