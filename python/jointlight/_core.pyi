# SPDX-License-Identifier: BSD-3-Clause
from collections.abc import Callable, Sequence
from typing import Any, Literal, Never, TypeAlias, TypedDict, final

import numpy as np
import numpy.typing as npt

_Array: TypeAlias = npt.NDArray[np.float64]
_Index: TypeAlias = npt.NDArray[np.int32]
_Amplitude: TypeAlias = Literal["brightness", "flux"]
_Kind: TypeAlias = Literal["effective", "optical"]
_Function: TypeAlias = tuple[
    Callable[[_Array], tuple[npt.ArrayLike, npt.ArrayLike]], npt.ArrayLike, npt.ArrayLike
]

# Index arrays count free parameters, tiles, images or sources as the builder was given them.
class _Outcome(TypedDict):
    v: _Array  # [n_free]
    chi2: float
    chi2_images: _Array
    chi2_tiles: _Array  # of the pixels that each tile owns
    n_pixels_images: list[int]
    n_pixels_tiles: list[int]
    status: str
    message: str
    source_status: list[str]  # a status, or "no_data", "lost", "fixed"
    component: list[int]  # [n_free], -1: held
    component_status: list[str]
    covariance: _Array | None  # [n_free, n_free], NaN where there is none
    covariance_sparse: tuple[_Array, _Index, _Index] | None  # data, indices, indptr: lower triangle
    at_bound: npt.NDArray[np.bool_]  # [n_free]
    degenerate: list[list[int]]
    history: dict[str, _Array]
    n_linearize: int
    n_chi2: int
    time_s: float

# One number an object, or one a free parameter of each object in turn.
class _Columns(TypedDict, total=False):
    offset: npt.NDArray[np.int64]  # [n + 1] where each object's parameters begin
    covariance_offset: npt.NDArray[np.int64]
    status: npt.NDArray[np.int8]
    chi2: _Array
    time_s: _Array
    n_pixels: npt.NDArray[np.int64]
    n_null: _Index
    n_linearize: _Index
    n_chi2: _Index
    values: _Array
    variances: _Array
    at_bound: npt.NDArray[np.uint8]
    degenerate: npt.NDArray[np.uint8]
    covariance: _Array  # absent unless asked for
    messages: dict[int, str]
    device_failure: str  # of a device, in its own words
    moved: npt.NDArray[np.uint8]  # 1: a device's object that the CPU took over

def batch_statuses() -> list[tuple[str, str, bool]]: ...
def build_info() -> dict[str, Any]: ...
def fit_scenes(
    scenes: list[Scene],
    starts: list[_Array],
    options: dict[str, Any] = ...,
    n_threads: int = 0,
    covariance: bool = False,
    callback: Callable[[int], bool | None] | None = None,
    backend: str = ...,
) -> _Columns: ...
def fit_stamps(
    template: SceneBuilder,
    images: list[dict[str, Any]],
    start: npt.ArrayLike,
    lower: npt.ArrayLike | None = None,
    upper: npt.ArrayLike | None = None,
    constants: npt.ArrayLike | None = None,
    options: dict[str, Any] = ...,
    n_threads: int = 0,
    covariance: bool = False,
    callback: Callable[[int], bool | None] | None = None,
    backend: str = ...,
) -> _Columns: ...

counted_flops: dict[str, int]

def device_ceilings(backend: str) -> dict[str, float]: ...
def device_profile() -> dict[str, dict[str, float]]: ...
def emulate_backwards(on: bool) -> None: ...
def flux_factor(profile: str, shape: npt.ArrayLike) -> tuple[float, _Array]: ...
def from_dlpack(capsule: Any) -> DeviceArray: ...
def isa() -> str: ...
def profile_devices(on: bool) -> None: ...
def profiles() -> dict[str, dict[str, Any]]: ...
def stage_times() -> dict[str, tuple[float, int]]: ...
def time_stages(on: bool) -> None: ...
def use_cuda(maker: Any) -> None: ...

@final
class DeviceArray:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...
    def __array__(self, *args: Any, **options: Any) -> Never: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...
    def __dlpack__(self, **options: Any) -> Any: ...

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
        image_slots: npt.ArrayLike = ...,
        pivot: tuple[float, float] = ...,
    ) -> int: ...
    def build(
        self,
        n_threads: int = 0,
        memory_mb: float = ...,
        tolerance: float = ...,
        backend: str = ...,
    ) -> Scene: ...
    def set_precision(self, name: str) -> None: ...
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
    def covariance_columns(
        self, v: npt.ArrayLike, held: npt.ArrayLike | None, indices: npt.ArrayLike
    ) -> _Array: ...
    def held_together(self) -> list[list[int]]: ...
    def describe(self) -> dict[str, Any]: ...
    def fit(
        self,
        v: npt.ArrayLike,
        options: dict[str, Any] = ...,
        callback: Callable[[dict[str, Any]], bool | None] | None = ...,
        active: npt.ArrayLike | None = ...,
    ) -> _Outcome: ...
    def jacobian(self, v: npt.ArrayLike, image: int) -> _Array: ...
    def model_and_jacobian(self, v: npt.ArrayLike, image: int) -> tuple[_Array, _Array]: ...
    def linearize(self, v: npt.ArrayLike) -> tuple[float, _Array, _Array]: ...
    def render(self, v: npt.ArrayLike, image: int) -> _Array: ...
    def render_on_device(self, v: npt.ArrayLike, image: int) -> DeviceArray: ...
    def render_tiles(self, v: npt.ArrayLike, tiles: npt.ArrayLike) -> list[_Array]: ...
