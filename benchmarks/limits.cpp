// SPDX-License-Identifier: BSD-3-Clause
// What this processor can do at best, one thread: the limits that the stages are set against.
// Compiled by limits.py with the kernels' flags for the level that the package dispatches to;
// prints JSON. Every figure is the best of several rounds.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "base/aligned.hpp"
#include "base/fft.hpp"
#include "base/fft_plan.hpp"
#include "base/vmath.hpp"

using namespace jointlight;

namespace {

volatile double sink = 0.0;

template <class Body>
double best_seconds(const Body& body, int rounds = 15) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const auto began = std::chrono::steady_clock::now();
    body();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    best = std::min(best, took.count());
  }
  return best;
}

// ns a value of a function over an array that stays in the first cache.
template <class Function>
double per_value(const Function& function, double low, double high) {
  constexpr int n = 1024, repeats = 400;
  alignas(64) static double in[n], out[n];
  for (int i = 0; i < n; ++i) in[i] = low + (high - low) * i / n;
  const double seconds = best_seconds([&] {
    for (int r = 0; r < repeats; ++r) {
      for (int i = 0; i < n; ++i) out[i] = function(in[i]);
      in[r % n] += 1e-12;
    }
    sink = sink + out[7];
  });
  return 1e9 * seconds / (static_cast<double>(n) * repeats);
}

// Multiply-adds a second in vectors that stay in registers, each chain waiting for itself only.
double fma_rate() {
  constexpr int chains = 12, steps = 20000;
  const double seconds = best_seconds([&] {
    Vec a[chains];
    const Vec b = Vec{} + 0.999999, c = Vec{} + 1e-7;
    for (int k = 0; k < chains; ++k) a[k] = Vec{} + (1.0 + 0.01 * k);
    for (int s = 0; s < steps; ++s) {
      for (int k = 0; k < chains; ++k) a[k] = a[k] * b + c;
    }
    Vec sum{};
    for (int k = 0; k < chains; ++k) sum += a[k];
    sink = sink + sum[0];
  });
  return static_cast<double>(chains) * steps * vector_width / seconds;
}

// Bytes a second read from a block of the given size.
double read_rate(std::size_t bytes) {
  const std::size_t n = bytes / sizeof(double);
  AlignedBuffer<double> block;
  block.resize(n);
  for (std::size_t i = 0; i < n; ++i) block.data()[i] = 1e-3 * static_cast<double>(i % 7);
  const int passes = static_cast<int>(std::max<std::size_t>(1, (std::size_t{32} << 20) / bytes));
  const double seconds = best_seconds([&] {
    Vec sum[8] = {};
    for (int p = 0; p < passes; ++p) {
      const double* from = block.data();
      for (std::size_t i = 0; i + 8 * vector_width <= n; i += 8 * vector_width) {
        for (int k = 0; k < 8; ++k) {
          sum[k] += load(from + i + static_cast<std::size_t>(k) * vector_width);
        }
      }
      sum[p % 8] *= 0.5;
    }
    for (const Vec& s : sum) sink = sink + s[0];
  });
  return static_cast<double>(bytes) * passes / seconds;
}

// ns a point (one complex number in each of the 8 lanes) of a transform of the given length.
double fft_per_point(int size) {
  const FftPlan plan(size);
  AlignedBuffer<double> memory;
  const std::size_t length = 2 * static_cast<std::size_t>(size) * vector_width;
  memory.resize(2 * length);
  std::fill_n(memory.data(), 2 * length, 1e-3);
  auto* a = reinterpret_cast<Complex<Vec>*>(memory.data());
  auto* b = a + size;
  const int repeats = std::max(1, 40000 / size);
  const double seconds = best_seconds([&] {
    for (int r = 0; r < repeats; ++r) {
      const Complex<Vec>* done = inverse_fft(plan.view(), a, b);
      sink = sink + done[1].re[0];
      for (int i = 0; i < size; ++i) a[i] = {Vec{} + 1e-3, Vec{}};
    }
  });
  return 1e9 * seconds * n_vectors / (static_cast<double>(size) * repeats);
}

}  // namespace

int main() {
  std::printf("{\"vector_width\": %d", vector_width);
  std::printf(", \"exp_ns\": %.4f", per_value([](double x) { return exp_(x); }, -20.0, 2.0));
  std::printf(", \"log_ns\": %.4f", per_value([](double x) { return log_(x); }, 1e-3, 50.0));
  std::printf(", \"fma_per_s\": %.4g", fma_rate());
  const struct {
    const char* name;
    std::size_t bytes;
  } blocks[] = {{"l1", std::size_t{24} << 10},
                {"l2", std::size_t{512} << 10},
                {"l3", std::size_t{8} << 20},
                {"memory", std::size_t{256} << 20}};
  for (const auto& [name, bytes] : blocks) {
    std::printf(", \"read_%s_bytes_per_s\": %.4g", name, read_rate(bytes));
  }
  std::printf(", \"fft_ns_per_point\": {");
  const int sizes[] = {32, 72, 108, 144, 216, 540, 576};
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    std::printf("%s\"%d\": %.3f", i > 0 ? ", " : "", sizes[i], fft_per_point(sizes[i]));
  }
  std::printf("}}\n");
}
