# SPDX-License-Identifier: BSD-3-Clause
"""Derive the minimax coefficients of ``csrc/base/vmath.hpp`` (Remez exchange in mpmath).

Run it and paste the printed tables; each line ends with the relative error that remains.
"""

from collections.abc import Callable

import mpmath as mp

mp.mp.dps = 50


def remez(
    f: Callable[[mp.mpf], mp.mpf],
    weight: Callable[[mp.mpf], mp.mpf],
    lo: mp.mpf,
    hi: mp.mpf,
    degree: int,
) -> tuple[list[mp.mpf], mp.mpf]:
    """Polynomial of ``degree`` that minimises ``max |weight (f - p)|`` on ``[lo, hi]``."""
    m = degree + 2
    ref = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * i / (m - 1)) for i in range(m)]
    grid = [(lo + hi) / 2 - (hi - lo) / 2 * mp.cos(mp.pi * i / 1500) for i in range(1501)]
    values = [(f(x), weight(x)) for x in grid]
    coefs: list[mp.mpf] = []
    worst = mp.mpf(0)
    for _ in range(12):
        a = mp.matrix(m, m)
        b = mp.matrix(m, 1)
        for i, x in enumerate(ref):
            for j in range(degree + 1):
                a[i, j] = x**j
            a[i, m - 1] = (-1) ** i / weight(x)
            b[i] = f(x)
        solution = mp.lu_solve(a, b)
        coefs = [solution[j] for j in range(degree + 1)]
        error = [
            w * (v - mp.polyval(coefs[::-1], x)) for x, (v, w) in zip(grid, values, strict=True)
        ]
        worst = max(abs(e) for e in error)
        # One extremum for each run of one sign.
        picks: list[int] = []
        for i, e in enumerate(error):
            if picks and (error[picks[-1]] > 0) == (e > 0):
                if abs(e) > abs(error[picks[-1]]):
                    picks[-1] = i
            else:
                picks.append(i)
        while len(picks) > m:
            picks.pop(0 if abs(error[picks[0]]) < abs(error[picks[-1]]) else -1)
        if len(picks) < m or worst < abs(solution[m - 1]) * mp.mpf("1.001"):
            break
        ref = [grid[i] for i in picks]
    return coefs, worst


def show(name: str, coefs: list[mp.mpf], error: mp.mpf, digits: int) -> None:
    print(f"{name}  // {mp.nstr(error, 3)}")
    for c in coefs:
        print(f"    {mp.nstr(c, digits)},")


def main() -> None:
    half = mp.log(2) / 2 * mp.mpf("1.0001")

    def exp_rest(r: mp.mpf) -> mp.mpf:  # exp(r) = 1 + r + r^2 rest(r)
        if abs(r) > mp.mpf("1e-3"):
            return (mp.exp(r) - 1 - r) / r**2
        return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, 14])

    def log_rest(z: mp.mpf) -> mp.mpf:  # atanh(s) = s + s z rest(z), z = s^2
        if z > mp.mpf("1e-6"):
            return (mp.atanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z
        return mp.nsum(lambda k: z**k / (2 * k + 3), [0, 12])

    top = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.001")

    def exp_weight(r: mp.mpf) -> mp.mpf:
        return (r**2 + mp.mpf("1e-6")) / mp.exp(r)

    def log_weight(z: mp.mpf) -> mp.mpf:
        return z + mp.mpf("1e-6")

    for name, degree, digits in (("exp double", 9, 21), ("exp float", 4, 12)):
        show(name, *remez(exp_rest, exp_weight, -half, half, degree), digits)
    for name, degree, digits in (("log double", 6, 21), ("log float", 2, 12)):
        show(name, *remez(log_rest, log_weight, mp.mpf(0), top, degree), digits)
    ln2 = mp.log(2)
    hi = mp.floor(ln2 * 2**32) / 2**32  # 32 bits: an exponent times this is exact
    print("ln2 hi", float(hi).hex(), "lo", mp.nstr(ln2 - hi, 21))
    hi = mp.floor(ln2 * 2**15) / 2**15
    print("ln2f hi", float(hi).hex(), "lo", mp.nstr(ln2 - hi, 12))
    print("1/ln2", mp.nstr(1 / ln2, 21))


if __name__ == "__main__":
    main()
