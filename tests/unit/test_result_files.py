# SPDX-License-Identifier: BSD-3-Clause
"""Files of results: what they hold can be read without jointlight, and comes back the same."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pytest
from astropy.io import fits
from numpy.testing import assert_allclose, assert_array_equal

import jointlight as jl
from jointlight.io.packed import packed, unpacked
from jointlight.models import Sersic
from jointlight.result import FitResult
from reference import blended_row
from reference.on_backends import EVERY_BACKEND
from unit.model_cases import make_image, values_for

pytestmark = EVERY_BACKEND


@pytest.fixture(scope="module")
def result(every_backend: str) -> FitResult:
    return jl.fit.LM(blended_row.problem()).fit()


def test_packed_trees_come_back(rng: np.random.Generator) -> None:
    large, small = rng.normal(size=(9, 11)), rng.normal(size=3)
    tree = {
        "text": "ä\n", "none": None, "flag": True, "list": [1, 2.5, [math.inf, -math.inf]],
        "large": large, "nested": [{"small": small, "scalar": np.float64(0.1)}],
    }  # fmt: skip
    back = unpacked(packed(tree))
    assert_array_equal(back["large"], large)
    assert_array_equal(back["nested"][0]["small"], small)
    assert back["nested"][0]["scalar"] == 0.1
    assert {k: back[k] for k in ("text", "none", "flag", "list")} == {
        k: tree[k] for k in ("text", "none", "flag", "list")
    }
    assert math.isnan(unpacked(packed([math.nan]))[0])


def test_what_has_no_place_in_a_file() -> None:
    with pytest.raises(TypeError, match="object"):
        packed({"a": object()})


def test_the_file_can_be_read_without_jointlight(result: FitResult, tmp_path: Path) -> None:
    result.write(tmp_path / "fit.asdf")
    with asdf.open(tmp_path / "fit.asdf", memmap=False, lazy_load=False) as file:
        stored: dict[str, Any] = file.tree["result"]
        assert_array_equal(stored["values"], result.values)
        assert_array_equal(stored["covariance"], result.covariance)
        parameters = json.loads(bytes(stored["parameters"]["json"]))
        assert [p["path"] for p in parameters] == list(result.parameter_names)
        names = file.tree["tables"]["sources"]["name"]["values"]
        assert json.loads(bytes(names["json"])) == ["s0", "s1", "s2", "s3", "s4"]


def test_older_files_were_computed_in_float64(result: FitResult, tmp_path: Path) -> None:
    mixed = replace(result, precision="mixed")
    mixed.write(tmp_path / "fit.asdf")
    assert jl.load(tmp_path / "fit.asdf").precision == "mixed"
    with asdf.open(tmp_path / "fit.asdf", memmap=False, lazy_load=False) as file:
        tree = dict(file.tree)
    del tree["result"]["precision"]
    asdf.AsdfFile(tree).write_to(tmp_path / "old.asdf")
    assert jl.load(tmp_path / "old.asdf").precision == "float64"


@pytest.mark.parametrize(("version", "hint"), [(1, "write the file again"), (99, "update it")])
def test_other_formats_are_refused(tmp_path: Path, version: int, hint: str) -> None:
    head = {"format": version, "kind": "fit result"}
    asdf.AsdfFile({"jointlight": head}).write_to(tmp_path / "other.asdf")
    with pytest.raises(jl.InvalidInput, match=hint):
        jl.load(tmp_path / "other.asdf")


def test_cubes_that_would_fill_the_memory_are_left_out(
    result: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, there in ((10**9, True), (1000, False)):
        monkeypatch.setattr("jointlight.io.products._CUBE_MAX", limit)
        result.write_fits(tmp_path / "fit.fits", overwrite=True)
        with fits.open(tmp_path / "fit.fits") as file:
            assert ("G_COMPONENTS" in file) is there
            assert "G_MODEL" in file


def test_joint_models_come_back_without_the_images_taken_out_of_them(tmp_path: Path) -> None:
    images = jl.TargetImageList(
        make_image(name, n=32, wavelength=wavelength, time=59000.0 + 300.0 * wavelength)
        for name, wavelength in (("b", 0.4), ("g", 0.6), ("r", 0.8))
    )
    values = values_for(Sersic)
    moving = jl.joint("sersic", target=images, name="moving", proper_motion=True,
                      wavelength_degree={"Re": 1}, **values)  # fmt: skip
    still = jl.joint("sersic", target=images, name="still", **values | {"center": (-3.0, 2.0)})
    sky = jl.joint("flat sky", target=images, name="sky", I0=0.0)
    model = jl.Group([moving, still, sky])
    model.remove("still/b", "moving/g")
    model.remove("moving/b", ties="untie")
    result = model.fit(max_iter=2)
    result.write(tmp_path / "fit.asdf")
    back = jl.load(tmp_path / "fit.asdf").model
    assert back is not None
    assert not back.unset_parameters
    assert list(back.free_parameters) == list(model.free_parameters)
    for image in images:
        drawn = model.image(image)
        assert_allclose(back.image(image.name), drawn, atol=1e-12 * np.abs(drawn).max())
