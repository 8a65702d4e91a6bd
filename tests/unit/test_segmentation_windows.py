# SPDX-License-Identifier: BSD-3-Clause
"""Windows of many objects: scaled, filtered, carried to other images."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel

import jointlight as jl
from jointlight import initialize as ini


def image(shape=(60, 80), data=None, **options):
    options.setdefault("pixelscale", 1.0)
    return jl.TargetImage(
        np.ones(shape) if data is None else data,
        variance=1.0,
        name=options.pop("name", "a"),
        **options,
    )


def tan(shape, scale, rotation=0.0, flip=False, offset=(0.0, 0.0), sip=0.0):
    """TAN about (210, -30) with the reference pixel `offset` from the array's middle."""
    wcs = WCS(naxis=2)
    kind = "-SIP" if sip else ""
    wcs.wcs.ctype = ["RA---TAN" + kind, "DEC--TAN" + kind]
    wcs.wcs.crval = [210.0, -30.0]
    wcs.wcs.crpix = [(shape[1] + 1) / 2 + offset[0], (shape[0] + 1) / 2 + offset[1]]
    c, s = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    sign = 1.0 if flip else -1.0
    wcs.wcs.cd = scale / 3600 * np.array([[sign * c, -sign * s], [s, c]])
    if sip:
        from astropy.wcs import Sip

        a, b = np.zeros((3, 3)), np.zeros((3, 3))
        a[2, 0], a[0, 2], b[1, 1] = sip, -0.7 * sip, 0.8 * sip
        wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
        wcs.wcs.set()
    return wcs


class TestScale:
    def test_about_the_middle(self):
        windows = {3: ((20, 30), (10, 14))}
        assert ini.scale_windows(windows, image=image(), expand_scale=2) == {3: ((15, 35), (8, 16))}
        assert ini.scale_windows(windows, image=image(), expand_border=5) == {
            3: ((15, 35), (5, 19))
        }
        assert ini.scale_windows(windows, image_shape=(60, 80), expand_scale=1.5, expand_border=1)[
            3
        ] == ((16, 34), (8, 16))

    def test_nothing_to_do_keeps_them(self):
        windows = {k: ((k, 2 * k + 1), (k, k + 1)) for k in range(1, 30)}
        assert ini.scale_windows(windows, image=image()) == windows

    def test_rounds_outward(self):
        found = ini.scale_windows({1: ((10, 13), (10, 13))}, image=image(), expand_scale=1.1)
        assert found == {1: ((9, 14), (9, 14))}

    def test_cut_at_the_edge_in_pixels(self):
        tiny = image(pixelscale=0.01)
        found = ini.scale_windows(
            {1: ((0, 5), (55, 60)), 2: ((70, 80), (0, 4))}, image=tiny, expand_border=3
        )
        assert found == {1: ((0, 8), (52, 60)), 2: ((67, 80), (0, 7))}

    def test_off_the_edge_is_left_out(self):
        windows = {1: ((-20, -10), (5, 9)), 2: ((85, 90), (5, 9)), 3: ((-4, 2), (5, 9))}
        assert ini.scale_windows(windows, image=image()) == {3: ((0, 2), (5, 9))}
        assert ini.scale_windows(windows, image=image(), expand_border=6) == {
            2: ((79, 80), (0, 15)),
            3: ((0, 8), (0, 15)),
        }

    def test_shrinking_leaves_a_pixel(self):
        found = ini.scale_windows({1: ((10, 21), (10, 21))}, image=image(), expand_border=-30)
        assert found == {1: ((15, 16), (15, 16))}

    def test_empty(self):
        assert ini.scale_windows({}, image=image()) == {}

    @pytest.mark.parametrize(
        ("windows", "options", "message"),
        [
            ({1: ((0, 5), (0, 5))}, {}, "both left out"),
            ({1: ((0, 5), (0, 5))}, {"image": np.zeros((5, 5))}, "image_shape="),
            ({1: ((0, 5), (0, 5))}, {"image_shape": (0, 5)}, "both positive"),
            ({1: ((0, 5), (0, 5))}, {"image_shape": 5}, "height, width"),
            ({1: ((5, 5), (0, 5))}, {"image_shape": (9, 9)}, r"windows\[1\]"),
            ({"a": ((0, 5.5), (0, 5))}, {"image_shape": (9, 9)}, r"windows\['a'\]"),
            ({1: (0, 5, 0, 5)}, {"image_shape": (9, 9)}, r"windows\[1\]"),
            ({1: None}, {"image_shape": (9, 9)}, r"windows\[1\]"),
            ([((0, 5), (0, 5))], {"image_shape": (9, 9)}, "windows must be a dict"),
            ({}, {"image_shape": (9, 9), "expand_scale": 0}, "more than 0"),
            ({}, {"image_shape": (9, 9), "expand_scale": np.nan}, "finite"),
            ({}, {"image_shape": (9, 9), "expand_border": "10"}, "finite"),
        ],
    )
    def test_refused(self, windows, options, message):
        with pytest.raises(jl.InvalidInput, match=message):
            ini.scale_windows(windows, **options)


