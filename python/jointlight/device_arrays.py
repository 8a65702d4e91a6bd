# SPDX-License-Identifier: BSD-3-Clause
"""Arrays in the memory of a device, of whatever package: cupy, torch, jax, numba.

They are read where they are by a backend that computes there; the host gets a copy for what it
does itself (checks, weights, fits that end on the CPU).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from jointlight.backends import cuda_module
from jointlight.errors import BackendUnavailable, Described, InvalidInput, invalid

__all__ = [
    "TO_HOST",
    "DeviceArrays",
    "backend_of",
    "holds_device_arrays",
    "is_device_array",
    "read_here",
]

TO_HOST: Final = "Copy it with cupy.asnumpy(x), x.cpu().numpy() (torch) or numpy.asarray(x) (jax)"
"""How a user gets an array to the host."""

_OF_NUMPY: Final = (np.ndarray, list, tuple, str, int, float)  # looked at one by one, in long lists
_CPU: Final = 1  # DLPack's number of the host's memory
_ON_HOST: Final = (_CPU, 3)  # pinned memory too
_CUDA: Final = (2, 13)  # managed memory too
_LEGACY_STREAM: Final = 1  # the default stream, on which producers make their arrays ready


def is_device_array(given: Any) -> bool:
    """Whether something is an array that lies on a device, and says so.

    Parameters
    ----------
    given : object
        What was passed.

    Returns
    -------
    bool
        False for whatever NumPy reads by itself.
    """
    return _is_foreign(given) and (
        hasattr(given, "__cuda_array_interface__") or _device_type(given) not in _ON_HOST
    )


def _is_foreign(given: Any) -> bool:
    """Whether it is an array that NumPy does not read by itself, or that lies on a device."""
    if isinstance(given, _OF_NUMPY):
        return False
    try:
        if hasattr(given, "__cuda_array_interface__"):
            return True
        if not hasattr(given, "__dlpack_device__"):
            return False
        return _device_type(given) not in _ON_HOST or not hasattr(given, "__array__")
    except (RuntimeError, TypeError, ValueError, BufferError):
        return False  # NumPy's to refuse


def holds_device_arrays(given: Any) -> bool:
    """Whether it is one, or a mapping or list with one in it.

    Parameters
    ----------
    given : object
        What was passed.

    Returns
    -------
    bool
    """
    if isinstance(given, Mapping):
        return any(holds_device_arrays(one) for one in given.values())
    if isinstance(given, list | tuple):
        return any(is_device_array(one) for one in given)
    return is_device_array(given)


def read_here(argument: str, given: Any) -> Any:
    """Something that is to be read on the host.

    Parameters
    ----------
    argument : str
        Its name.
    given : object
        What was passed.

    Returns
    -------
    object
        The same, or an array on its memory where NumPy reads that by DLPack alone.

    Raises
    ------
    InvalidInput
        If it lies on a device.
    """
    if is_device_array(given):
        raise _unreachable(
            argument, "only the host's is read here",
            more="; jl.fit_many takes device arrays with backend='cuda'",
        )  # fmt: skip
    return np.from_dlpack(given) if _is_foreign(given) else given


class _Memory(Protocol):
    """How to get at a device's memory."""

    def device_of(self, address: int) -> int: ...
    def wait_for(self, stream: int, device: int) -> None: ...
    def download(self, address: int, out: NDArray[Any], device: int) -> None: ...


class _Emulated:
    """The device of the emulation, whose memory is the host's."""

    def device_of(self, address: int) -> int:  # noqa: ARG002
        return 0

    def wait_for(self, stream: int, device: int) -> None:
        pass

    def download(self, address: int, out: NDArray[Any], device: int) -> None:  # noqa: ARG002
        ctypes.memmove(out.ctypes.data, address, out.nbytes)


@dataclass(frozen=True)
class _Lent:
    """An array on a device, C-contiguous float64, and who keeps it there."""

    address: int
    device: int
    shape: tuple[int, ...]
    owner: Any
    host: NDArray[Any]  # its copy; held, so that its id stays its own


