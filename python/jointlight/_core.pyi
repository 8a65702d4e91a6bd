# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[np.float64]
_Amplitude: TypeAlias = Literal["brightness", "flux"]
_Kind: TypeAlias = Literal["effective", "optical"]
_Function: TypeAlias = tuple[
    Callable[[_Array], tuple[npt.ArrayLike, npt.ArrayLike]], npt.ArrayLike, npt.ArrayLike
]

def build_info() -> dict[str, Any]: ...
def flux_factor(profile: str, shape: npt.ArrayLike) -> tuple[float, _Array]: ...
def isa() -> str: ...
def profiles() -> dict[str, dict[str, Any]]: ...

@final
class SceneBuilder:
    def __init__(self) -> None: ...
    def add_image(
        self,
        data: _Array,
        weight: _Array,
        likelihood: Literal["gaussian", "poisson"] = ...,
    ) -> int: ...
    def add_psf_analytic(
        self, profile: str, params: Sequence[float], extent_px: float, kind: _Kind = ...
    ) -> int: ...
    def add_psf_array(
        self,
        array: _Array,
        oversampling: int,
        center: tuple[float, float],
        kind: _Kind = ...,
    ) -> int: ...
    def add_tile(
        self,
        profile: str,
        image: int,
        psf: int,
        window: tuple[int, int, int, int],
        anchor_pixel: tuple[float, float],
        anchor_plane: tuple[float, float],
        jacobian: npt.ArrayLike,
        quadratic: npt.ArrayLike,
        slots: npt.ArrayLike,
        amplitude: _Amplitude = ...,
        source: int = ...,
    ) -> int: ...
    def build(self, n_threads: int = 0) -> Scene: ...
    def set_parameters(
        self,
        n_free: int,
        start: npt.ArrayLike,
        lower: npt.ArrayLike,
        upper: npt.ArrayLike,
        indptr: npt.ArrayLike,
        indices: npt.ArrayLike,
        coefs: npt.ArrayLike,
        const: npt.ArrayLike,
        prior_mean: npt.ArrayLike,
        prior_sigma: npt.ArrayLike,
        functions: Sequence[_Function] = ...,
    ) -> None: ...

@final
class Scene:
    def chi2(self, v: npt.ArrayLike) -> float: ...
    def describe(self) -> dict[str, Any]: ...
    def fit(
        self,
        v: npt.ArrayLike,
        options: dict[str, Any] = ...,
        callback: Callable[[dict[str, Any]], bool | None] | None = ...,
    ) -> dict[str, Any]: ...
    def jacobian(self, v: npt.ArrayLike, image: int) -> _Array: ...
    def linearize(self, v: npt.ArrayLike) -> tuple[float, _Array, _Array]: ...
    def render(self, v: npt.ArrayLike, image: int) -> _Array: ...
    def render_tile(self, v: npt.ArrayLike, tile: int) -> _Array: ...