def brute_force(window, base, new, shape):
    """Window of the pixels of `new` that fine points all over a window of `base` fall in."""
    (x0, x1), (y0, y1) = window
    inset = 1e-5
    xx, yy = np.meshgrid(
        np.linspace(x0 - 0.5 + inset, x1 - 0.5 - inset, 101),
        np.linspace(y0 - 0.5 + inset, y1 - 0.5 - inset, 101),
    )
    u, v = pixel_to_pixel(base, new, xx.ravel(), yy.ravel())
    u, v = np.floor(np.asarray(u) + 0.5), np.floor(np.asarray(v) + 0.5)
    ends = [
        (max(int(a.min()), 0), min(int(a.max()) + 1, n)) for a, n in ((u, shape[1]), (v, shape[0]))
    ]
    return tuple(ends) if all(b > a for a, b in ends) else None


GEOMETRIES = {
    "same": (0.25, 0.0, False),
    "turned": (0.25, 37.0, False),
    "half a turn": (0.25, 180.0, False),
    "mirrored": (0.25, 0.0, True),
    "mirrored and turned": (0.31, -110.0, True),
    "ten times coarser": (2.5, 20.0, False),
    "ten times finer": (0.025, 65.0, True),
}


class TestTransfer:
    base_shape = (90, 120)
    windows: ClassVar = {
        1: ((0, 20), (0, 9)),
        5: ((50, 71), (40, 44)),
        9: ((118, 120), (88, 90)),
        12: ((30, 31), (70, 71)),
        40: ((0, 120), (0, 90)),
    }

    @pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda name: name.replace(" ", "-"))
    @pytest.mark.parametrize("listed", [True, False])
    def test_against_every_point(self, geometry, listed):
        scale, rotation, flip = GEOMETRIES[geometry]
        shape = (70, 77) if scale > 0.1 else (400, 500)
        wcs = tan(self.base_shape, 0.25), tan(shape, scale, rotation, flip, (3.3, -2.2))
        base = image(self.base_shape, wcs=wcs[0], pixelscale=None)
        new = image(shape, wcs=wcs[1], pixelscale=None, name="b")
        if listed:
            jl.TargetImageList([base, new])
        found = ini.transfer_windows(self.windows, base, new)
        for label, window in self.windows.items():
            assert found.get(label) == brute_force(window, *wcs, shape)

    def test_distortion(self):
        shape = (200, 200)
        wcs = tan(self.base_shape, 0.5), tan(shape, 0.5, 30.0, sip=4e-4)
        base = image(self.base_shape, wcs=wcs[0], pixelscale=None)
        new = image(shape, wcs=wcs[1], pixelscale=None, name="b")
        found = ini.transfer_windows(self.windows, base, new)
        for label, window in self.windows.items():
            expected = brute_force(window, *wcs, shape)
            assert np.abs(np.subtract(found[label], expected)).max() <= 1

    def test_there_and_back_holds_the_first(self):
        shape = (150, 150)
        base = image(self.base_shape, wcs=tan(self.base_shape, 0.25), pixelscale=None)
        new = image(shape, wcs=tan(shape, 0.4, 25.0, True), pixelscale=None, name="b")
        back = ini.transfer_windows(ini.transfer_windows(self.windows, base, new), new, base)
        for label, window in self.windows.items():
            for (a0, a1), (b0, b1) in zip(window, back[label], strict=True):
                assert b0 <= a0
                assert b1 >= a1

    def test_to_itself(self):
        base = image(self.base_shape)
        assert ini.transfer_windows(self.windows, base, base) == self.windows
        assert ini.transfer_windows(self.windows, base, base.copy(name="b")) == self.windows

    def test_without_wcs_the_planes_origins_meet(self):
        base, new = image((40, 40), pixelscale=1.0), image((10, 10), pixelscale=4.0, name="b")
        assert ini.transfer_windows({1: ((0, 4), (0, 8))}, base, new) == {1: ((0, 1), (0, 2))}
        assert ini.transfer_windows({1: ((3, 5), (0, 8))}, base, new) == {1: ((0, 2), (0, 2))}

    def test_off_the_new_image(self):
        base = image(self.base_shape, wcs=tan(self.base_shape, 0.25), pixelscale=None)
        far = tan((50, 50), 0.25)
        far.wcs.crval = [30.0, 30.0]  # the other side of the sky
        new = image((50, 50), wcs=far, pixelscale=None, name="b")
        assert ini.transfer_windows(self.windows, base, new) == {}
        beside = image((20, 20), wcs=tan((20, 20), 0.25, offset=(0, 50)), pixelscale=None, name="c")
        assert set(ini.transfer_windows(self.windows, base, beside)) == {40}

    def test_refused(self):
        base, new = image(), image(wcs=tan((60, 80), 1.0), pixelscale=None, name="b")
        with pytest.raises(jl.InvalidInput, match="'a' has no place on the sky"):
            ini.transfer_windows({1: ((0, 4), (0, 8))}, base, new)
        with pytest.raises(jl.InvalidInput, match="new_image"):
            ini.transfer_windows({}, base, np.zeros((4, 4)))
        assert ini.transfer_windows({}, base, new) == {}


