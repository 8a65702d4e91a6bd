// SPDX-License-Identifier: BSD-3-Clause
// The compiled problem: images, tiles and parameters flattened into tables once, with every box,
// PSF transform and FFT plan made. Constant afterwards; what changes lives in a backend's
// workspace.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <tuple>
#include <vector>

#include "base/aligned.hpp"
#include "scene/copy_plan.hpp"
#include "scene/ownership.hpp"
#include "scene/parameter_map.hpp"
#include "scene/place_math.hpp"
#include "scene/plan_cache.hpp"
#include "scene/psf.hpp"
#include "scene/rest_filter.hpp"

namespace jointlight {

// An image's pixels where they lie in a device's memory already: the caller's, who keeps them there
// and as they are. What is null is sent. Where the weight is 0, data may be anything.
struct DevicePixels {
  int device = -1;  // -1: nowhere
  const double *data = nullptr, *weight = nullptr;
};

struct ImageSpec {
  int width = 0, height = 0;
  std::vector<double> data, weight;  // [height][width]; weight 0 = pixel does not count
  Likelihood likelihood = Likelihood::gaussian;
  DevicePixels on_device = {};  // the same numbers
};

struct TileSpec {
  TileGeometry geometry;
  int image = 0, psf = -1;
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;  // window, image pixels
  int source = 0;
  std::vector<int> slots;
};

struct SceneSpec {
  std::vector<ImageSpec> images;
  std::vector<Psf> psfs;
  std::vector<TileSpec> tiles;
  ParameterSpec parameters;
  double tolerance = default_tolerance;  // 0 = one box, whatever the window
  Precision precision = Precision::float64;
};

// Two tiles of one image that share pixels (a <= b; a == b for a tile with itself).
struct TilePair {
  int a = 0, b = 0;
  int x_begin = 0, x_end = 0, y_begin = 0, y_end = 0;  // shared window, image pixels
};

// Splines from a grid of the rest to a range of pixels along one axis.
struct RestAxis {
  int nodes = 0;
  double low = 0.0;             // window pixels of node 0
  std::vector<int> cell;        // [pixels]
  std::vector<double> weights;  // [pixels][rest_taps]
};

// What a tile was last placed for, and its radial table.
struct TilePlace {
  AlignedBuffer<double> table;
  double slots[max_slots] = {};
  bool known = false;
};

// Whether placing makes what a tile in one box is drawn from, or says only how large it is, where
// that is made by whoever draws.
enum class Tables : std::uint8_t { made, sized };

class Scene {
 public:
  explicit Scene(SceneSpec spec);
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;

  const std::vector<ImageSpec>& images() const { return spec_.images; }
  const std::vector<TileSpec>& tiles() const { return spec_.tiles; }
  Precision precision() const { return spec_.precision; }
  const std::vector<TileView>& views() const { return views_; }  // memory left null
  const std::vector<PlaceView>& place_views() const { return place_views_; }
  const std::vector<TilePair>& pairs() const { return pairs_; }
  const std::vector<std::vector<int>>& image_tiles() const { return image_tiles_; }
  const std::vector<std::vector<int>>& image_pairs() const { return image_pairs_; }
  const ParameterMap& parameters() const { return *parameters_; }
  // Every pixel that counts belongs to one tile: the runs of each image, and how many each tile
  // has.
  const std::vector<OwnedRows>& owned_rows() const { return owned_rows_; }
  const std::vector<long>& owned_pixels() const { return owned_pixels_; }
  int folds(int tile) const { return folds_[static_cast<std::size_t>(tile)]; }

  // True if every box still suits the given states; false asks for a new plan from there.
  bool covers(std::span<const TileState> states) const;
  // The problem this scene was compiled from, starting at `start` (natural).
  SceneSpec respecified(std::span<const double> start) const;

  // Slot values -> what each tile's rendering needs (place.cpp). Tiles that cannot be drawn are set
  // invisible. `internal`: slots are in chart coordinates. The same states, chains and `places` may
  // be handed in again with the same `internal`: a tile whose slots have not changed stays as it
  // is.
  void place_tiles(const ParameterState& parameters, bool internal, Tables tables,
                   std::vector<TileState>& states, std::vector<Chain>& chains,
                   std::vector<TilePlace>& places) const;
  // What Tables::sized leaves out of a placed tile: its radial table, in `memory`, and the light of
  // far copies.
  void make_table(std::size_t tile, TileState& state, AlignedBuffer<double>& memory) const;

 private:
  void validate() const;
  PlaceView place_view(std::size_t index) const;  // place.cpp
  TileState plan_tile(std::size_t index, const ParameterState& start);
  int box_size(const TileSpec& tile, int size, double centre, double q, double slack) const;
  bool plan_core(const TileSpec& tile, const TileState& state, int full_x, int full_y,
                 TileView& view, int& box_x, int& box_y);
  RestGrid rest_grid(const int range[4], double step, const double* filter);
  const RestAxis& rest_axis(int begin, int end, double step);
  void find_pairs();
  void divide_images(const std::vector<TileState>& states);
  bool follows_parameters(const TileSpec& tile) const;
  const Transfer& transfer(int psf, int box_x, int box_y);
  const FftPlan& fft(int size);

  SceneSpec spec_;
  std::vector<TileView> views_;
  std::vector<PlaceView> place_views_;
  std::vector<TilePair> pairs_;
  std::vector<std::vector<int>> image_tiles_, image_pairs_;
  std::vector<OwnedRows> owned_rows_;
  std::vector<long> owned_pixels_;
  std::vector<PsfExtent> psf_extents_;
  std::vector<int> folds_;
  std::unique_ptr<ParameterMap> parameters_;
  std::vector<PlanCache::PsfKey> psf_keys_;
  // What the views point to; shared with other scenes.
  std::map<std::tuple<int, int, int>, std::shared_ptr<const Transfer>> transfers_;
  std::map<int, std::shared_ptr<const FftPlan>> ffts_;
  std::vector<CopyBlur> copy_blurs_;  // [tiles]
  std::map<int, std::shared_ptr<const RestFilter>> rest_filters_;
  std::map<std::tuple<int, int, double>, RestAxis> rest_axes_;
};

}  // namespace jointlight
