// SPDX-License-Identifier: BSD-3-Clause
#include "scene/ownership.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace jointlight {
namespace {

// All pixels of one claim.
OwnedRows undivided(int width, int height, std::span<const double> weight, const Claim& claim,
                    long& n_owned) {
  OwnedRows rows;
  rows.row_start.push_back(0);
  for (int y = 0; y < height; ++y) {
    if (y >= claim.y_begin && y < claim.y_end && claim.x_begin < claim.x_end) {
      const double* row = weight.data() + static_cast<std::ptrdiff_t>(y) * width;
      n_owned +=
          std::count_if(row + claim.x_begin, row + claim.x_end, [](double w) { return w > 0.0; });
      rows.runs.push_back({claim.x_begin, claim.x_end, claim.tile});
    }
    rows.row_start.push_back(static_cast<int>(rows.runs.size()));
  }
  return rows;
}

}  // namespace

OwnedRows divide_pixels(int width, int height, std::span<const double> weight,
                        std::vector<Claim> claims, std::vector<long>& n_owned) {
  if (claims.size() == 1) {
    const Claim& claim = claims.front();
    return undivided(width, height, weight, claim, n_owned[static_cast<std::size_t>(claim.tile)]);
  }
  const auto size = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  std::vector<int> owner(size, -1), rank(size, std::numeric_limits<int>::max());
  std::vector<double> distance(size, std::numeric_limits<double>::infinity());
  std::stable_sort(claims.begin(), claims.end(),
                   [](const Claim& a, const Claim& b) { return a.rank < b.rank; });
  for (const Claim& claim : claims) {
    const double* m = claim.inverse;
    for (int y = claim.y_begin; y < claim.y_end; ++y) {
      const std::size_t row = static_cast<std::size_t>(y) * static_cast<std::size_t>(width);
      const double dy = y - claim.y0;
      for (int x = claim.x_begin; x < claim.x_end; ++x) {
        const std::size_t p = row + static_cast<std::size_t>(x);
        if (rank[p] < claim.rank) continue;
        const double dx = x - claim.x0;
        const double d = m[0] * dx * dx + 2.0 * m[1] * dx * dy + m[2] * dy * dy;
        if (!(d < distance[p])) continue;
        distance[p] = d;
        rank[p] = claim.rank;
        owner[p] = claim.tile;
      }
    }
  }
  OwnedRows rows;
  rows.row_start.push_back(0);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const auto p = static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                     static_cast<std::size_t>(x);
      if (owner[p] < 0) continue;
      if (weight[p] > 0.0) ++n_owned[static_cast<std::size_t>(owner[p])];
      const bool goes_on = static_cast<int>(rows.runs.size()) > rows.row_start.back() &&
                           rows.runs.back().x_end == x && rows.runs.back().tile == owner[p];
      if (goes_on) {
        ++rows.runs.back().x_end;
      } else {
        rows.runs.push_back({x, x + 1, owner[p]});
      }
    }
    rows.row_start.push_back(static_cast<int>(rows.runs.size()));
  }
  return rows;
}

}  // namespace jointlight
