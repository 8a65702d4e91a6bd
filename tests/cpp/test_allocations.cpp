// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/base/*.cpp csrc/scene/*.cpp csrc/backend/cpu/*.cpp csrc/solve/scene_problem.cpp
// sources: csrc/solve/normal_layout.cpp csrc/solve/scene_refine.cpp csrc/solve/sparse.cpp
// needs: kernels eigen
// Evaluations of a planned scene allocate nothing: every operator new is counted.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "backend/cpu/cpu_backend.hpp"
#include "check.hpp"
#include "scene/profile_registry.hpp"
#include "solve/scene_problem.hpp"

namespace {

long allocations = 0;

void* counted(std::size_t size, std::size_t alignment) {
  ++allocations;
  size = (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, size == 0 ? alignment : size);
  if (memory == nullptr) std::abort();
  return memory;
}

constexpr std::size_t plain = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(std::size_t size) { return counted(size, plain); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

using namespace jointlight;

namespace {

int size = 64;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

int add_slots(ParameterSpec& p, std::vector<int>& slots, std::initializer_list<double> start) {
  for (const double value : start) {
    slots.push_back(p.n_slots++);
    p.start.push_back(value);
    p.lower.push_back(-HUGE_VAL);
    p.upper.push_back(HUGE_VAL);
    p.indices.push_back(p.n_free++);
    p.row_start.push_back(static_cast<int>(p.indices.size()));
    p.coefficients.push_back(1.0);
    p.constants.push_back(0.0);
    p.prior_mean.push_back(NAN);
    p.prior_sigma.push_back(NAN);
  }
  return p.n_slots;
}

TileSpec tile(ComponentKind kind, int image, int psf, int n_slots) {
  TileSpec out;
  TileGeometry& g = out.geometry;
  g.kind = kind;
  g.n_slots = n_slots;
  g.map.jacobian[0] = g.map.jacobian[3] = 1.0;
  g.map.inverse[0] = g.map.inverse[3] = 1.0;
  if (kind == ComponentKind::profile) {
    g.profile = find_profile("sersic");
    g.n_shape = 1;
  }
  out.image = image;
  out.psf = psf;
  out.x_end = out.y_end = size;
  return out;
}

// Two overlapping galaxies, a star and a sky under a PSF, and a galaxy without one.
SceneSpec specified() {
  SceneSpec spec;
  for (int i = 0; i < 2; ++i) {
    ImageSpec image;
    image.width = image.height = size;
    image.data.assign(at(size) * at(size), 0.1);
    image.weight.assign(at(size) * at(size), 1.0);
    spec.images.push_back(std::move(image));
  }
  Psf psf;
  psf.form = Psf::Form::gaussian;
  psf.includes_pixel = false;
  psf.params[0] = 1.5;
  psf.extent = 15.0;
  spec.psfs.push_back(psf);
  ParameterSpec& p = spec.parameters;
  p.row_start.push_back(0);
  for (int k = 0; k < 3; ++k) {
    TileSpec galaxy = tile(ComponentKind::profile, k == 2 ? 1 : 0, k == 2 ? -1 : 0, 7);
    add_slots(
        p, galaxy.slots,
        {0.5 * size - 3.7 + 6.0 * k, 0.5 * size - 1.4, 0.6, 40.0, size / 13.0, 2.0 + 0.5 * k, 3.0});
    galaxy.source = k;
    spec.tiles.push_back(std::move(galaxy));
  }
  TileSpec star = tile(ComponentKind::point, 0, 0, 3);
  add_slots(p, star.slots, {40.2, 40.7, 90.0});
  star.source = 3;
  spec.tiles.push_back(std::move(star));
  TileSpec sky = tile(ComponentKind::plane_sky, 0, -1, 3);
  add_slots(p, sky.slots, {0.1, 0.001, -0.001});
  sky.source = 4;
  spec.tiles.push_back(std::move(sky));
  return spec;
}

template <class Body>
long count(const Body& body) {
  const long before = allocations;
  body();
  return allocations - before;
}

void evaluations(int n_threads, bool internal) {
  const auto scene = std::make_shared<const Scene>(specified());
  CHECK((scene->views().front().core.taper > 0.0) == (size > 200));
  const auto layout = std::make_shared<const NormalLayout>(*scene);
  const std::unique_ptr<Backend> backend = make_cpu_backend(scene, n_threads);
  SceneProblem problem(scene, layout, *backend, internal);
  const std::vector<double>& start = scene->parameters().spec().start;
  std::vector<double> x = internal ? scene->parameters().to_internal(start) : start;
  std::vector<double> g(x.size()), h(layout->pattern.row.size());
  // A vector of its own every time: nothing is known from before.
  const auto move = [&](double by) {
    for (double& value : x) value *= 1.0 + by;
  };
  problem.linearize(x, g, h);
  move(1e-3);
  problem.chi2(x);
  CHECK(count([&] { x.front() += 0.0; }) == 0);
  for (const double by : {1e-3, -2e-3, 1e-4}) {
    move(by);
    const long first = count([&] { problem.linearize(x, g, h); });
    move(by);
    const long second = count([&] { problem.chi2(x); });
    if (first + second > 0) {
      std::printf("%d threads, internal %d: linearize allocates %ld times, chi2 %ld\n", n_threads,
                  internal ? 1 : 0, first, second);
    }
    CHECK(first == 0);
    CHECK(second == 0);
  }
}

}  // namespace

int main() {
  CHECK(count([] { std::vector<double> counts_this(3); }) == 1);
  for (const int side : {64, 300}) {  // the large one is drawn in two parts
    size = side;
    evaluations(1, false);
    evaluations(1, true);
    evaluations(2, true);
  }
  return check::result();
}
