// SPDX-License-Identifier: BSD-3-Clause
// sources: csrc/scene/plan_cache.cpp csrc/scene/psf.cpp csrc/scene/transform_table.cpp
// sources: csrc/scene/rest_filter.cpp csrc/base/special.cpp
// What scenes share: found by content, dropped when idle, whole in other threads and after fork().
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "check.hpp"
#include "scene/plan_cache.hpp"
#include "scene/profile_registry.hpp"

namespace jointlight {

// No analytic PSF here: the registry is not asked.
const std::vector<ProfileInfo>& profile_registry() {
  static const std::vector<ProfileInfo> none;
  return none;
}
int find_profile(std::string_view) { return -1; }

namespace {

Psf gaussian_array(int size, double sigma) {
  Psf psf;
  psf.nx = psf.ny = size;
  psf.cx = psf.cy = 0.5 * (size - 1);
  for (int j = 0; j < size; ++j) {
    for (int i = 0; i < size; ++i) {
      const double r2 = (i - psf.cx) * (i - psf.cx) + (j - psf.cy) * (j - psf.cy);
      psf.data.push_back(std::exp(-0.5 * r2 / (sigma * sigma)));
    }
  }
  return psf;
}

void test_keys() {
  const Psf psf = gaussian_array(15, 2.0);
  const auto key = PlanCache::key(psf);
  CHECK(PlanCache::key(gaussian_array(15, 2.0)) == key);
  for (std::size_t i = 0; i < psf.data.size(); ++i) {
    Psf other = psf;
    other.data[i] = std::nextafter(other.data[i], 2.0);
    CHECK(PlanCache::key(other) != key);
  }
  Psf swapped = psf, moved = psf, optical = psf, finer = psf;
  std::swap(swapped.data[3], swapped.data[4]);
  moved.cx += 1e-12;
  optical.includes_pixel = false;
  finer.oversampling = 2;
  CHECK(PlanCache::key(swapped) != key);
  CHECK(PlanCache::key(moved) != key);
  CHECK(PlanCache::key(optical) != key);
  CHECK(PlanCache::key(finer) != key);
}

void test_sharing() {
  PlanCache cache(std::size_t{1} << 20);
  const Psf psf = gaussian_array(15, 2.0);
  const auto key = PlanCache::key(psf);
  const auto one = cache.transfer(key, psf, 64, 72), two = cache.transfer(key, psf, 64, 72);
  CHECK(one == two);
  CHECK(cache.transfer(key, psf, 72, 64) != one);
  CHECK(one->view().box_x == 64 && one->view().box_y == 72);
  CHECK(cache.fft(72) == cache.fft(72) && cache.fft(72)->view().size == 72);
  const PsfExtent extent = cache.extent(key, psf);
  CHECK(extent.near == psf.reach(1e-7) && extent.core == psf.core_width());
}

void test_idle_are_dropped_oldest_first() {
  const Psf psf = gaussian_array(15, 2.0);
  const auto key = PlanCache::key(psf);
  const std::size_t size = Transfer(psf, 64, 64).bytes();
  PlanCache cache(5 * size / 2);  // two of them
  const auto held = cache.transfer(key, psf, 64, 64);
  std::weak_ptr<const Transfer> first, second, third;
  const auto use = [&](double sigma) {
    const Psf other = gaussian_array(15, sigma);
    return std::weak_ptr<const Transfer>(cache.transfer(PlanCache::key(other), other, 64, 64));
  };
  first = use(2.01);
  second = use(2.02);
  CHECK(use(2.01).lock() == first.lock());  // now the younger one
  third = use(2.03);
  const auto fourth = use(2.04);  // what is being made counts as used
  CHECK(second.expired());
  CHECK(!third.expired() && !fourth.expired());
  CHECK(cache.transfer(key, psf, 64, 64) == held);
}

void test_threads() {
  PlanCache cache(std::size_t{1} << 16);  // smaller than what is used: entries come and go
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, &wrong] {
      for (int i = 0; i < 40; ++i) {
        const Psf psf = gaussian_array(11, 1.5 + 0.1 * (i % 5));
        const int box = i % 2 == 0 ? 48 : 64;
        const auto transfer = cache.transfer(PlanCache::key(psf), psf, box, box);
        const Transfer own(psf, box, box);
        const TransferView &a = transfer->view(), &b = own.view();
        const int last = b.column_start[b.n_columns] - 1;
        if (a.n_columns != b.n_columns || a.runs[last].jx != b.runs[last].jx ||
            a.runs[last].transfer[0] != b.runs[last].transfer[0]) {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

// A child forked while other threads use the cache can use it.
void test_fork() {
  std::atomic<bool> stop{false};
  std::thread busy([&stop] {
    while (!stop) PlanCache::shared().fft(64);
  });
  const Psf psf = gaussian_array(11, 1.7);
  for (int i = 0; i < 50; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // a deadlock ends here, and fails
      PlanCache::shared().transfer(PlanCache::key(psf), psf, 32, 32);
      _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  stop = true;
  busy.join();
}

}  // namespace
}  // namespace jointlight

int main() {
  jointlight::test_keys();
  jointlight::test_sharing();
  jointlight::test_idle_are_dropped_oldest_first();
  jointlight::test_threads();
  jointlight::test_fork();
  return check::result();
}