class DeviceArrays:
    """Takes the arrays of one call off devices, and remembers where they are.

    Parameters
    ----------
    backend : str
        What will compute, by the core's name.
    """

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self._memory: _Memory | None = None
        self._lent: dict[int, _Lent] = {}

    def on_host(self, argument: str, given: Any) -> Any:
        """The same with copies on the host in place of devices' arrays.

        Parameters
        ----------
        argument : str
            Its name.
        given : object
            An array, or a mapping or list of them; what is none is returned as it is.

        Returns
        -------
        object

        Raises
        ------
        InvalidInput
            If there is a device's array, and the backend is no device.
        """
        if isinstance(given, Mapping):
            return {k: self.on_host(f"{argument}[{k!r}]", one) for k, one in given.items()}
        if isinstance(given, list | tuple) and any(_is_foreign(one) for one in given):
            return [self.on_host(f"{argument}[{k}]", one) for k, one in enumerate(given)]
        return self._copy(argument, given) if is_device_array(given) else read_here(argument, given)

    def places(self, planes: Any, n: int) -> tuple[int, NDArray[np.uint64] | None]:
        """Where the planes of objects lie on a device, if they do.

        Parameters
        ----------
        planes : ndarray, list or None
            What was made of `on_host`: ``[n, h, w]``, or one array an object. Arrays that had to
            be converted, or copied for other reasons, are on no device any more.
        n : int
            Number of objects.

        Returns
        -------
        device : int
            Its number, -1 for none.
        addresses : ndarray or None
            ``[n]``, 0 for those that are not there.
        """
        at = np.zeros(n, dtype=np.uint64)
        device = -1
        for row, one in enumerate(planes if isinstance(planes, list) else [planes]):
            lent = self._lent.get(id(one))
            if lent is None or device not in (-1, lent.device):
                continue
            device = lent.device
            if isinstance(planes, list):
                at[row] = lent.address
            elif len(lent.shape) == 3:
                size = 8 * lent.shape[1] * lent.shape[2]
                at[:] = lent.address + size * np.arange(n, dtype=np.uint64)
        return (device, at) if at.any() else (-1, None)

    # ---- details ------------------------------------------------------------------------

    def _copy(self, argument: str, given: Any) -> NDArray[Any]:
        memory = self._reach(argument)
        array = _Array(argument, given)
        device = memory.device_of(array.address) if array.size else -1
        if array.size and device < 0:
            raise invalid(argument, Described("at an address that no device has"), "on a device")
        if array.stream is not None:
            memory.wait_for(array.stream, max(device, 0))
        host = np.empty(array.extent, dtype=np.uint8)
        if array.size:
            memory.download(array.address, host, device)
        out = array.view_of(host)
        aligned = array.address % array.dtype.itemsize == 0
        if array.size and array.dtype == np.float64 and array.is_contiguous and aligned:
            self._lent[id(out)] = _Lent(array.address, device, array.shape, array.owner, out)
        return out

    def _reach(self, argument: str) -> _Memory:
        if self._memory is not None:
            return self._memory
        if self.backend == "cuda-emulated":
            self._memory = _Emulated()
        elif self.backend.startswith("cuda"):
            module: Any = cuda_module()
            self._memory = module
        else:
            raise _unreachable(
                argument, f"backend {self.backend!r} reads only the host's",
                more=", or use backend='cuda'",
            )  # fmt: skip
        return self._memory


def backend_of(argument: str) -> str:
    """The backend for arrays that lie on a device, where it is left open.

    Parameters
    ----------
    argument : str
        Which of them does.

    Returns
    -------
    str
        "cuda".

    Raises
    ------
    InvalidInput
        If it cannot be used here.
    """
    try:
        cuda_module()
    except BackendUnavailable as error:
        raise _unreachable(argument, str(error)) from None
    return "cuda"


def _unreachable(argument: str, why: str, *, more: str = "") -> InvalidInput:
    text = f"{argument} is in a device's memory, and {why}. {TO_HOST}{more}"
    return InvalidInput(text, argument=argument)


class _Array:
    """What an array says of itself by ``__cuda_array_interface__`` or DLPack.

    Attributes
    ----------
    address, stream : int
        Where it begins, and what has to be waited for, if anything.
    dtype : dtype
    shape : tuple of int
    extent : int
        Bytes from the first entry to the end of the last one in memory.
    """

    def __init__(self, argument: str, given: Any) -> None:
        self.owner = given
        about: Mapping[str, Any] = getattr(given, "__cuda_array_interface__", {})
        # Before version 3 nothing was said of streams: whoever made the array orders itself into
        # the one that DLPack is told.
        if about and (about.get("version", 0) >= 3 or not hasattr(given, "__dlpack__")):
            told = about.get("version", 0) >= 3
            self.stream: int | None = about.get("stream") if told else _LEGACY_STREAM
        else:
            about = self._by_dlpack(argument, given)
            self.stream = _LEGACY_STREAM
        if about.get("mask") is not None:
            raise invalid(argument, Described("masked on a device"), "not masked; pass mask=")
        try:
            self.address = int(about["data"][0] or 0)
            self.shape = tuple(int(k) for k in about["shape"])
            self.dtype = np.dtype(about["typestr"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            cause = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise InvalidInput(
                f"{argument}: its __cuda_array_interface__ cannot be read: {cause}",
                argument=argument,
            ) from None
        self.size = int(np.prod(self.shape))
        steps = np.cumprod((self.dtype.itemsize, *self.shape[:0:-1]))[::-1]
        self._packed = tuple(int(k) for k in steps[: len(self.shape)])
        strides = about.get("strides")
        self.strides = self._packed if strides is None else tuple(int(k) for k in strides)
        if any(k < 0 for k in self.strides):
            raise invalid(argument, Described("with negative strides"), "a copy in order")
        last = sum((k - 1) * by for k, by in zip(self.shape, self.strides, strict=True))
        self.extent = 0 if self.size == 0 else last + self.dtype.itemsize

    def _by_dlpack(self, argument: str, given: Any) -> Mapping[str, Any]:
        from jointlight import _core

        kind = _device_type(given)
        if kind not in _CUDA:
            raise invalid(argument, Described(f"on a device of DLPack's type {kind}"), "on CUDA's")
        try:
            self.owner = _core.from_dlpack(given.__dlpack__(stream=_LEGACY_STREAM))
            out: Mapping[str, Any] = self.owner.__cuda_array_interface__
        except (ValueError, BufferError) as error:
            raise InvalidInput(f"{argument}: {error}", argument=argument) from None
        return out

    @property
    def is_contiguous(self) -> bool:
        pairs = zip(self.shape, self.strides, self._packed, strict=True)
        return all(k == 1 or by == packed for k, by, packed in pairs)

    def view_of(self, host: NDArray[Any]) -> NDArray[Any]:
        """The array in a copy of its memory, bytes ``[extent]``."""
        strides = self._packed if self.is_contiguous else self.strides
        return np.ndarray(self.shape, self.dtype, host.data, 0, strides)


def _device_type(given: Any) -> int:
    return int(given.__dlpack_device__()[0])
