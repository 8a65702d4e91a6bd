# SPDX-License-Identifier: BSD-3-Clause
"""pysersic's PixelRenderer on a case: ``python pysersic_jax.py CASE.npz``, one thread, float32.

JAX on the CPU, everything jitted; the first calls, which compile, are not timed. It works in
pixels, with the total flux in place of the brightness at Re and the ellipticity in place of q: as
many derivatives, of its own parameters. Its angle runs counter-clockwise from +y.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

# One thread; read when JAX is imported.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["NPROC"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy as np
from protocol import load, saved, serve
from pysersic.rendering import PixelRenderer

facts, arrays = load(sys.argv[1])
(band,) = facts["bands"]
scale, sigma = (facts[f"{band}_meta"][k] for k in ("pixelscale", "sigma"))
data = jnp.asarray(arrays[f"{band}_data"], jnp.float32)
renderer = PixelRenderer(data.shape, jnp.asarray(arrays[f"{band}_psf"], jnp.float32))

x, y, q, pa, re, n, flux = arrays["truth"].tolist()
middle = [(size - 1) / 2 for size in data.shape]
values = {
    "xc": middle[1] - x / scale,
    "yc": middle[0] + y / scale,
    "flux": flux,
    "r_eff": re / scale,
    "n": n,
    "ellip": 1 - q,
    "theta": np.radians(pa),
}
vector = jnp.array(list(values.values()), jnp.float32)


def render(v: jax.Array) -> jax.Array:
    """The convolved image."""
    return renderer.render_source(dict(zip(values, v, strict=True)), "sersic")


def normal_equations(v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What a least-squares step needs, from the image and its derivatives."""
    rows = jax.jacfwd(render)(v).reshape(-1, len(v))
    weighted = rows / sigma**2
    return weighted.T @ rows, weighted.T @ (data - render(v)).ravel()


def timed(function):
    """Jitted, at the truth, waiting for the result."""
    compiled = jax.jit(function)
    return lambda: jax.block_until_ready(compiled(vector))


def result() -> dict:
    """Where the image is."""
    return saved(render(vector))


versions = {
    "pysersic": version("pysersic"),
    "jax": jax.__version__,
    "numpy": np.__version__,
}
quantities = {
    "image": timed(render),
    "jacobian": timed(jax.jacfwd(render)),
    "linearize": timed(normal_equations),
}
serve(versions, quantities, result)
