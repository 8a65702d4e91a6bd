# SPDX-License-Identifier: BSD-3-Clause
"""How a scene is put together is nothing to its fit: order, grouping, splitting, far sources."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

jl = pytest.importorskip("jointlight")

REFERENCE = (150.0, 2.0)  # degrees
# width and height in pixels, arcsec per pixel, rotation in degrees, FWHM in arcsec, noise
BANDS = {
    "a": (84, 60, 0.25, 0.0, 0.8, 1.0),
    "b": (54, 48, 0.40, 35.0, 1.2, 2.0),
    "c": (40, 33, 0.55, -70.0, 1.3, 3.0),
}
# x, y in arcsec, q, PA in degrees, Re in arcsec, n, fluxes; the first two are blended, the last
# one shares no pixel with them
GALAXIES = {
    "one": (-4.5, 0.3, 0.6, 30.0, 1.1, 1.3, (900.0, 1400.0, 2000.0)),
    "two": (-3.2, -1.2, 0.8, 110.0, 0.7, 2.2, (500.0, 900.0, 800.0)),
    "far": (6.3, 1.6, 0.5, 75.0, 0.9, 1.0, (700.0, 1000.0, 1500.0)),
}
REACH = 3.2  # arcsec from a galaxy's centre to the edges of its windows
SHARED = ("center", "q", "PA", "Re", "n")
LEAVES = tuple((name, band) for name in GALAXIES for band in BANDS)

few = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def wcs(band: str) -> WCS:
    width, height, scale, rotation, *_ = BANDS[band]
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = REFERENCE
    w.wcs.crpix = [(width + 1) / 2, (height + 1) / 2]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    w.wcs.cd = scale / 3600 * np.array([[c, -s], [s, c]]) @ np.diag([-1, 1])
    return w


def make_images(data: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        band: jl.TargetImage(
            data[band],
            wcs=wcs(band),
            variance=noise**2,
            psf=jl.gaussian_psf(fwhm=fwhm, pixelscale=scale),
            name=band,
            reference=REFERENCE,
        )
        for band, (_, _, scale, _, fwhm, noise) in BANDS.items()
    }


def window(image: Any, x: float, y: float) -> tuple:
    """Pixels within `REACH` of a plane position, clipped."""
    px, py = (float(c) for c in image.plane_to_pixel(x, y))
    reach = REACH / image.pixelscale
    height, width = image.shape
    return (
        (max(0, int(px - reach)), min(width, int(px + reach) + 1)),
        (max(0, int(py - reach)), min(height, int(py + reach) + 1)),
    )


def components(images: dict[str, Any], *, factor: float = 1.0) -> dict[tuple[str, str], Any]:
    """A component for each galaxy and image, structure tied to the one on the first image."""
    out = {}
    for (name, band), image in ((leaf, images[leaf[1]]) for leaf in LEAVES):
        x, y, q, pa, size, n, fluxes = GALAXIES[name]
        component = jl.Model(
            "sersic galaxy",
            target=image,
            window=window(image, x, y),
            amplitude="flux",
            name=f"{name} {band}",
            flux=fluxes[list(BANDS).index(band)] * factor,
        )
        if band == next(iter(BANDS)):
            shape = {"center": (x, y), "q": q, "PA": pa, "Re": size * factor, "n": n * factor}
            for key, value in shape.items():
                component[key].value = value
        else:
            component.tie(out[name, next(iter(BANDS))], only=SHARED)
        out[name, band] = component
    return out


@cache
def data() -> dict[str, np.ndarray]:
    """Images of the truth with noise."""
    rng = np.random.default_rng(8)
    empty = make_images({b: np.zeros((v[1], v[0])) for b, v in BANDS.items()})
    clean = jl.Group(list(components(empty).values()), name="truth")
    return {
        b: np.asarray(clean.image(image)) + rng.normal(0.0, BANDS[b][5], image.shape)
        for b, image in empty.items()
    }


def restart(parts: dict[tuple[str, str], Any]) -> None:
    """Give components the values they were made with."""
    fresh = components(make_images(data()), factor=1.2)
    for name, component in parts.items():
        for key, parameter in component.parameters.items():
            if parameter.is_free:
                parameter.value = fresh[name].parameters[key].value


def outcome(group: Any, parts: dict[tuple[str, str], Any]) -> dict[str, Any]:
    """Fit; chi2, and value and error of every parameter of the components that it holds."""
    # Tight, so that what is compared is where fits end and not when they stop.
    result = group.fit(verbose=0, ftol=1e-13, xtol=1e-10, gtol=1e-10)
    assert result.success, result.message
    held = {id(leaf) for leaf in group.leaves()}
    values, errors = {}, {}
    for (name, band), component in parts.items():
        if id(component) not in held:
            continue
        for key, parameter in component.parameters.items():
            values[name, band, key] = np.array(parameter.value, float)
            errors[name, band, key] = np.array(parameter.uncertainty, float)
    return {"chi2": result.chi2, "dof": result.dof, "values": values, "errors": errors}


def same(found: dict[str, Any], expected: dict[str, Any], sigmas: float = 2e-5) -> None:
    """Equal but for rounding.

    A chi2 of 2800 is known to 1e-13 of itself: nearer than sqrt(2.8e-10) sigma of its minimum
    nothing tells one point from another.
    """
    for key, value in found["values"].items():
        sigma = expected["errors"][key]
        assert np.all(np.isfinite(sigma)), key
        assert np.all(np.abs(value - expected["values"][key]) <= sigmas * sigma), key
        assert np.allclose(found["errors"][key], sigma, rtol=1e-5), key


def by_object(parts: dict[tuple[str, str], Any], names: Any = GALAXIES) -> Any:
    """The preferred way: a group per object, in all images."""
    return jl.Group(
        [jl.Group([parts[name, band] for band in BANDS], name=name) for name in names],
        name="by object",
    )


@cache
def expected() -> dict[str, Any]:
    """The fit of the groups by object."""
    parts = components(make_images(data()), factor=1.2)
    return outcome(by_object(parts), parts)


def check_whole(found: dict[str, Any]) -> None:
    whole = expected()
    assert found["dof"] == whole["dof"]
    assert found["chi2"] == pytest.approx(whole["chi2"], rel=1e-12)
    assert len(found["values"]) == len(whole["values"])
    same(found, whole)


def test_the_fit_is_one():
    """The fit to which all are compared went somewhere, and has a blend in it."""
    whole = expected()
    assert 0.9 < whole["chi2"] / whole["dof"] < 1.1
    for name, (*_, fluxes) in GALAXIES.items():
        for band, flux in zip(BANDS, fluxes, strict=True):
            key = (name, band, "flux")
            assert abs(whole["values"][key] - flux) <= 4 * whole["errors"][key]
    images = make_images(data())
    for image in images.values():
        boxes = [window(image, *GALAXIES[name][:2]) for name in GALAXIES]
        covered = np.zeros((3, *image.shape), bool)
        for k, ((x0, x1), (y0, y1)) in enumerate(boxes):
            covered[k, y0:y1, x0:x1] = True
        assert np.any(covered[0] & covered[1])
        assert not np.any((covered[0] | covered[1]) & covered[2])


def test_by_image():
    parts = components(make_images(data()), factor=1.2)
    groups = [jl.Group([parts[n, band] for n in GALAXIES], name=band) for band in BANDS]
    check_whole(outcome(jl.Group(groups, name="by image"), parts))


def test_joint_models():
    images = make_images(data())
    parts = components(images, factor=1.2)
    target = jl.TargetImageList(list(images.values()), reference=REFERENCE)
    joints = []
    for name, (x, y, q, pa, size, n, fluxes) in GALAXIES.items():
        model = jl.joint(
            "sersic galaxy",
            target=target,
            per_image=["flux"],
            amplitude="flux",
            name=name,
            window={b: window(images[b], x, y) for b in BANDS},
            center=(x, y),
            q=q,
            PA=pa,
            Re=1.2 * size,
            n=1.2 * n,
            flux=[1.2 * f for f in fluxes],
        )
        joints.append(model)
        parts |= {(name, band): model[band] for band in BANDS}
    check_whole(outcome(jl.Group(joints, target=target, name="joint"), parts))


@few
@given(order=st.permutations(LEAVES), cuts=st.lists(st.integers(1, 8), max_size=5))
def test_any_order_and_nesting(order, cuts):
    """Components in any order, grouped anyhow, tied ones before those they are tied to."""
    parts = components(make_images(data()), factor=1.2)
    members: list[Any] = [parts[leaf] for leaf in order]
    for k, cut in enumerate(cuts):
        if cut < len(members):
            members = [jl.Group(members[:cut], name=f"group {k}"), *members[cut:]]
    check_whole(outcome(jl.Group(members, name="any"), parts))


@few
@given(order=st.permutations(tuple(BANDS)))
def test_order_of_images(order):
    images = make_images(data())
    parts = components(images, factor=1.2)
    target = jl.TargetImageList([images[b] for b in order], reference=REFERENCE)
    groups = [jl.Group([parts[n, b] for b in order], name=n) for n in GALAXIES]
    check_whole(outcome(jl.Group(groups, target=target, name="permuted"), parts))


def test_without_a_far_source():
    """The blend's fit does not know whether the far galaxy is in the model."""
    whole = expected()
    parts = components(make_images(data()), factor=1.2)
    near = outcome(by_object(parts, ["one", "two"]), parts)
    far = outcome(by_object(parts, ["far"]), parts)
    same(near, whole)
    same(far, whole)
    # Splitting the group shares out pixels and chi2 and loses none.
    assert near["chi2"] + far["chi2"] == pytest.approx(whole["chi2"], rel=1e-12)
    split = near["dof"] + far["dof"]
    assert split == whole["dof"]


def test_a_source_that_shares_pixels_does_matter():
    """The tests above could fail: leaving out one of the blend moves the other."""
    whole = expected()
    parts = components(make_images(data()), factor=1.2)
    alone = outcome(by_object(parts, ["one", "far"]), parts)
    key = ("one", "a", "flux")
    moved = abs(alone["values"][key] - whole["values"][key])
    assert moved > whole["errors"][key]


def test_by_removing_adding_and_merging():
    """The same scenes made by editing groups."""
    whole = expected()
    parts = components(make_images(data()), factor=1.2)
    group = by_object(parts)
    far = group["far"]
    group.remove("far")
    same(outcome(group, parts), whole)
    group.add(far)
    # From the same start: what is drawn is exact to 1e-7 of a peak, and depends on it that much.
    restart(parts)
    check_whole(outcome(group, parts))
    apart = components(make_images(data()), factor=1.2)
    one_by_one = jl.merge(*(by_object(apart, [name]) for name in ("far", "two", "one")))
    check_whole(outcome(one_by_one, apart))
