// SPDX-License-Identifier: BSD-3-Clause
// Owning, 64-byte aligned array of a trivial type: one cache line, one AVX-512 register.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

namespace jointlight {

template <class T>
class AlignedBuffer {
  static_assert(std::is_trivial_v<T>);

 public:
  static constexpr std::align_val_t alignment{64};

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) { resize(size); }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer& other) { *this = other; }
  AlignedBuffer& operator=(const AlignedBuffer& other) {
    if (this != &other) {
      resize(other.size_);
      if (size_ > 0) std::memcpy(data_, other.data_, size_ * sizeof(T));
    }
    return *this;
  }
  ~AlignedBuffer() { release(); }

  // Contents are zero afterwards.
  void resize(std::size_t size) {
    resize_unset(size);
    if (size > 0) std::memset(static_cast<void*>(data_), 0, size * sizeof(T));
  }

  // Contents are whatever the memory held.
  void resize_unset(std::size_t size) {
    release();
    if (size == 0) return;
    data_ = static_cast<T*>(::operator new(size * sizeof(T), alignment));
    size_ = size;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  void release() {
    if (data_ != nullptr) ::operator delete(data_, alignment);
    data_ = nullptr;
    size_ = 0;
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace jointlight
