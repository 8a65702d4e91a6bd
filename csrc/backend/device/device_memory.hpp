// SPDX-License-Identifier: BSD-3-Clause
// Constant data on a device: collected on the host, each array once however many views point to it,
// and sent in a few pieces.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

namespace jointlight {

template <class Exec>
class DeviceArena {
 public:
  explicit DeviceArena(Exec& exec) : exec_(exec) {}

  // The device's copy of n values, the same one for an array that is put again: the host's must
  // stay where it is until send().
  template <class T>
  T* put(const T* host, std::size_t n) {
    if (host == nullptr || n == 0) return nullptr;
    const auto [place, fresh] = known_.try_emplace({host, n * sizeof(T)}, nullptr);
    if (fresh) place->second = put_once(host, n);
    return static_cast<T*>(place->second);
  }
  // The same for what may go at once.
  template <class T>
  T* put_once(const T* host, std::size_t n) {
    const auto [from, to] = reserve(n * sizeof(T));
    std::memcpy(from, static_cast<const void*>(host), n * sizeof(T));
    return reinterpret_cast<T*>(to);
  }
  template <class T>
  T* put(const std::vector<T>& host) {
    return put(host.data(), host.size());
  }

  void send() {
    for (Block& block : blocks_) {
      exec_.upload(block.device.data(), block.host.data(), block.used);
    }
    exec_.settle();  // where devices read the host's memory themselves, uploads may still go on
    for (Block& block : blocks_) std::vector<std::byte>().swap(block.host);
    known_.clear();
  }

 private:
  struct Block {
    std::vector<std::byte> host;
    typename Exec::template Buffer<std::byte> device;
    std::size_t used = 0;
  };

  std::pair<std::byte*, std::byte*> reserve(std::size_t bytes) {
    constexpr std::size_t least = std::size_t{1} << 22, alignment = 256;
    if (blocks_.empty() || blocks_.back().used + bytes > blocks_.back().host.size()) {
      const std::size_t size = bytes > least ? bytes : least;
      blocks_.push_back({std::vector<std::byte>(size), exec_.template buffer<std::byte>(size), 0});
    }
    Block& block = blocks_.back();
    const std::size_t at = block.used;
    block.used = (at + bytes + alignment - 1) / alignment * alignment;
    if (block.used > block.host.size()) block.used = block.host.size();
    return {block.host.data() + at, block.device.data() + at};
  }

  Exec& exec_;
  std::vector<Block> blocks_;
  std::map<std::pair<const void*, std::size_t>, void*> known_;
};

}  // namespace jointlight
