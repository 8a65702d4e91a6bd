# SPDX-License-Identifier: BSD-3-Clause
"""Arrays of other packages on a device: used where they lie, and model images left there.

The memory of ``cuda-emulated`` is the host's, so that an array with ``__cuda_array_interface__``
over host memory is one on its device. That nothing is copied shows where the array is changed
after the host has had its look: the fit follows.
"""

from __future__ import annotations

import ctypes
import gc
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import jointlight as jl
from jointlight import device_arrays
from jointlight.errors import InvalidInput
from reference import small_problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEVICE = "cuda-emulated"


class Lent:
    """An array on the emulated device, by ``__cuda_array_interface__``."""

    def __init__(self, array: NDArray[Any], **about: Any) -> None:
        self.memory = array
        self.about = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "version": 3,
            "strides": None if array.flags.c_contiguous else array.strides,
        } | about

    def __array__(self, *_args: Any, **_options: Any) -> Any:
        raise TypeError("implicit conversion to a host array is not allowed")

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.about


class Capsule:
    """The same by DLPack alone, as a CUDA device's or as the host's."""

    def __init__(self, array: NDArray[Any], kind: int = 2) -> None:
        self.memory = array
        self.kind = kind
        self.streams: list[Any] = []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.kind, 0

    def __dlpack__(self, *, stream: Any = None, **_options: Any) -> Any:
        self.streams.append(stream)
        capsule = self.memory.__dlpack__()
        point = ctypes.pythonapi.PyCapsule_GetPointer
        point.restype, point.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        tensor = point(capsule, b"dltensor")
        ctypes.c_int32.from_address(tensor + 8).value = self.kind  # behind the data's address
        return capsule


def without(lent: Lent, name: str) -> Lent:
    del lent.about[name]
    return lent


def stamps(n: int, rng: np.random.Generator) -> tuple[Any, NDArray[Any]]:
    template = small_problem.model(small_problem.images()[:1])
    return template, np.array(template.images()[0]) + rng.normal(0.0, 0.1, (n, 40, 40))


def assert_same(one: Any, other: Any) -> None:
    for name in one.table.colnames:
        if name != "time":
            np.testing.assert_array_equal(one.table[name], other.table[name])


@pytest.mark.parametrize("how", [Lent, Capsule])
def test_stamps_of_a_device_give_the_same_bits(how: Any, rng: np.random.Generator) -> None:
    template, data = stamps(6, rng)
    weight = np.full(data.shape, 100.0)
    weight[2, :5] = 0.0
    data[2, 1, 2] = np.nan  # does not count
    data[4, 3, 4] = np.nan  # would count
    wanted = jl.fit_many(template, data=data, weight=weight, backend=DEVICE)
    found = jl.fit_many(template, data=how(data), weight=how(weight), backend=DEVICE)
    assert wanted.success.all()
    assert_same(found, wanted)
    assert list(found.n_pixels) == [1600, 1600, 1400, 1600, 1599, 1600]


