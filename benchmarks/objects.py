# SPDX-License-Identifier: BSD-3-Clause
"""Single objects in many images: bulge and disc in nine bands, a transient in its host.

    python -m benchmarks.objects nine_bands|transient FILE [THREADS]

prints the times of one process as JSON; `benchmarks.table` makes the file and calls it. Data are
GalSim's, with noise.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .cases import demo_problem, exposures
from .peers.protocol import peak_mb

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Band = demo_problem.Band
WIDTHS = (0.9, 0.8, 0.75, 0.7, 0.62, 0.65, 0.68)  # arcsec, FWHM
# Space optical, four ground bands, three of near infrared, one of ultraviolet: 12.8" on a side.
BANDS = (
    Band("VIS", 128, 0.1, 1.0, 0.17, 25.0),
    *(Band(b, 64, 0.2, 2.0, w, 25.0, 15.0, 1) for b, w in zip("griz", WIDTHS[:4], strict=True)),
    *(Band(b, 43, 0.3, 2.5, w, 25.0, 31.0) for b, w in zip("YJH", WIDTHS[4:], strict=True)),
    Band("u", 32, 0.4, 2.0, 1.1, 25.0, -12.0),
)
N_OBJECTS, N_EPOCHS = 12, 100
BULGE = ("q", "PA", "Re", "n")
DISC = ("q", "PA", "Re")


def nine_band_objects(seed: int = 9) -> tuple[NDArray, NDArray, NDArray]:
    """Truth and starts [n, 9]: x, y, bulge's q, PA, Re, n, disc's q, PA, Re; fluxes [n, 2, 9]."""
    rng = np.random.default_rng(seed)
    n = N_OBJECTS
    angle = rng.uniform(0.0, 180.0, n)
    truth = np.column_stack(
        [
            *rng.uniform(-0.1, 0.1, (2, n)),
            rng.uniform(0.7, 0.95, n),
            angle,
            rng.uniform(0.3, 0.6, n),
            np.full(n, 4.0),
            rng.uniform(0.3, 0.8, n),
            angle,
            rng.uniform(1.0, 2.0, n),
        ]
    )
    total = 4000.0 * np.exp(rng.uniform(0.0, 1.0, (n, 1))) * np.linspace(0.6, 1.6, len(BANDS))
    share = rng.uniform(0.25, 0.5, (n, 1)) * np.linspace(0.7, 1.3, len(BANDS))
    fluxes = np.stack([total * share, total * (1.0 - share)], axis=1)
    off = rng.uniform(0.2, 0.5, truth.shape) * rng.choice([-1.0, 1.0], truth.shape)
    start = truth * (1.0 + off)
    start[:, :2] = truth[:, :2] + 0.3 * off[:, :2]
    start[:, [3, 7]] = truth[:, [3, 7]] + 90.0 * off[:, [3, 7]]
    start[:, [2, 6]] = np.clip(start[:, [2, 6]], 0.2, 0.95)
    start[:, 5] = np.clip(start[:, 5], 2.0, 6.0)
    return truth, start, fluxes


def draw(v: NDArray, fluxes: NDArray, band: Band) -> NDArray:
    """Bulge and disc in one band."""
    import galsim

    x, y, q_b, pa_b, r_b, _, q_d, pa_d, r_d = v.tolist()
    (px, py), jacobian = band.local_map(x, y)
    wcs = galsim.JacobianWCS(*jacobian.ravel())
    parts = [
        galsim.DeVaucouleurs(half_light_radius=r_b * np.sqrt(q_b), flux=fluxes[0]).shear(
            q=q_b, beta=(90.0 - pa_b) * galsim.degrees
        ),
        galsim.Exponential(half_light_radius=r_d * np.sqrt(q_d), flux=fluxes[1]).shear(
            q=q_d, beta=(90.0 - pa_d) * galsim.degrees
        ),
    ]
    both = galsim.Convolve([galsim.Add(parts), galsim.Gaussian(fwhm=band.fwhm)])
    middle = (band.size - 1) / 2
    drawn = both.drawImage(
        nx=band.size, ny=band.size, wcs=wcs, offset=(px - middle, py - middle), dtype=float
    )
    return np.array(drawn.array)


def write_nine_bands(path: Path) -> None:
    """Data of all objects in all bands."""
    truth, _, fluxes = nine_band_objects()
    rng = np.random.default_rng(10)
    data = {}
    for i, v in enumerate(truth):
        for k, band in enumerate(BANDS):
            image = draw(v, fluxes[i, :, k], band)
            data[f"{i}_{band.name}"] = image + rng.normal(0.0, band.sigma, image.shape)
    np.savez(path, **data)


def build_nine_bands(data: dict[str, NDArray], index: int, name: str | None = None) -> Any:
    """Model of one object at its start, on data by "object_band"."""
    import jointlight as jl

    _, start, fluxes = nine_band_objects()
    images = jl.TargetImageList(
        [
            jl.TargetImage(
                data[f"{index}_{b.name}"],
                wcs=b.wcs(),
                variance=b.sigma**2,
                zeropoint=b.zeropoint,
                psf=jl.gaussian_psf(fwhm=b.fwhm, pixelscale=b.pixelscale),
                name=b.name,
            )
            for b in BANDS
        ],
        reference=(demo_problem.RA, demo_problem.DEC),
    )
    v = start[index]
    wrong = 1.0 + 0.3 * np.resize([1.0, -1.0], len(BANDS))
    options = {"target": images, "amplitude": "flux", "center": tuple(v[:2])}
    bulge = jl.joint(
        "sersic galaxy",
        name="bulge",
        flux=fluxes[index, 0] * wrong,
        **dict(zip(BULGE, v[2:6], strict=True)),
        **options,
    )
    disc = jl.joint(
        "exponential galaxy",
        name="disc",
        flux=fluxes[index, 1] * wrong[::-1],
        **dict(zip(DISC, v[6:], strict=True)),
        **options,
    )
    disc["center"].tie(bulge["center"])
    return jl.Group([bulge, disc], target=images, name=name or f"object {index}")


def measure_nine_bands(path: str, n_threads: int) -> dict[str, Any]:
    """Objects a second: building images and models, then compiling and fitting."""
    import jointlight as jl

    truth, _, _ = nine_band_objects()
    with np.load(path) as file:
        data = {k: file[k] for k in file.files}

    def build(i: int) -> Any:
        return build_nine_bands(data, i)

    build(0).fit(n_threads=n_threads)  # what the first fit of a process pays is measured elsewhere
    times = {"build": 0.0, "fit": 0.0}
    models = [build(i) for i in range(N_OBJECTS)]
    began = time.perf_counter()
    many = jl.fit_many(models, n_threads=n_threads)
    times["fit_many"] = time.perf_counter() - began
    statuses, evaluations, pulls = [], [], []
    for i in range(N_OBJECTS):
        began = time.perf_counter()
        model = build(i)
        built = time.perf_counter()
        result = model.fit(n_threads=n_threads)
        times["fit"] += time.perf_counter() - built
        times["build"] += built - began
        statuses.append(result.status)
        evaluations.append(int(result.n_linearize))
        # Sizes, which no angle's period or order of the parameters confuses.
        for name, column in (("bulge", 4), ("disc", 8)):
            parameter = model[name]["Re"]
            error = float(parameter.uncertainty)
            pulls.append((float(parameter.value) - truth[i, column]) / error)
    return {
        "seconds": times,
        "n": N_OBJECTS,
        "n_free": int(result.n_free),
        "per_second": N_OBJECTS / times["fit_many"],
        "per_second_one_by_one": N_OBJECTS / times["fit"],
        "per_second_with_build": N_OBJECTS / (times["fit_many"] + times["build"]),
        "core_ms": 1e3 * float(np.mean(many.time)),
        "status": statuses,
        "n_linearize": evaluations,
        "agreement": {"rms_pull_of_Re": float(np.sqrt(np.mean(np.square(pulls))))},
        "peak_mb": round(peak_mb()),
    }


# ---- transient ---------------------------------------------------------------------------------

HOST = np.array([[0.0, 0.0, 0.6, 35.0, 1.1, 1.5, 1500.0]])
PLACE = (0.55, 0.4)  # of the transient, arcsec
FIRST = 40  # exposure in which it is first there


def curve() -> NDArray:
    """Fluxes of the transient."""
    days = np.arange(N_EPOCHS) - FIRST
    return np.where(days < 0, 0.0, 300.0 * (days + 3.0) / 10.0 * np.exp(-days / 18.0))


def write_transient(path: Path) -> None:
    """100 exposures of 100 WCS."""
    import galsim

    rng = np.random.default_rng(11)
    data, headers = [], []
    for k, flux in enumerate(curve()):
        header = exposures.make_header(k, False, rng)
        image = exposures.draw(header, HOST)
        if flux > 0.0:
            pixel, _ = exposures.place(header, *PLACE)
            offset = pixel - (exposures.SIZE - 1) / 2
            star = galsim.Gaussian(fwhm=exposures.FWHM / exposures.SCALE, flux=flux)
            image += star.drawImage(
                nx=exposures.SIZE, ny=exposures.SIZE, scale=1.0, offset=tuple(offset), dtype=float
            ).array
        data.append(image + rng.normal(0.0, exposures.SIGMA, image.shape))
        headers.append(header.tostring())
    np.savez(path, data=np.array(data), headers=np.array(headers))


def measure_transient(path: str, n_threads: int) -> dict[str, Any]:
    """Building images and models, and compiling and fitting."""
    from astropy.io.fits import Header

    import jointlight as jl

    with np.load(path) as file:
        pairs = zip(file["data"], file["headers"], strict=True)
        taken = [exposures.Exposure(d, Header.fromstring(str(h))) for d, h in pairs]
    true = curve()

    def build() -> Any:
        start = HOST * [1, 1, 1.2, 1.2, 0.7, 1.4, 0.75]
        host = exposures.build(jl, taken, start)
        images = host.target
        names = [image.name for image in images]
        flux = dict(zip(names, np.where(true > 0.0, 0.6 * true + 40.0, 0.0), strict=True))
        new = jl.joint(
            "point", target=images, name="transient", center=(PLACE[0] + 0.1, 0.3), flux=flux
        )
        for name, there in zip(names, true > 0.0, strict=True):
            new["flux"][name].fixed = not there
        return jl.Group([*host.models, new], target=images, name="host and transient")

    build().fit(n_threads=n_threads)
    began = time.perf_counter()
    model = build()
    built = time.perf_counter()
    result = model.fit(n_threads=n_threads)
    done = time.perf_counter()
    light = model["transient"]["flux"]
    names = [image.name for image in model.target]
    pulls = [
        (float(light[n].value) - t) / float(light[n].uncertainty)
        for n, t in zip(names, true, strict=True)
        if t > 0.0
    ]
    return {
        "seconds": {"build": built - began, "fit": done - built},
        "n_free": int(result.n_free),
        "status": result.status,
        "n_linearize": int(result.n_linearize),
        "agreement": {"rms_pull_of_fluxes": float(np.sqrt(np.mean(np.square(pulls))))},
        "peak_mb": round(peak_mb()),
    }


WRITE = {"nine_bands": write_nine_bands, "transient": write_transient}
MEASURE = {"nine_bands": measure_nine_bands, "transient": measure_transient}

if __name__ == "__main__":
    _, which, file_name, *rest = sys.argv
    print(json.dumps(MEASURE[which](file_name, int(rest[0]) if rest else 1)))
