// SPDX-License-Identifier: BSD-3-Clause
// The lane layout: every pixel (or frequency) of a tile carries its value and its derivatives side
// by side, `[pixel][n_lanes]`, so that transforms, products and sums are plain vector code. Lanes
// are float64, or float32 where only derivatives are taken from them.
#pragma once

#include <type_traits>

#include "base/macros.hpp"

namespace jointlight {

inline constexpr int n_lanes = 8;

JL_ISA_BEGIN

// What a vector, or a plain number, is made of.
template <class V>
struct Element {
  using type = std::remove_cvref_t<decltype(V{}[0])>;
};
template <>
struct Element<double> {
  using type = double;
};
template <>
struct Element<float> {
  using type = float;
};
template <class V>
using Scalar = typename Element<V>::type;

#if !defined(__CUDACC__)  // a device thread has plain numbers

// A vector is at most one native register (wider ones are lowered through memory), and at most
// the lanes of one pixel.
#if defined(__AVX512F__)
inline constexpr int vector_width = 8, single_width = 8;
#elif defined(__AVX__)
inline constexpr int vector_width = 4, single_width = 8;
#else
inline constexpr int vector_width = 2, single_width = 4;
#endif
inline constexpr int n_vectors = n_lanes / vector_width;

typedef double Vec __attribute__((vector_size(8 * vector_width)));
typedef float SingleVec __attribute__((vector_size(4 * single_width)));

// Vectors of either kind of lane.
template <class Real>
struct Lanes;
template <>
struct Lanes<double> {
  using Vector = Vec;
  static constexpr int width = vector_width, count = n_vectors;
};
template <>
struct Lanes<float> {
  using Vector = SingleVec;
  static constexpr int width = single_width, count = n_lanes / single_width;
};

JL_INLINE Vec load(const double* p) { return *reinterpret_cast<const Vec*>(p); }
JL_INLINE SingleVec load(const float* p) { return *reinterpret_cast<const SingleVec*>(p); }
JL_INLINE void store(double* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }
JL_INLINE void store(float* p, SingleVec v) { *reinterpret_cast<SingleVec*>(p) = v; }

#endif

JL_ISA_END
}  // namespace jointlight