def test_pixels_are_used_where_they_are(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other pixels and weights, once the host has its copy, are those that are fitted."""
    template, data = stamps(3, rng)
    weight = np.full(data.shape, 100.0)
    brighter, surer = 2.0 * data, 4.0 * weight
    wanted = jl.fit_many(template, data=brighter, weight=surer, backend=DEVICE)
    read = device_arrays.DeviceArrays._copy

    def then_change(self: Any, argument: str, given: Any) -> Any:
        out = read(self, argument, given)
        given.memory[...] = brighter if argument == "data" else surer
        return out

    monkeypatch.setattr(device_arrays.DeviceArrays, "_copy", then_change)
    found = jl.fit_many(template, data=Lent(data), weight=Lent(weight), backend=DEVICE)
    assert_same(found, wanted)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: {"data": Lent(data.astype(np.float32))},
        lambda data: {"data": Lent(np.asfortranarray(data))},
        lambda data: {"data": Lent(np.repeat(data, 2, axis=0)[::2])},
        lambda data: {"data": [Lent(one) for one in data]},
        lambda data: {"data": [Lent(data[0]), *data[1:]]},
        lambda data: {"data": Lent(data), "variance": Lent(np.full(data.shape, 0.01))},
        lambda data: {"data": Lent(data), "std": Lent(np.full(len(data), 0.1))},
        lambda data: {"data": Lent(data), "weight": Lent(np.full(data.shape[1:], 100.0))},
        lambda data: {"data": data, "weight": Lent(np.full(data.shape, 100.0))},
        lambda data: {"data": Lent(data), "mask": Lent(np.zeros(data.shape, bool))},
        lambda data: {"data": Capsule(data), "mask": Capsule(np.zeros(data.shape, bool))},
        lambda data: {"data": {"a": Lent(data)}},
        lambda data: {"data": Capsule(data, kind=1)},
    ],
    ids=["single", "fortran", "strided", "list", "mixed list", "variance", "std", "one plane",
         "weight alone", "mask", "DLPack mask", "mapping", "DLPack on the host"],
)  # fmt: skip
def test_what_has_to_be_converted_or_sent(change: Any, rng: np.random.Generator) -> None:
    template, data = stamps(4, rng)
    given = {"weight": 100.0} | change(data)
    if {"variance", "std"} & given.keys():
        del given["weight"]
    single = getattr(given["data"], "memory", data).dtype == np.float32
    exact = data.astype(np.float32) if single else data
    wanted = jl.fit_many(template, data=exact, weight=100.0, backend=DEVICE)
    found = jl.fit_many(template, **given, backend=DEVICE)
    shift = (found.values - wanted.values) / wanted.errors
    assert np.abs(shift).max() < 1e-9


@pytest.mark.parametrize("how", [Lent, Capsule])
def test_arguments_that_are_no_pixels(how: Any, rng: np.random.Generator) -> None:
    template, data = stamps(4, rng)

    def given(there: Any) -> dict[str, Any]:
        return {
            "start": {"Re": there(np.linspace(1.8, 3.0, 4)), "n": 1.5},
            "limits": {"n": (None, there(np.full(4, 7.0)))},
            "jacobian": there(np.array([[-0.5, 0.0], [0.0, 0.5]])),
            "std": [0.1, there(np.array(0.1)), 0.1, there(np.full((40, 40), 0.1))],
        }

    wanted = jl.fit_many(template, data=data, **given(np.array), backend=DEVICE)
    found = jl.fit_many(template, data=how(data), **given(how), backend=DEVICE)
    assert wanted.success.all()
    assert_same(found, wanted)
    with pytest.raises(InvalidInput, match=r"start\['Re'\] is in a device's memory"):
        jl.fit_many(template, data=data, start=given(how)["start"], backend="cpu")


def test_psfs_and_several_images(rng: np.random.Generator) -> None:
    images = small_problem.images()[:2]
    template = small_problem.model(images)
    clean = [np.array(one) for one in template.images()]
    data = {
        image.name: one + rng.normal(0.0, 0.1, (3, *one.shape))
        for image, one in zip(images, clean, strict=True)
    }
    psf = np.ones((3, 7, 7))
    wanted = jl.fit_many(
        template, data=data, weight=100.0, psf={images[0].name: psf}, backend=DEVICE
    )
    found = jl.fit_many(
        template,
        data={name: Lent(one) for name, one in data.items()},
        weight=100.0,
        psf={images[0].name: Lent(psf)},
        backend=DEVICE,
    )
    assert_same(found, wanted)


def test_windows_smaller_than_the_stamp(rng: np.random.Generator) -> None:
    """Weights that the host takes away are sent."""
    image = small_problem.images()[0]
    template = small_problem.model([image])
    template.models[0].window = ((5, 35), (4, 36))
    data = np.array(template.images()[0]) + rng.normal(0.0, 0.1, (3, 40, 40))
    given = {"data": data, "weight": np.full(data.shape, 100.0)}
    wanted = jl.fit_many(template, **given, backend=DEVICE)
    found = jl.fit_many(template, **{k: Lent(v) for k, v in given.items()}, backend=DEVICE)
    assert_same(found, wanted)
    assert list(found.n_pixels) == [30 * 32] * 3


def test_streams_are_waited_for(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[tuple[int, int]] = []
    monkeypatch.setattr(device_arrays._Emulated, "wait_for", lambda _, *what: waited.append(what))
    template, data = stamps(2, rng)
    by_dlpack = Capsule(data)
    for given in (Lent(data), Lent(data, stream=7), by_dlpack, Lent(data, version=2)):
        jl.fit_many(template, data=given, weight=100.0, backend=DEVICE)
    assert waited == [(7, 0), (1, 0), (1, 0)]
    assert by_dlpack.streams == [1]


def test_memory_is_let_go(rng: np.random.Generator) -> None:
    template, data = stamps(2, rng)
    gone = []
    for how in (Lent, Capsule):
        given = how(data.copy())
        jl.fit_many(template, data=given, weight=100.0, backend=DEVICE)
        gone += [weakref.ref(given), weakref.ref(given.memory)]
        del given
    gc.collect()
    assert [one() for one in gone] == [None] * len(gone)


@pytest.mark.parametrize("how", [Lent, Capsule])
def test_refused_where_nothing_can_read_it(how: Any, rng: np.random.Generator) -> None:
    template, data = stamps(2, rng)
    for backend in ("cpu", "auto"):
        if backend == "auto" and jl.backends()["cuda"].available:
            continue
        with pytest.raises(InvalidInput, match=r"^data is in a device's .*cupy\.asnumpy") as caught:
            jl.fit_many(template, data=how(data), weight=100.0, backend=backend)
        assert caught.value.argument == "data"
    with pytest.raises(
        InvalidInput, match=r"^mask is .*'cpu' reads only .*, or use backend='cuda'"
    ):
        jl.fit_many(template, data=data, mask=how(data > 9), weight=1.0, backend="cpu")
    here = r"is in a device's memory, .*x\.cpu.*; jl\.fit_many takes device arrays"
    with pytest.raises(InvalidInput, match=f"^data {here}"):
        jl.TargetImage(how(data[0]), pixelscale=0.2)
    with pytest.raises(InvalidInput, match=f"^mask {here}"):
        jl.TargetImage(data[0], mask=how(data[0] > 9), pixelscale=0.2)
    for psf in (how(data[0]), how(data[0].astype(np.float32))):
        with pytest.raises(InvalidInput, match=f"^psf {here}"):
            jl.PSF(psf)


def test_images_of_the_host_by_dlpack(rng: np.random.Generator) -> None:
    _, data = stamps(1, rng)
    image = jl.TargetImage(Capsule(data[0], kind=1), pixelscale=0.2)
    np.testing.assert_array_equal(image.data, data[0])
    psf = np.array(jl.gaussian_psf(fwhm=0.5, pixelscale=0.2).data)
    wanted = jl.PSF(psf).data
    np.testing.assert_array_equal(jl.PSF(Capsule(psf, kind=1)).data, wanted)
    image = jl.TargetImage(data[0], psf=Capsule(psf, kind=1), pixelscale=0.2)
    assert image.psf is not None
    np.testing.assert_array_equal(image.psf.data, wanted)


@pytest.mark.parametrize(
    "given",
    [
        lambda data: Lent(data, mask=Lent(data > 9)),
        lambda data: Lent(data, strides=(-1, 8, 8)),
        lambda data: Capsule(data, kind=10),
        lambda data: Capsule(data.astype(complex)),
        lambda data: Lent(data.astype(complex)),
        lambda data: without(Lent(data), "data"),
        lambda data: without(Lent(data), "typestr"),
        lambda data: Lent(data, data=None),
        lambda data: Lent(data, shape=7),
    ],
    ids=[
        "mask",
        "strides",
        "no CUDA",
        "complex",
        "complex by interface",
        "no data",
        "no type",
        "data is None",
        "shape is a number",
    ],
)
def test_what_cannot_be_read(given: Any, rng: np.random.Generator) -> None:
    template, data = stamps(2, rng)
    with pytest.raises(InvalidInput, match="data"):
        jl.fit_many(template, data=given(data), weight=100.0, backend=DEVICE)


# ---- model images ---------------------------------------------------------------------------


def test_model_image_stays_on_the_device() -> None:
    model = small_problem.model(small_problem.images())
    scene = model.compile(backend=DEVICE)
    v = scene.v0 * 1.01
    first, again = scene.render_on_device(0), scene.render_on_device(1, v)
    wanted = scene.render(0), scene.render(1, v)
    del scene
    gc.collect()
    for there, image in zip((first, again), wanted, strict=True):
        assert there.shape == image.shape
        assert repr(there) == f"DeviceArray(shape={image.shape}, dtype='float64', device='cpu')"
        for convert in (np.asarray, np.array):
            with pytest.raises(TypeError, match=r"device's memory. Copy it with cupy\.asnumpy"):
                convert(there)
        np.testing.assert_array_equal(np.from_dlpack(there), image)
        about = there.__cuda_array_interface__
        assert about["version"] == 3
        assert about["typestr"] == "<f8"
        assert about["data"][0] == np.from_dlpack(there).ctypes.data  # the same memory
    kept = np.from_dlpack(first)
    del first
    gc.collect()
    np.testing.assert_array_equal(kept, wanted[0])
    with pytest.raises(BufferError):
        again.__dlpack__(copy=True)
    capsule = again.__dlpack__()  # that nobody takes
    del capsule


@pytest.mark.parametrize("backend", [DEVICE, "cuda"])
def test_model_images_are_data_again(backend: str, rng: np.random.Generator) -> None:
    """Of a device's own memory, where there is one."""
    cuda = jl.backends()["cuda"]
    if backend == "cuda" and not cuda.available:
        pytest.skip(cuda.reason)
    template, _ = stamps(1, rng)
    scene = template.compile(backend=backend)
    there = [scene.render_on_device(0, scene.v0 * by) for by in (1.0, 1.01)]
    here = [scene.render(0, scene.v0 * by) for by in (1.0, 1.01)]
    wanted = jl.fit_many(template, data=here, weight=100.0, backend=backend)
    found = jl.fit_many(template, data=there, weight=100.0, backend=backend)
    assert found.chi2[0] < 1e-12
    assert_same(found, wanted)


def test_no_device_no_image() -> None:
    scene = small_problem.model(small_problem.images()).compile(backend="cpu")
    with pytest.raises(InvalidInput, match=r"'cpu'.*no device"):
        scene.render_on_device(0)


def test_a_field_of_records(rng: np.random.Generator) -> None:
    """Strides that are no multiple of an entry's size."""
    records = np.zeros((6, 40, 40), dtype=[("a", "f4"), ("b", "f8")])
    template, data = stamps(6, rng)
    records["b"] = data
    lent = Lent(records["b"])
    there = jl.fit_many(template, data=lent, variance=0.01, backend="cuda-emulated").table
    here = jl.fit_many(template, data=data, variance=0.01, backend="cuda-emulated").table
    np.testing.assert_array_equal(there["chi2"], here["chi2"])
