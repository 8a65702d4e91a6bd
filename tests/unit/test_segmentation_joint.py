# SPDX-License-Identifier: BSD-3-Clause
"""A joint model of everything in a segmentation map."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import jointlight as jl
from jointlight import initialize as ini
from jointlight.initialize.amplitudes import bounded_newton
from jointlight.initialize.sources import Source, link_neighbours
from reference.on_backends import EVERY_BACKEND

pytestmark = EVERY_BACKEND

# x, y (arcsec East and North of the middle), flux in each image
SOURCES = ((-6.0, -5.0, 900.0, 300.0), (5.5, 6.0, 600.0, 900.0), (-4.5, 7.0, 1500.0, 200.0))
# pixels, arcsec a pixel, FWHM in arcsec, noise
IMAGES = {"r": (96, 0.3, 0.9, 0.4), "w": (14, 2.4, 6.0, 1.5)}


def gaussian(shape, scale, x, y, sigma, flux):
    """Round Gaussian on North-up pixels; x East in arcsec."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    east, north = -(xx - (shape[1] - 1) / 2) * scale, (yy - (shape[0] - 1) / 2) * scale
    r2 = (east - x) ** 2 + (north - y) ** 2
    return flux * scale**2 / (2 * np.pi * sigma**2) * np.exp(-0.5 * r2 / sigma**2)


def observe(sources=SOURCES, sky=(0.0, 0.0), seed=3, **changes):
    """Round sources of sigma 0.7 arcsec before the PSF, in two images."""
    rng = np.random.default_rng(seed)
    images = []
    for k, (name, (n, scale, fwhm, noise)) in enumerate(IMAGES.items()):
        width = np.hypot(0.7, fwhm / 2.3548)
        data = rng.normal(size=(n, n)) * noise + sky[k]
        for x, y, *fluxes in sources:
            data += gaussian((n, n), scale, x, y, width, fluxes[k])
        psf = jl.gaussian_psf(fwhm=fwhm, pixelscale=scale, includes_pixel=True)
        options = {"pixelscale": scale, "psf": psf, "variance": noise**2, "name": name}
        images.append(jl.TargetImage(data, **(options | changes.get(name, {}))))
    return jl.TargetImageList(images)


def segment(image, threshold=0.6):
    smooth = ndimage.gaussian_filter(image.data - np.median(image.data), 1.0)
    regions, n = ndimage.label(smooth > threshold)
    sizes = ndimage.sum_labels(regions > 0, regions, range(n + 1))
    return np.where(sizes[regions] > 20, regions * 10, 0)


def member_at(model, x, y):
    members = [m for m in model.models if not m.name.startswith("sky")]
    return min(members, key=lambda m: np.hypot(*(m["center"].value - np.array([x, y]))))


@pytest.fixture
def images():
    return observe()


@pytest.fixture
def seg(images):
    return segment(images["r"])


