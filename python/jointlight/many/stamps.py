# SPDX-License-Identifier: BSD-3-Clause
"""The stamps of many objects, with noise, masks and PSFs, on the images of a template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jointlight.errors import Described, InvalidInput, invalid, warn_user
from jointlight.many import arrays
from jointlight.many.arrays import Planes
from jointlight.psf import PSF, MoffatPSF
from jointlight.psf.array import as_psf

if TYPE_CHECKING:
    from jointlight.device_arrays import DeviceArrays
    from jointlight.image import TargetImage

__all__ = ["NOISE", "n_pixels", "read_stamps", "stamp_rows"]

NOISE = ("variance", "std", "weight")

_SAME_SCALE = 0.01  # pixel scales that differ by less are the same


def read_stamps(
    images: Sequence[TargetImage],
    given: Mapping[str, Any],
    n: int,
    problems: dict[int, str],
    lent: DeviceArrays,
) -> tuple[list[dict[str, Any]], NDArray[np.bool_]]:
    """Read what the core needs of each image's stamps.

    Parameters
    ----------
    images : sequence of TargetImage
        Those of the template.
    given : mapping
        data, mask, psf, jacobian and the kinds of noise, as passed.
    n : int
        Number of objects.
    problems : dict
        What is wrong with single objects is added here, by row.
    lent : DeviceArrays
        Where those lie that came from a device.

    Returns
    -------
    stamps : list of dict
        As ``_core.fit_stamps`` takes them, one an image.
    noise_known : ndarray of bool
        Of which objects the noise is known on all images, ``[n]``.
    """
    kinds = [kind for kind in NOISE if given[kind] is not None]
    if len(kinds) > 1:
        raise invalid(", ".join(NOISE), " and ".join(kinds), "at most one of them")
    kind = kinds[0] if kinds else "weight"
    names = tuple(image.name for image in images)
    parts = {key: arrays.by_image(key, value, names) for key, value in given.items()}
    for name in names:
        if parts["data"][name] is None:
            raise InvalidInput(
                f"data has nothing for image {name!r}; it must have stamps for it, or a list with "
                "None for objects that are not on it",
                argument="data",
            )
    out, known = [], np.ones(n, dtype=bool)
    for image in images:
        where = f"[{image.name!r}]" if len(names) > 1 else ""
        here = {key: part[image.name] for key, part in parts.items()}
        stamps, by_noise = _read_image(image, here, kind, where, n, problems)
        stamps |= _places(stamps, n, lent)
        known &= by_noise | image.noise_known
        out.append(stamps)
    return out, known


def stamp_rows(stamps: Mapping[str, Any], rows: slice) -> dict[str, Any]:
    """What the core needs of some objects alone.

    Parameters
    ----------
    stamps : mapping
        One image's, as from `read_stamps`.
    rows : slice
        Which.

    Returns
    -------
    dict
    """
    by_row = (
        "pixels", "noise", "mask", "psf", "psf_pixels", "jacobian", "pixels_at", "noise_at",
    )  # fmt: skip
    return dict(stamps) | {name: stamps[name][rows] for name in by_row if stamps[name] is not None}


def n_pixels(images: Sequence[Mapping[str, Any]], n: int) -> list[int]:
    """Pixels of each object on all images.

    Parameters
    ----------
    images : sequence of mapping
        As from `read_stamps`.
    n : int
        Number of objects.

    Returns
    -------
    list of int
    """
    out = np.zeros(n, dtype=np.int64)
    for stamps in images:
        pixels = stamps["pixels"]
        if isinstance(pixels, np.ndarray):
            out += pixels[0].size if n else 0
        elif pixels is not None:
            out += [0 if one is None else one.size for one in pixels]
    return out.tolist()


def _read_image(
    image: TargetImage,
    here: Mapping[str, Any],
    kind: str,
    where: str,
    n: int,
    problems: dict[int, str],
) -> tuple[dict[str, Any], NDArray[np.bool_]]:
    pixels = arrays.planes(f"data{where}", here["data"], n, problems, unit=image.unit)
    if image.likelihood == "poisson" and here[kind] is not None:
        raise invalid(
            f"{kind}{where}", here[kind], "left out: the template's image has Poisson noise"
        )
    noise, known = arrays.noise_levels(
        f"{kind}{where}", kind, here[kind], n, pixels, problems, image.unit
    )
    mask = arrays.masks(f"mask{where}", here["mask"], n, pixels, problems)
    jacobian = arrays.jacobians(f"jacobian{where}", here["jacobian"], n)
    stamps = {
        "pixels": pixels,
        "kind": kind,
        "noise": noise,
        "mask": _with_template_mask(image, mask, pixels, n),
        "jacobian": jacobian,
        **_read_psf(image, here["psf"], f"psf{where}", n, problems, check=jacobian is None),
    }
    return stamps, known


def _places(stamps: Mapping[str, Any], n: int, lent: DeviceArrays) -> dict[str, Any]:
    """Where pixels and weights lie on a device, which is then the same."""
    device, pixels_at = lent.places(stamps["pixels"], n)
    other, noise_at = lent.places(stamps["noise"], n)
    if pixels_at is not None and other != device:
        noise_at = None
    return {
        "device": max(device, other) if pixels_at is None else device,
        "pixels_at": pixels_at,
        "noise_at": noise_at,
    }


def _with_template_mask(image: TargetImage, mask: Planes, pixels: Planes, n: int) -> Planes:
    """Masks, with the template's for stamps of its shape."""
    if not image.mask.any() or pixels is None:
        return mask
    if isinstance(pixels, np.ndarray) and pixels.shape[1:] != image.shape:
        return mask
    own = np.ascontiguousarray(image.mask)
    out: list[Any] = []
    for row in range(n):
        one = None if mask is None else mask[row]
        if pixels[row] is not None and pixels[row].shape == image.shape:
            one = own if one is None else one | own
        out.append(one)
    return out


