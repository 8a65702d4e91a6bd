// SPDX-License-Identifier: BSD-3-Clause
// Draws single tiles: calls the kernels in the pipeline's order, with the memory they need, in one
// thread or with all of them on one large tile.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/kernels.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "base/aligned.hpp"

namespace jointlight {

class TilePainter {
 public:
  // Views with their fields in place.
  TilePainter(std::span<const TileView> views, const KernelTable& kernels, int n_threads);

  // Doubles that a tile keeps from one evaluation to the next.
  static std::size_t fields_size(const TileView& view, Precision precision);
  // Hands them to it.
  static void place_fields(TileView& view, Precision precision, double* memory);

  // What the pipeline asks of a worker (stages/pipeline.hpp). Pieces are fixed, so that results do
  // not depend on the number of threads.
  class Worker {
   public:
    void clear(const TileView& view) const;
    void pixel(const TileView& view, const TileState& state) const;
    void columns(const TileView& view, const TileState& state) const;
    void rows(const TileView& view) const;
    void copies(const TileView& view, const TileState& state) const;
    void rest(const TileView& view, const TileState& state) const;
    // The image alone of a tile in one box, with unit amplitude: plane [height][width].
    void image(const TileView& view, const TileState& state, double* plane) const;

   private:
    friend class TilePainter;
    Worker(TilePainter& painter, int thread, bool wide)
        : painter_(painter), thread_(thread), wide_(wide) {}

    // body(begin, end, memory) until n are done; `piece` of them at a time where threads share.
    template <class Body>
    void pieces(int n, int piece, const Body& body) const {
      if (!wide_) {
        body(0, n, painter_.scratch_[static_cast<std::size_t>(thread_)].work.data());
        return;
      }
      parallel_for((n + piece - 1) / piece, painter_.n_threads_, [&](int i, int thread) {
        body(i * piece, std::min(n, (i + 1) * piece),
             painter_.scratch_[static_cast<std::size_t>(thread)].work.data());
      });
    }
    const double* phases(const TileView& view, const TileState& state) const;
    const double* copies_polynomial(const TileView& view, const TileState& state) const;

    TilePainter& painter_;
    int thread_;
    bool wide_;
  };

  Worker in_thread(int thread) { return {*this, thread, false}; }
  Worker with_all_threads() { return {*this, 0, true}; }

 private:
  // Of one thread, sized for the largest tile.
  struct Scratch {
    AlignedBuffer<double> work, phases, spectra, copies, rest, pixel;
  };

  const KernelTable& kernels_;
  int n_threads_;
  std::vector<Scratch> scratch_;
};

}  // namespace jointlight