class TestStarts:
    def test_names_are_labels_in_order(self, images, seg):
        model = jl.joint_from_segmentation("sersic galaxy", seg, target=images, name="field")
        assert [m.name for m in model.models] == [str(k) for k in np.unique(seg)[1:]]
        assert model.name == "field"
        assert len(model) == len(SOURCES)
        assert model.target is images

    def test_structure_and_reference_amplitude_are_set(self, images, seg):
        model = jl.joint_from_segmentation("sersic galaxy", seg, target=images, reference="r")
        unset = set(model.unset_parameters)
        assert unset == {f"{m.name}/w/Ie" for m in model.models}
        for x, y, *_ in SOURCES:
            member = member_at(model, x, y)
            assert member["center"].value == pytest.approx((x, y), abs=0.1)
            # a Gaussian of sigma 0.7 arcsec
            assert member["Re"].value == pytest.approx(0.7 * 1.1774, rel=0.25)

    def test_amplitudes_follow(self, images, seg):
        model = jl.joint_from_segmentation("gaussian", seg, target=images, amplitude="flux")
        before = {
            name: np.array(p.array)
            for name, p in model.all_parameters.items()
            if p.array is not None
        }
        model.initialize()
        assert not model.unset_parameters
        for name, value in before.items():
            assert np.array_equal(model.all_parameters[name].array, value)
        for x, y, r, w in SOURCES:
            flux = member_at(model, x, y)["flux"]
            assert flux["r"].value == pytest.approx(r, rel=0.15)
            assert flux["w"].value == pytest.approx(w, rel=0.15)

    def test_a_fit_from_there_finds_the_truth(self, images, seg):
        model = jl.joint_from_segmentation("gaussian", seg, target=images, amplitude="flux")
        result = model.initialize().fit()
        assert result.success
        for x, y, r, w in SOURCES:
            member = member_at(model, x, y)
            for image, truth in (("r", r), ("w", w)):
                p = member["flux"][image]
                assert abs(p.value - truth) < 4 * p.uncertainty
            assert abs(member["sigma"].value - 0.7) < 4 * member["sigma"].uncertainty

    def test_one_image(self, images, seg):
        model = jl.joint_from_segmentation("sersic galaxy", seg, target=images["r"])
        assert not model.unset_parameters
        assert model.initialize().fit().success

    @pytest.mark.parametrize("kind", ["exponential", "gaussian", "moffat", "devaucouleurs"])
    def test_every_type_starts_at_the_flux(self, kind, images, seg):
        model = jl.joint_from_segmentation(kind, seg, target=images["r"])
        for x, y, r, _ in SOURCES:
            leaf = member_at(model, x, y).components[0]
            one = jl.Group([leaf.copy(name="one")])
            assert one.image().sum() == pytest.approx(r, rel=0.35)

    def test_skies(self):
        images = observe(sky=(2.0, -30.0))
        seg = segment(images["r"])
        model = jl.joint_from_segmentation("gaussian", seg, target=images, sky="flat sky")
        model.initialize()
        for name, level in (("r", 2.0), ("w", -30.0)):
            scale = IMAGES[name][1]
            assert model[f"sky {name}/I0"].value * scale**2 == pytest.approx(level, abs=0.5)
        one = jl.joint_from_segmentation("gaussian", seg, target=images, sky={"w": "plane sky"})
        assert [m.name for m in one.models if m.name.startswith("sky")] == ["sky w"]
        assert one["sky w"].model_type == "plane sky"


