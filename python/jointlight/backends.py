# SPDX-License-Identifier: BSD-3-Clause
"""What this installation can compute on, and why not on the rest."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from jointlight.errors import BackendUnavailable, invalid, warn_user

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "ALLOWED",
    "Backend",
    "Precision",
    "backends",
    "check_precision",
    "cuda_module",
    "environment_backend",
    "environment_threads",
    "ready_backend",
    "warn_of_moved",
]

Precision = Literal["float64", "mixed"]


def check_precision(given: object) -> str:
    """What derivatives are computed in, checked.

    Parameters
    ----------
    given : object
        What the user passed.

    Returns
    -------
    str

    Raises
    ------
    InvalidInput
        If it is neither "float64" nor "mixed".
    """
    if not (isinstance(given, str) and given in get_args(Precision)):
        raise invalid("precision", given, " or ".join(map(repr, get_args(Precision))))
    return given


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One way to compute.

    Attributes
    ----------
    name : str
        ``"cpu"`` or ``"cuda"``.
    available : bool
        True if fits can run on it here.
    reason : str
        Why it is not available and what to install; empty if it is.
    details : dict
        Facts: compiler, instruction set, threads, devices.
    """

    name: str
    available: bool
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.available:
            return f"{self.name}: not available, {self.reason}"
        facts = ", ".join(f"{key} {value}" for key, value in self.details.items())
        return f"{self.name}: {facts}"


def backends() -> dict[str, Backend]:
    """List the backends, available or not.

    Returns
    -------
    dict of str to Backend
        By name, ``"cpu"`` first.

    Examples
    --------
    >>> import jointlight as jl
    >>> jl.backends()["cpu"].available
    True
    """
    return {"cpu": _cpu(), "cuda": _cuda()}


def cuda_module() -> ModuleType:
    """Return the CUDA module, ready to use.

    Returns
    -------
    module
        The compiled module ``jointlight._cuda``.

    Raises
    ------
    BackendUnavailable
        If the module was not built, or there is no driver or device for it. The reason says which
        and what to install.
    """
    module, reason = _import_cuda()
    if module is None:
        raise BackendUnavailable("cuda", reason)
    reason = _why_no_device(module.probe())
    if reason:
        raise BackendUnavailable("cuda", reason)
    return module


def ready_backend(name: object) -> str:
    """A backend that was asked for, ready to compute.

    Parameters
    ----------
    name : object
        What the user passed: "cpu", "cuda", or "cuda:1" and so on for another device; "auto" is
        what the environment's ``JOINTLIGHT_BACKEND`` asks for, where that is set.

    Returns
    -------
    str
        The name as the core takes it.

    Raises
    ------
    InvalidInput
        If there is no such backend.
    BackendUnavailable
        If it cannot be used here; the reason says why and what to install.
    """
    if not (isinstance(name, str) and _BACKEND.fullmatch(name)):
        raise invalid("backend", name, ALLOWED, _meant(name))
    if name == "auto" and (wanted := environment_backend()) != "auto":
        try:
            return ready_backend(wanted)
        except BackendUnavailable as error:
            reason = f"{error.reason}. The environment variable JOINTLIGHT_BACKEND asks for it"
            raise BackendUnavailable(wanted, reason) from None
    if not name.startswith("cuda") or name.startswith("cuda-emulated"):
        return "cpu" if name == "auto" else name
    try:
        module = cuda_module()
    except BackendUnavailable as error:
        raise BackendUnavailable(name, error.reason) from None
    n = len(module.probe()["devices"])
    if int(name.partition(":")[2] or 0) >= n:
        raise BackendUnavailable(name, f"devices here are numbered 0 to {n - 1}")
    from jointlight import _core

    _core.use_cuda(module.backend_maker())
    return name


# "cuda-emulated" is the device's code run on the host: slow, for tests, where it fails when asked.
_BACKEND = re.compile(r"auto|cpu|cuda(:(0|[1-9]\d{0,2}))?|cuda-emulated(-until-\d+)?")

ALLOWED: Final = "'auto', 'cpu', 'cuda' or 'cuda:N', N the device's number"
"""What `backend` may be, in words."""


