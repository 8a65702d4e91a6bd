// SPDX-License-Identifier: BSD-3-Clause
// A number that counts what is done with it, for code that is written for any kind of number.
#pragma once

#include "base/macros.hpp"

namespace jointlight {

// Operations in float64, as the source has them: + - * / and a square root are one each, a fused
// multiply-add is two; comparisons, signs and what is made of indices alone are none. exp_ and log_
// (vmath.hpp) are what is written there, whatever becomes of a constant; a sine or cosine is the
// library's, and taken as an exponential.
inline constexpr int flops_exp = 29, flops_log = 25, flops_sine = flops_exp;

struct Counting {
  double value = 0.0;
  int* count = nullptr;  // null: a constant

  constexpr Counting() = default;
  JL_HD explicit constexpr Counting(double v, int* counter = nullptr) : value(v), count(counter) {}

  JL_HD Counting made(double v, Counting other, int flops = 1) const {
    int* const counter = count != nullptr ? count : other.count;
    if (counter != nullptr) *counter += flops;
    return Counting(v, counter);
  }
};

JL_HD inline Counting operator+(Counting a, Counting b) { return a.made(a.value + b.value, b); }
JL_HD inline Counting operator-(Counting a, Counting b) { return a.made(a.value - b.value, b); }
JL_HD inline Counting operator*(Counting a, Counting b) { return a.made(a.value * b.value, b); }
JL_HD inline Counting operator/(Counting a, Counting b) { return a.made(a.value / b.value, b); }
JL_HD inline Counting operator-(Counting a) { return Counting(-a.value, a.count); }
JL_HD inline bool operator<(Counting a, Counting b) { return a.value < b.value; }
JL_HD inline bool operator>(Counting a, Counting b) { return a.value > b.value; }
// What they give does not matter here.
JL_HD inline Counting exp_(Counting a) { return a.made(1.0, a, flops_exp); }
JL_HD inline Counting log_(Counting a) { return a.made(1.0, a, flops_log); }

}  // namespace jointlight
