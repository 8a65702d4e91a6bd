// SPDX-License-Identifier: BSD-3-Clause
// The lane layout: every pixel (or frequency) of a tile carries its value and its derivatives side
// by side, `[pixel][n_lanes]` float64, so that transforms, products and sums are plain vector code.
#pragma once

#include "base/macros.hpp"

namespace jointlight {

inline constexpr int n_lanes = 8;

JL_ISA_BEGIN

// A vector is exactly one native register: wider ones are lowered through memory.
#if defined(__AVX512F__)
inline constexpr int vector_width = 8;
#elif defined(__AVX__)
inline constexpr int vector_width = 4;
#else
inline constexpr int vector_width = 2;
#endif
inline constexpr int n_vectors = n_lanes / vector_width;

typedef double Vec __attribute__((vector_size(8 * vector_width)));

JL_INLINE Vec load(const double* p) { return *reinterpret_cast<const Vec*>(p); }
JL_INLINE void store(double* p, Vec v) { *reinterpret_cast<Vec*>(p) = v; }

JL_ISA_END
}  // namespace jointlight