class TestChoices:
    def test_types(self, images, seg):
        first, second, third = (int(k) for k in np.unique(seg)[1:])
        model = jl.joint_from_segmentation(
            "sersic galaxy",
            seg,
            target=images,
            per_image=["Ie", "n"],
            model_types={second: "exponential"},
            point_sources=[third],
            n={"limits": (0.5, 8.0)},
        )
        assert model[str(first)].per_image == ("Ie", "n")
        assert model[str(first)]["n"]["w"].limits == (0.5, 8.0)
        assert model[str(second)].per_image == ("Ie",)
        assert "n" not in model[str(second)].components[0].parameters
        assert list(model[str(third)].components[0].parameters) == ["center", "flux"]
        assert not model.initialize().unset_parameters

    def test_labels_and_limits(self, images, seg):
        labels = [int(k) for k in np.unique(seg)[1:]]
        model = jl.joint_from_segmentation("gaussian", seg, target=images, labels=labels[:2])
        assert [m.name for m in model.models] == [str(k) for k in labels[:2]]
        areas = {
            k: (b - a) * (d - c)
            for k, ((a, b), (c, d)) in ini.windows_from_segmentation_map(seg).items()
        }
        largest = max(areas.values())
        model = jl.joint_from_segmentation("gaussian", seg, target=images, min_area=largest)
        assert [m.name for m in model.models] == [str(k) for k in labels if areas[k] >= largest]

    def test_values_given_are_kept(self, images, seg):
        model = jl.joint_from_segmentation("sersic galaxy", seg, target=images, n=1.0, q=0.9)
        assert {m["n"].value for m in model.models} == {1.0}
        assert {m["q"].value for m in model.models} == {0.9}

    def test_options_of_joint_models(self, images, seg):
        """Structure along wavelength, motion: every free root starts from the map."""
        target = jl.TargetImageList(
            [
                images["r"].copy(name=name, wavelength=wavelength, time=time)
                for name, wavelength, time in (
                    ("g", 0.4, 59000.0),
                    ("i", 0.6, 59400.0),
                    ("z", 0.9, 59900.0),
                )
            ]
        )
        star = int(seg.max())
        model = jl.joint_from_segmentation(
            "sersic galaxy",
            seg,
            target=target,
            point_sources=[star],
            wavelength_degree={"Re": 1},
            proper_motion=True,
        )
        for x, y, *_ in SOURCES:
            member = member_at(model, x, y)
            assert member["proper_motion"].value == pytest.approx((0.0, 0.0))
            for leaf in member.components:
                assert leaf["center"].value == pytest.approx((x, y), abs=0.1)
                if member.name != str(star):
                    assert leaf["Re"].value == pytest.approx(0.7 * 1.1774, rel=0.25)
        assert not model.initialize().unset_parameters

    def test_windows_hold_the_core_of_the_psf(self, images, seg):
        model = jl.joint_from_segmentation(
            "gaussian", seg, target=images, expand_scale=0.1, expand_border=0
        )
        for member in model.models:
            for leaf in member.components:
                n, scale, fwhm, _ = IMAGES[leaf.target.name]
                x, y = leaf.target.plane_to_pixel(*leaf["center"].value)
                for at, (low, high) in zip((x, y), leaf.window, strict=True):
                    assert low <= max(at - fwhm / scale, 0)
                    assert high >= min(at + fwhm / scale, n - 1)
                    assert 0 <= low < high <= n

    def test_objects_off_an_image_have_no_component_there(self):
        # the second image shows the West half only
        images = observe(w={"mask": np.arange(14)[None, :] * np.ones((14, 1)) < 7})
        seg = segment(images["r"])
        model = jl.joint_from_segmentation("gaussian", seg, target=images)
        east, west = member_at(model, 5.5, 6.0), member_at(model, -6.0, -5.0)
        assert [leaf.target.name for leaf in east.components] == ["r"]
        assert [leaf.target.name for leaf in west.components] == ["r", "w"]
        assert model.initialize().fit().success

    def test_reference_need_not_be_fitted(self, images, seg):
        model = jl.joint_from_segmentation(
            "gaussian", seg, target=images["w"], reference=images["r"]
        )
        assert {leaf.target.name for leaf in model.leaves()} == {"w"}
        model.initialize()
        assert member_at(model, 5.5, 6.0)["center"].value == pytest.approx((5.5, 6.0), abs=0.1)

    def test_label_without_a_good_pixel_is_left_out(self, images, seg):
        label = int(np.unique(seg)[1])
        mask = ndimage.binary_dilation(seg == label, iterations=15)
        images = observe(r={"mask": mask})
        with pytest.warns(jl.JointlightWarning, match=f"label {label} is on any image"):
            model = jl.joint_from_segmentation("gaussian", seg, target=images["r"])
        assert str(label) not in [m.name for m in model.models]


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"model_type": "flat sky"}, "type of an object"),
            ({"model_type": "sersik"}, "Did you mean 'sersic'"),
            ({"model_type": "group"}, "type of an object"),
            ({"target": 5}, "target must be"),
            ({"reference": "q"}, "not an image of target"),
            ({"labels": [10, 11]}, "no label 11"),
            ({"labels": 5.0}, "labels of the map"),
            ({"model_types": {3: "sersic"}}, "model_types: the map has no label 3"),
            ({"model_types": ["sersic"]}, "a dict"),
            ({"point_sources": [4]}, "point_sources: the map has no label 4"),
            ({"sky": "sersic"}, "flat sky"),
            ({"sky": {"x": "flat sky"}}, "no image is named 'x'"),
            ({"sky": 3}, "None, 'flat sky'"),
            ({"per_image": ["Ia"]}, "no member has a parameter 'Ia'.*'Ie'"),
            ({"limit": 3}, "no option 'limit'"),
            ({"expand_scale": -1}, "expand_scale"),
            ({"min_size": 1e6}, "none is left"),
        ],
    )
    def test_bad_options(self, options, message, images, seg):
        given = {"model_type": "sersic galaxy", "target": images} | options
        with pytest.raises(jl.InvalidInput, match=message):
            jl.joint_from_segmentation(given.pop("model_type"), seg, **given)

    def test_bad_maps(self, images, seg):
        with pytest.raises(jl.InvalidInput, match="the map is empty"):
            jl.joint_from_segmentation("gaussian", seg * 0, target=images)
        with pytest.raises(jl.InvalidInput, match="of image 'r'"):
            jl.joint_from_segmentation("gaussian", seg[1:], target=images)
        with pytest.raises(jl.InvalidInput, match="type bool"):
            jl.joint_from_segmentation("gaussian", seg > 0, target=images)

    def test_point_source_and_another_type(self, images, seg):
        label = int(seg.max())
        with pytest.raises(jl.InvalidInput, match="leave it out of one"):
            jl.joint_from_segmentation(
                "gaussian",
                seg,
                target=images,
                point_sources=[label],
                model_types={label: "exponential"},
            )


