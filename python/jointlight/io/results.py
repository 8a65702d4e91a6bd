# SPDX-License-Identifier: BSD-3-Clause
"""Results as ASDF files.

The file holds plain numbers, text and arrays only, so it can be read without jointlight: the
solution and its covariance, all images with their WCS and PSFs, the model's structure, and the
tables. What has a node for every source is JSON text in an array of bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.table import QTable
from scipy import sparse

from jointlight.errors import InvalidInput, invalid
from jointlight.io.images import image_from_tree, image_to_tree
from jointlight.io.models import model_from_tree, model_of_result, model_to_tree
from jointlight.io.packed import packed, unpacked
from jointlight.result import Component, FitResult, FreeParameter, SlotState

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load", "write_result"]

FORMAT: Final = 2  # 1 was never released

_SCALARS = ("status", "message", "covariance_scale", "time_s", "n_linearize", "n_chi2", "dof",
            "chi2", "backend", "precision")  # fmt: skip
_ARRAYS = ("values", "initial", "at_bound", "degenerate", "chi2_images", "n_pixels_images",
           "component_of", "chi2_tiles", "n_pixels_tiles")  # fmt: skip
_TEXTS = ("component_status", "source_status")


def write_result(result: FitResult, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a result to an ASDF file.

    Parameters
    ----------
    result : FitResult
        The result; its model is written with the values of the fit, wherever it is now.
    path : str or Path
        The file.
    overwrite : bool, optional
        Replace an existing file.
    """
    import asdf

    path = checked_output(path, overwrite)
    tree = {
        "jointlight": {"format": FORMAT, "kind": "fit result"},
        "result": _result_tree(result),
        "images": [image_to_tree(image) for image in result.images],
        "model": _model_tree(result),
        "tables": {
            name: _table_tree(getattr(result, name))
            for name in ("table", "sources", "components", "history")
        },
    }
    # Written beside and moved, so that a failure leaves no half a file and an old one intact.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        asdf.AsdfFile(tree).write_to(partial, all_array_compression="zlib")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def checked_output(path: str | Path, overwrite: bool) -> Path:
    """A path that may be written.

    Parameters
    ----------
    path : str or Path
        The path.
    overwrite : bool
        Whether it may exist.

    Returns
    -------
    Path
        The path.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True to replace it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to")
    return path


def load(path: str | Path) -> FitResult:
    """Read a result that `FitResult.write` wrote.

    Parameters
    ----------
    path : str or Path
        The ASDF file.

    Returns
    -------
    FitResult
        With its images and its model.
    """
    import asdf

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with asdf.open(path, memmap=False, lazy_load=False) as file:
            tree = dict(file.tree)
    except ValueError as error:
        raise invalid("path", str(path), "an ASDF file", str(error)) from error
    head = tree.get("jointlight", {})
    if head.get("kind") != "fit result":
        raise invalid("path", str(path), "a file that FitResult.write wrote")
    if head["format"] != FORMAT:
        remedy = "update it" if head["format"] > FORMAT else "write the file again"
        raise InvalidInput(
            f"{path} has format {head['format']}, this version reads {FORMAT}; {remedy}"
        )
    images = tuple(image_from_tree(item) for item in tree["images"])
    model = None
    if tree["model"] is not None:
        model = model_from_tree(unpacked(tree["model"]), images)
    raw = tree["result"]
    arrays: dict[str, Any] = {name: np.array(raw[name]) for name in _ARRAYS}
    arrays |= {name: tuple(unpacked(raw[name])) for name in _TEXTS}
    return FitResult(
        **{name: raw[name] for name in _SCALARS if name in raw},
        **arrays,
        parameters=tuple(FreeParameter(**item) for item in unpacked(raw["parameters"])),
        raw_covariance=_covariance_from_tree(raw["covariance"]),
        images=images,
        slots=_slots_from_tree(raw["slots"]),
        model=model,
        options=dict(raw["options"]),
        timing=dict(raw["timing"]),
        raw_history={name: np.array(column) for name, column in raw["history"].items()},
    )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _result_tree(result: FitResult) -> dict[str, Any]:
    return {
        **{name: _plain(getattr(result, name)) for name in _SCALARS},
        **{name: np.array(getattr(result, name)) for name in _ARRAYS},
        **{name: packed(getattr(result, name)) for name in _TEXTS},
        "parameters": packed([vars(parameter) for parameter in result.parameters]),
        "covariance": _covariance_tree(result.raw_covariance),
        "options": {k: _plain(v) for k, v in result.options.items()},
        "timing": {k: float(v) for k, v in result.timing.items()},
        "history": {k: np.array(v) for k, v in result.raw_history.items()},
        "slots": _slots_tree(result.slots),
    }  # fmt: skip


def _covariance_tree(covariance: Any) -> Any:
    """An array; of a sparse one, the lower triangle by compressed columns."""
    if covariance is None:
        return None
    return _compressed(covariance) if sparse.issparse(covariance) else np.array(covariance)


def _covariance_from_tree(tree: Any) -> Any:
    if not isinstance(tree, Mapping):
        return None if tree is None else np.array(tree)
    parts = tuple(np.array(tree[name]) for name in ("data", "indices", "indptr"))
    return sparse.csc_array(parts, shape=tuple(tree["shape"]))


def _compressed(matrix: Any) -> dict[str, Any]:
    return {
        "data": np.array(matrix.data),
        "indices": np.array(matrix.indices),
        "indptr": np.array(matrix.indptr),
        "shape": [int(n) for n in matrix.shape],
    }


def _slots_tree(state: SlotState) -> dict[str, Any]:
    return {
        "values": np.array(state.values),
        "jacobian": _compressed(state.jacobian.tocsr()),
        "components": packed([vars(component) for component in state.components]),
        "keys": packed(dict(state.keys)),
    }


def _slots_from_tree(tree: Mapping[str, Any]) -> SlotState:
    matrix = tree["jacobian"]
    return SlotState(
        values=np.array(tree["values"]),
        jacobian=sparse.csr_array(
            (np.array(matrix["data"]), np.array(matrix["indices"]), np.array(matrix["indptr"])),
            shape=tuple(matrix["shape"]),
        ),
        components=tuple(
            Component(**{**c, "slot_names": tuple(c["slot_names"]), "slots": tuple(c["slots"])})
            for c in unpacked(tree["components"])
        ),
        keys=unpacked(tree["keys"]),
    )


def _model_tree(result: FitResult) -> dict[str, Any] | None:
    model = model_of_result(result)
    return None if model is None else packed(model_to_tree(model, result.images))


def _table_tree(table: QTable) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for name in table.colnames:
        column = table[name]
        unit = getattr(column, "unit", None)
        values: NDArray[Any] = np.asarray(getattr(column, "value", column))
        text = values.dtype.kind in "US"
        columns[name] = {
            "values": packed([str(v) for v in values]) if text else values,
            "unit": None if unit is None else unit.to_string(),
        }
    return columns
