// SPDX-License-Identifier: BSD-3-Clause
// Memory that is used again: to get it from a device's driver is slow, and to give it back stops
// all that runs there.
#pragma once

#include <bit>
#include <cstddef>
#include <map>
#include <utility>

namespace jointlight {

// Source: `static void* allocate(std::size_t bytes)`, null where there is no memory left,
// `static void release(void*) noexcept`, and `[[noreturn]] static void refuse(std::size_t bytes)`,
// which throws.
template <class Source>
class MemoryPool {
 public:
  struct Block {
    void* data = nullptr;
    std::size_t bytes = 0;  // at least what was asked for
  };

  MemoryPool() = default;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { clear(); }

  Block take(std::size_t bytes) {
    if (bytes == 0) return {};
    const std::size_t size = rounded(bytes);
    const auto found = free_.lower_bound(size);
    if (found != free_.end() && found->first <= 2 * size) {
      const Block block{found->second, found->first};
      free_.erase(found);
      return block;
    }
    void* data = Source::allocate(size);
    if (data == nullptr) {
      clear();
      data = Source::allocate(size);
    }
    if (data == nullptr) Source::refuse(size);
    return {data, size};
  }
  void give(Block block) noexcept {
    if (block.data == nullptr) return;
    try {
      free_.emplace(block.bytes, block.data);
    } catch (...) {
      Source::release(block.data);
    }
  }
  // What nobody uses goes back.
  void clear() noexcept {
    for (const auto& [bytes, data] : free_) Source::release(data);
    free_.clear();
  }

 private:
  // So that plans of almost the same size share memory: up to an eighth more.
  static std::size_t rounded(std::size_t bytes) {
    constexpr std::size_t least = 256;
    const std::size_t step = std::bit_floor(bytes) / 8;
    const std::size_t unit = step > least ? step : least;
    return (bytes + unit - 1) / unit * unit;
  }

  std::multimap<std::size_t, void*> free_;  // by size
};

// n values of T out of a pool, which must outlive it.
template <class T, class Pool>
class PoolBuffer {
 public:
  PoolBuffer() = default;
  PoolBuffer(Pool& pool, std::size_t n) : pool_(&pool), block_(pool.take(n * sizeof(T))), n_(n) {}
  ~PoolBuffer() {
    if (pool_ != nullptr) pool_->give(block_);
  }
  PoolBuffer(const PoolBuffer&) = delete;
  PoolBuffer& operator=(const PoolBuffer&) = delete;
  PoolBuffer(PoolBuffer&& other) noexcept { *this = static_cast<PoolBuffer&&>(other); }
  PoolBuffer& operator=(PoolBuffer&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(block_, other.block_);
    std::swap(n_, other.n_);
    return *this;
  }

  T* data() const { return static_cast<T*>(block_.data); }
  std::size_t size() const { return n_; }
  T& operator[](std::size_t i) const { return data()[i]; }

 private:
  Pool* pool_ = nullptr;
  typename Pool::Block block_;
  std::size_t n_ = 0;
};

}  // namespace jointlight