def _meant(name: object) -> str | None:
    """The backend that a wrong name is meant for, as a suggestion."""
    if not isinstance(name, str):
        return None
    likely = name.strip().lower().replace("gpu", "cuda")
    likely = re.sub(r":0+(?=\d)", ":", likely)
    return f"Did you mean {likely!r}?" if _BACKEND.fullmatch(likely) else None


def environment_backend() -> str:
    """Backend that the environment's ``JOINTLIGHT_BACKEND`` asks for.

    Returns
    -------
    str
        "auto" where it is not set: no backend in particular.

    Raises
    ------
    InvalidInput
        If there is no such backend.
    """
    name = "JOINTLIGHT_BACKEND"
    text = os.environ.get(name, "").strip() or "auto"
    if not _BACKEND.fullmatch(text):
        hint = _meant(text) or "set it so or unset it"
        raise invalid(f"the environment variable {name}", text, ALLOWED, hint)
    return text


def warn_of_moved(backend: str, failure: str, n: int) -> None:
    """Warn where objects were fitted on the CPU in place of the device.

    Parameters
    ----------
    backend : str
        The one that was to be used.
    failure : str
        What it said when it failed; empty if it did not.
    n : int
        Number of objects that the CPU took over.
    """
    if n == 0:
        return
    what = f"objects too large for backend {backend!r}"
    if failure:
        what = f"backend {backend!r} failed ({failure})"
    warn_user(f"{what}: {n:,} were fitted on the CPU (see results.backend)")


def environment_threads() -> int:
    """Number of threads the environment's ``JOINTLIGHT_NUM_THREADS`` asks for.

    Returns
    -------
    int
        0 where it is not set: all cores.

    Raises
    ------
    InvalidInput
        If it is no whole number.
    """
    name = "JOINTLIGHT_NUM_THREADS"
    text = os.environ.get(name, "").strip()
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        what = f"the environment variable {name}"
        raise invalid(what, text, "a whole number, 0 for all cores", "set it so or unset it")
    return int(text)


def _cpu() -> Backend:
    from jointlight import _core

    environment_threads()
    facts = _core.build_info()
    details = {
        "isa": _core.isa(),
        "threads": facts["default_threads"],
        "compiler": facts["compiler"],
    }
    return Backend(name="cpu", available=True, details=details)


def _cuda() -> Backend:
    module, reason = _import_cuda()
    if module is None:
        return Backend(name="cuda", available=False, reason=reason)
    found = module.probe()
    details = {
        "runtime": _version(found["runtime_version"]),
        "architectures": module.architectures(),
        "devices": found["devices"],
    }
    if reason := _why_no_device(found):
        return Backend(name="cuda", available=False, reason=reason, details=details)
    return Backend(name="cuda", available=True, details=details)


def _import_cuda() -> tuple[ModuleType | None, str]:
    """The compiled module, or why it cannot be imported."""
    try:
        return importlib.import_module("jointlight._cuda"), ""
    except ModuleNotFoundError:
        return None, (
            "this installation was built without the CUDA module. With nvcc of the CUDA toolkit 13 "
            "on the PATH, build it from a checkout of jointlight: pip install --force-reinstall "
            "--no-deps . -C cmake.define.JOINTLIGHT_CUDA=ON"
        )
    except ImportError as error:
        return None, (
            f"the CUDA module does not load ({error}). Build it anew from a checkout of "
            "jointlight: pip install --force-reinstall --no-deps . "
            "-C cmake.define.JOINTLIGHT_CUDA=ON"
        )


def _why_no_device(found: dict[str, Any]) -> str:
    """What keeps the CUDA module from running here; empty if nothing does."""
    if not found["message"]:
        return ""
    message = str(found["message"])
    needed = _version(found["runtime_version"])
    if not found["driver"]:
        return f"{message}. Install an NVIDIA driver that supports CUDA {needed} or newer"
    return (
        f"{message}. Check that a GPU is present and visible to this process "
        "(nvidia-smi, CUDA_VISIBLE_DEVICES)"
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
