# SPDX-License-Identifier: BSD-3-Clause
"""Write ``tests/cpp/special_values.hpp``: reference values of special functions, from mpmath.

Run from the repository root: ``python tests/reference/make_special_values.py``.
"""

from itertools import product
from pathlib import Path

import mpmath as mp

mp.mp.dps = 40
TARGET = Path(__file__).parents[1] / "cpp" / "special_values.hpp"


def row(*numbers: object) -> str:
    return "    {" + ", ".join(mp.nstr(mp.mpf(x), 20) for x in numbers) + "},\n"


def sersic_b(n: mp.mpf) -> mp.mpf:
    def excess(b: mp.mpf) -> mp.mpf:
        return mp.gammainc(2 * n, 0, b, regularized=True) - mp.mpf(1) / 2

    return mp.findroot(excess, (mp.mpf("1e-3"), 2 * n + 1), solver="anderson", tol=1e-35)


def main() -> None:
    text = (
        "// SPDX-License-Identifier: BSD-3-Clause\n"
        "// Written by tests/reference/make_special_values.py (mpmath); do not edit.\n"
        "#pragma once\n\n"
    )
    text += "// n, b, db/dn\ninline constexpr double sersic_b_values[][3] = {\n"
    for n in (0.3, 0.36, 0.5, 0.8, 1.0, 2.0, 4.0, 6.5, 10.0):
        text += row(mp.mpf(n), sersic_b(mp.mpf(n)), mp.diff(sersic_b, mp.mpf(n)))
    text += "};\n\n// a, x, P, Q, dP/da\ninline constexpr double gamma_p_values[][5] = {\n"
    shapes, points = (0.6, 1.0, 3.3, 8.0, 20.0), (1e-3, 0.1, 0.5, 1.0, 3.0, 8.0, 19.0, 31.0, 60.0)
    for a, x in product(map(mp.mpf, shapes), map(mp.mpf, points)):
        p = mp.gammainc(a, 0, x, regularized=True)
        slope = mp.diff(lambda t, x=x: mp.gammainc(t, 0, x, regularized=True), a)
        text += row(a, x, p, mp.gammainc(a, x, mp.inf, regularized=True), slope)
    text += "};\n\n// Re s, Im s, Re and Im of ln Gamma(s)\n"
    text += "inline constexpr double log_gamma_values[][4] = {\n"
    reals, imaginaries = (-7.3, -2.125, -0.5, 0.03125, 0.5, 1.0, 1.5, 2.0, 9.0, 30.0), (
        0.0, 1e-3, 0.7, -5.0, 40.0, 300.0)  # fmt: skip
    for re, im in product(reals, imaginaries):
        value = mp.loggamma(mp.mpc(re, im))
        text += row(mp.mpf(re), mp.mpf(im), value.real, value.imag)
    text += "};\n"
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
