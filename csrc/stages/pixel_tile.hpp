// SPDX-License-Identifier: BSD-3-Clause
// render by pixel integration, as a step on a tile.
#pragma once

#include <cstddef>

#include "scene/tile.hpp"
#include "stages/render_pixel.hpp"

namespace jointlight {
JL_ISA_BEGIN

// Bytes.
template <class Profile>
inline std::size_t pixel_tile_scratch(int width, int) {
  return render_pixel_workspace<Profile>(width) * sizeof(double);
}

template <class Profile>
inline void render_pixel_tile(const TileView& view, const TileState& state, void* scratch) {
  render_pixel<Profile>(state.x0, state.y0, state.S, state.shape, view.width, view.height,
                        view.row_stride, view.fields, static_cast<double*>(scratch));
}

JL_ISA_END
}  // namespace jointlight