def _read_psf(
    image: TargetImage,
    given: Any,
    argument: str,
    n: int,
    problems: dict[int, str],
    *,
    check: bool,
) -> dict[str, Any]:
    from jointlight import _core

    if given is None:
        return {"psfs": None, "psf": None, "psf_pixels": None}
    like: dict[str, Any] = {}
    if isinstance(image.psf, PSF):
        like = {"oversampling": image.psf.oversampling, "kind": image.psf.kind}
    holder: Any = _core.SceneBuilder()
    numbers = np.zeros(n, dtype=np.int64)
    samples: Planes = None
    made: list[PSF] = []
    if arrays.is_listed(given):
        if len(given) != n:
            shown = Described(f"{len(given)} of them")
            raise invalid(argument, shown, f"one, or {n}, one an object")
        known: dict[int, int] = {}
        for row, one in enumerate(given):
            if one is None:
                numbers[row] = -1
                continue
            if id(one) not in known:
                try:
                    made.append(_make_psf(one, argument, like))
                except InvalidInput as error:
                    problems.setdefault(row, str(error))
                    numbers[row] = -1
                    continue
                known[id(one)] = made[-1].to_core(holder)
            numbers[row] = known[id(one)]
    elif np.ndim(given) == 3:
        samples = arrays.planes(argument, given, n, problems)
        assert isinstance(samples, np.ndarray)
        height, width = samples.shape[1:]
        holder.add_psf_array(
            np.ones((height, width)),
            like.get("oversampling", 1),
            ((width - 1) / 2, (height - 1) / 2),
            like.get("kind", "effective"),
        )
    else:
        made.append(_make_psf(given, argument, like))
        made[0].to_core(holder)
    if check:
        _warn_of_scales(image, made)
    return {"psfs": holder, "psf": numbers, "psf_pixels": samples}


def _make_psf(given: Any, argument: str, like: Mapping[str, Any]) -> PSF:
    is_array = not (isinstance(given, PSF | str | bytes) or callable(given))
    psf = PSF(given, **like) if is_array else as_psf(given, argument)
    if isinstance(psf, MoffatPSF):
        psf.refuse_undrawable()
    return psf


def _warn_of_scales(image: TargetImage, psfs: Sequence[PSF]) -> None:
    """Warn of PSFs made for pixels of another size than the image's."""
    scales = [psf.pixelscale for psf in psfs if psf.pixelscale is not None]
    wrong = [one for one in scales if abs(one / image.pixelscale - 1.0) > _SAME_SCALE]
    if wrong:
        which = "the PSF was" if len(psfs) == 1 else f"{len(wrong)} PSFs were"
        warn_user(
            f"{image.name}: {which} made for pixels of {wrong[0]:.5g} arcsec, the image's are "
            f"{image.pixelscale:.5g} arcsec"
        )
