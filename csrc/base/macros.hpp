// SPDX-License-Identifier: BSD-3-Clause
// The one place that knows the compiler: host/device marks, forced inlining, per-ISA namespaces.
#pragma once

#if defined(__CUDACC__)
#define JL_HD __host__ __device__
#else
#define JL_HD
#endif

#if defined(__GNUC__) || defined(__clang__)
#define JL_INLINE inline __attribute__((always_inline))
#define JL_RESTRICT __restrict__
#else
#define JL_INLINE inline
#define JL_RESTRICT
#endif

// Kernels are compiled once per instruction-set level. Everything they may instantiate lives in
// an inline namespace named after the level, so that the linker can never merge, say, an AVX-512
// copy of a template with the baseline one.
#ifndef JL_ISA
#define JL_ISA isa_host
#endif
#define JL_ISA_BEGIN inline namespace JL_ISA {
#define JL_ISA_END }