class TestFilter:
    windows: ClassVar = {1: ((0, 10), (0, 20)), 2: ((5, 6), (5, 30)), 4: ((40, 60), (10, 30))}

    @pytest.mark.parametrize(
        ("limits", "kept"),
        [
            ({}, [1, 2, 4]),
            ({"min_size": 10}, [1, 4]),
            ({"max_size": 20}, [1, 4]),
            ({"max_size": 19}, []),
            ({"min_area": 200}, [1, 4]),
            ({"max_area": 199}, [2]),
            ({"min_area": 30, "max_area": 300}, [1]),
            ({"min_flux": 100}, [1, 4]),
            ({"max_flux": 200}, [1, 2]),
        ],
    )
    def test_limits(self, limits, kept):
        assert list(ini.filter_windows(self.windows, image=image(), **limits)) == kept

    def test_flux_is_of_good_pixels(self):
        data = np.ones((60, 80))
        data[5, 5] = np.nan
        mask = np.zeros((60, 80), bool)
        mask[:10] = True
        target = image(data=data, mask=mask)
        assert list(ini.filter_windows(self.windows, image=target, min_flux=100)) == [1, 4]
        assert list(ini.filter_windows(self.windows, image=target, min_flux=101)) == [4]

    def test_windows_over_the_edge(self):
        found = ini.filter_windows({1: ((-5, 5), (-5, 5))}, image=image(), min_flux=25)
        assert found == {1: ((-5, 5), (-5, 5))}
        assert ini.filter_windows({1: ((-9, -5), (0, 5))}, image=image(), min_flux=1) == {}

    @pytest.mark.parametrize(
        ("limits", "message"),
        [
            ({"min_flux": 3}, "image must be"),
            ({"min_size": "3"}, "min_size"),
            ({"min_area": np.inf}, "finite"),
            ({"min_size": 5, "max_size": 3}, "at most max_size = 3"),
        ],
    )
    def test_refused(self, limits, message):
        with pytest.raises(jl.InvalidInput, match=message):
            ini.filter_windows(self.windows, **limits)