class TestAmplitudesOfMany:
    def test_sparse_and_dense_agree_within_bounds(self):
        rng = np.random.default_rng(8)
        n = 260  # beyond what is solved as a dense matrix
        chain = np.eye(n) * 4 + np.diag(np.full(n - 1, -1.5), 1) + np.diag(np.full(n - 1, -1.5), -1)
        gradient = rng.normal(size=n)
        low, high = np.full(n, -np.inf), np.full(n, np.inf)
        found = bounded_newton(gradient, chain, np.zeros(n), low, high)
        assert found == pytest.approx(-np.linalg.solve(chain, gradient), abs=1e-6)
        low[:] = 0.0
        found = bounded_newton(gradient, chain, np.zeros(n), low, high)
        assert found.min() == 0.0
        free = found > 0
        assert (gradient + chain @ found)[free] == pytest.approx(0.0, abs=1e-6)

    def test_other_parameters_are_free_again(self, images, seg):
        model = jl.joint_from_segmentation("gaussian", seg, target=images)
        free = list(model.free_parameters)
        model.initialize()
        assert list(model.free_parameters) == free


class TestManySources:
    def test_neighbours_are_those_whose_windows_overlap(self, images):
        rng = np.random.default_rng(6)
        leaves = []
        for _ in range(60):
            x, y = rng.integers(0, 80, 2)
            w, h = rng.integers(1, 60, 2) if rng.random() < 0.2 else rng.integers(1, 12, 2)
            window = ((int(x), int(min(x + w, 96))), (int(y), int(min(y + h, 96))))
            leaves.append(jl.Model("gaussian", target=images["r"], window=window))
        leaves.append(jl.Model("gaussian", target=images["w"], window=((0, 14), (0, 14))))
        sources = [Source([leaf]) for leaf in leaves]
        link_neighbours(sources)
        for a in sources:
            expected = set()
            for k, b in enumerate(sources):
                overlap = all(
                    p[0] < q[1] and q[0] < p[1] for p, q in zip(a.window, b.window, strict=True)
                )
                if a is not b and a.image is b.image and overlap:
                    expected.add(k)
            assert {sources.index(n) for n in a.neighbours} == expected

    def test_known_shapes_beside_unknown_ones(self, images, seg):
        """One shape is forgotten: the others keep theirs, and it is found again."""
        model = jl.joint_from_segmentation("gaussian", seg, target=images, amplitude="flux")
        member = member_at(model, -4.5, 7.0)
        for p in member.components[0].parameters.values():
            p.value = None
        kept = {m.name: m["sigma"].value for m in model.models if m is not member}
        model.initialize()
        assert member["center"].value == pytest.approx((-4.5, 7.0), abs=0.1)
        assert member["sigma"].value == pytest.approx(0.7, rel=0.15)
        assert {m.name: m["sigma"].value for m in model.models if m is not member} == kept

    def test_no_starts_at_all(self, images, seg):
        model = jl.joint_from_segmentation("gaussian", seg, target=images, amplitude="flux")
        model.initialize(overwrite=True)
        for x, y, r, _ in SOURCES:
            assert member_at(model, x, y)["flux"]["r"].value == pytest.approx(r, rel=0.1)

    def test_amplitude_off_the_data_is_not_solved_for(self, images):
        """The image ends before the source: least squares would divide by next to nothing."""
        near = jl.Model("gaussian", target=images["r"], center=SOURCES[0][:2], q=1, PA=0, sigma=0.7)
        far = jl.Model(
            "gaussian", target=images["r"], center=(18.0, 18.0), q=1, PA=0, sigma=0.7, name="far"
        )
        with pytest.warns(jl.JointlightWarning, match="is off image"):
            jl.Group([near, far]).initialize()
        assert np.isfinite(far["I0"].value)
        assert abs(far["I0"].value) < 1e4
