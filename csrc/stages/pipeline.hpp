// SPDX-License-Identifier: BSD-3-Clause
// The data flow of one evaluation, for any executor:
//
//   tile states -> [render, convolve] -> fields of every tile
//                                          |
//   data, weights ----------------------> [residual, normal] -> chi2, J^T W r, J^T W J by tile pair
//
// An executor offers `for_tiles` (render work, one worker per tile or several for a large one),
// the steps below on a worker, and `for_bands` (rows of an image, summed in a fixed order). It may
// go through the images in batches, and leave out what has not changed since the last evaluation.
#pragma once

#include <span>

#include "scene/tile.hpp"

namespace jointlight {

// render and convolve: fills the fields of one tile.
template <class Worker>
void render_tile(Worker& worker, const TileView& view, const TileState& state) {
  if (view.renderer == Renderer::sky) return;  // computed row by row where it is used
  if (!state.visible) {
    worker.clear(view);
    return;
  }
  if (view.renderer == Renderer::pixel) {
    worker.pixel(view, state);
    return;
  }
  worker.columns(view, state);                        // transform x PSF, back along y
  worker.rows(view);                                  // back along x
  if (view.copies.n > 0) worker.copies(view, state);  // what the box's periodicity brought in
  if (view.core.taper > 0.0) worker.rest(view, state);
}

template <class Exec>
void evaluate(Exec& exec, std::span<const TileState> states, bool derivatives) {
  exec.begin(states, derivatives);
  for (int batch = 0; batch < exec.n_batches(); ++batch) {
    exec.for_tiles(batch, [&](auto& worker, const TileView& view, int tile) {
      render_tile(worker, view, states[static_cast<std::size_t>(tile)]);
    });
    exec.for_bands(batch, states, derivatives);
  }
}

}  // namespace jointlight
