// SPDX-License-Identifier: BSD-3-Clause
// The operations that stages/device/cost.hpp says a launch takes, against those that its bodies
// really make: here they are compiled with a number that counts in the place of double.
#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "check.hpp"

namespace counted {

inline long operations = 0;

struct Number {
  double v;

  Number() = default;
  template <class T>
    requires std::is_arithmetic_v<T>
  constexpr Number(T value) : v(static_cast<double>(value)) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  explicit constexpr operator T() const {
    return static_cast<T>(v);
  }

  static constexpr Number made(double value, int n = 1) {
    if (!std::is_constant_evaluated()) operations += n;
    return Number(value);
  }
  friend constexpr Number operator+(Number a, Number b) { return made(a.v + b.v); }
  friend constexpr Number operator-(Number a, Number b) { return made(a.v - b.v); }
  friend constexpr Number operator*(Number a, Number b) { return made(a.v * b.v); }
  friend constexpr Number operator/(Number a, Number b) { return made(a.v / b.v); }
  friend constexpr Number operator-(Number a) { return Number(-a.v); }
  friend constexpr auto operator<=>(Number a, Number b) { return a.v <=> b.v; }
  friend constexpr bool operator==(Number a, Number b) { return a.v == b.v; }
  constexpr Number& operator+=(Number b) { return *this = *this + b; }
  constexpr Number& operator-=(Number b) { return *this = *this - b; }
  constexpr Number& operator*=(Number b) { return *this = *this * b; }
  constexpr Number& operator/=(Number b) { return *this = *this / b; }
};

}  // namespace counted

namespace std {  // where the bodies look for them
#define JL_COUNTED(name, n) \
  inline counted::Number name(counted::Number x) { return counted::Number::made(name(x.v), n); }
JL_COUNTED(sqrt, 1)
JL_COUNTED(cos, 29)  // as cost.hpp takes them
JL_COUNTED(sin, 29)
JL_COUNTED(log, 0)  // of what is not counted
JL_COUNTED(exp, 0)
JL_COUNTED(abs, 0)
JL_COUNTED(floor, 0)
JL_COUNTED(ceil, 0)
JL_COUNTED(asinh, 0)
JL_COUNTED(sinh, 0)
JL_COUNTED(cosh, 0)
JL_COUNTED(atanh, 0)
JL_COUNTED(tanh, 0)
#undef JL_COUNTED
inline counted::Number min(counted::Number a, counted::Number b) { return b < a ? b : a; }
inline counted::Number max(counted::Number a, counted::Number b) { return a < b ? b : a; }
inline counted::Number fmin(counted::Number a, counted::Number b) { return a < b ? a : b; }
inline counted::Number hypot(counted::Number a, counted::Number b) { return hypot(a.v, b.v); }
inline counted::Number atan2(counted::Number a, counted::Number b) { return atan2(a.v, b.v); }
inline bool isfinite(counted::Number x) { return isfinite(x.v); }
inline counted::Number pow(counted::Number a, counted::Number b) { return pow(a.v, b.v); }
}  // namespace std

// As a device's compiler sees them: a thread has plain numbers.
#define __CUDACC__
#define __host__
#define __device__
#define double counted::Number
#include "stages/device/cost.hpp"
#undef double

using namespace jointlight;
using counted::Number;

namespace {

// A profile with every operation that one may make.
struct Toy {
  static constexpr int n_shape = 1;
  struct Constants {
    Number n;
  };
  static Constants prepare(const Number* shape) { return {shape[0]}; }
  template <class T>
  static void brightness(const Constants& c, T R2, T& value, T& d_r2, T* d_shape) {
    const T n = static_cast<T>(c.n);
    value = exp_(-n * log_(R2));
    d_r2 = -n * value / R2;
    d_shape[0] = value * log_(R2);
  }
};

long count(const auto& work) {
  counted::operations = 0;
  work();
  return counted::operations;
}

// What a launch's threads do for one tile against what is said, within `slack` of it.
template <class Body>
void compare(const std::string& what, const Body& body, int n_inner, const Cost& said,
             double slack = 0.0) {
  const long made = count([&] {
    for (int item = 0; item < n_inner; ++item) body(0, item);
  });
  CHECK(made > 0);
  const double error = std::abs(static_cast<double>(made) - said.flops.v);
  CHECK_AT_MOST(error / static_cast<double>(made), slack, (what + ": flops").c_str());
}

std::vector<Number> numbers(std::size_t n) {
  std::vector<Number> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = 0.25 + static_cast<double>(i * 37 % 101) / 101.0;
  return out;
}

// A tile of 9 x 8 pixels in a box of 16 x 12, its PSF's frequencies in 5 columns of which two hold
// a second run, and all that the bodies need beside it.
struct Work {
  static constexpr int box_x = 16, box_y = 12, n_columns = 5, width = 9, height = 8;

  std::map<std::string, std::vector<Number>> memory;
  std::vector<SpectrumRun> runs;
  std::vector<int> column_start{0}, cells;
  DeviceTile tile;
  TileState state;
  DeviceGroup group;
  int first = 0;

  Number* take(const std::string& name, int n) {
    return (memory[name] = numbers(static_cast<std::size_t>(n))).data();
  }

  Work() {
    TileView& view = tile.view;
    view.width = width;
    view.height = height;
    view.drawn = {0, 0, 0, width, 0, height};
    view.fields = take("fields", width * height * n_lanes);
    TransferView& transfer = view.transfer;
    for (int column = 0; column < n_columns; ++column) {
      const std::string name = "transfer " + std::to_string(column);
      runs.push_back({column, column + 1, -3, 4, take(name, 14)});  // not the frequency zero
      if (column < 2) runs.push_back({column, column - box_x, 1, 14, take(name + " more", 26)});
      column_start.push_back(static_cast<int>(runs.size()));
    }
    transfer.box_x = box_x;
    transfer.box_y = box_y;
    transfer.n_columns = n_columns;
    transfer.y_min = -3;
    transfer.y_max = 14;
    transfer.runs = runs.data();
    transfer.column_start = column_start.data();
    tile.phase_x = take("phase x", 2 * static_cast<int>(runs.size()));
    tile.phase_y = take("phase y", 2 * 17);
    set_copies(view.copies);
    set_rest(view.core);
    tile.rays = take("rays", tail_rays * n_lanes);
    tile.other = take("other", 4000);
    tile.coefficients = take("coefficients", 10 * 10 * n_lanes);
    tile.line = take("line", 4000);
    tile.constants = &constants;
    state.x0 = 4.2;
    state.y0 = 3.9;
    state.S[0] = 1.3;
    state.S[1] = 0.2;
    state.S[2] = 0.9;
    state.shape[0] = 1.7;
    state.has_table = true;
    state.table.n_intervals = 5;
    state.table.u0 = -4.0;
    state.table.inverse_step = 0.5;
    state.table.at_zero[0] = 1.0;
    state.table.at_zero[2] = 0.3;  // it has a shape
    state.table.coefficients = take("table", 5 * TransformGrid::interval_size);
    group = {box_x, box_y, n_columns, height, width, 1, &first};
  }

  Toy::Constants constants{1.7};

  void set_copies(CopyPlan& plan) {
    plan.n = 10;
    plan.half_x = 5.0;
    plan.half_y = 4.5;
    plan.blur_xy = 0.1;
    plan.blur_x = take("blur x", 100);
    plan.blur_y = take("blur y", 100);
    const int n[] = {10, 6, 4}, last[] = {1, 3, 8};
    for (int set = 0; set < n_ring_sets; ++set) {
      const std::string name = "rings " + std::to_string(set);
      plan.rings[set] = {last[set], n[set], take(name + " nodes", n[set]),
                         take(name + " cosines", n[set] * n[set])};
    }
  }
  void set_rest(CorePlan& core) {
    cells.assign(16, 1);
    for (RestGrid* grid : {&core.fine, &core.coarse}) {
      const std::string name = grid == &core.fine ? "fine " : "coarse ";
      grid->step = 2.0;
      grid->nx = grid == &core.fine ? 11 : 9;
      grid->ny = 10;
      grid->x_low = grid->y_low = -6.0;
      grid->x_end = width;
      grid->y_end = height;
      grid->cell_x = grid->cell_y = cells.data();
      grid->weights_x = take(name + "weights x", 16 * rest_taps);
      grid->weights_y = take(name + "weights y", 16 * rest_taps);
      grid->filter = take(name + "filter", rest_filter_size * rest_filter_size);
      grid->filtered = take(name + "filtered", 11 * 10 * n_lanes);
    }
    core.taper = state.taper = 3.0;
    core.fine.x_end = 5;
  }
};

Cost said(const auto& body, const Work& work) { return cost_of(body, work.tile.view, work.state); }

template <int lanes>
void spectra() {
  Work work;
  const DeviceTile* tiles = &work.tile;
  const TileState* states = &work.state;
  const std::size_t size = 16 * 12 * lanes;
  std::vector<Complex<Number>> a(size), b(size);
  for (auto& z : a) z = {0.5, 0.25};
  const std::string of = " of " + std::to_string(lanes);
  const int n_runs = static_cast<int>(work.runs.size());
  const PhaseBody phases{tiles, states, work.group, n_runs};
  compare("phases" + of, phases, n_runs + 17, said(phases, work));
  const SpectrumBody<Number, lanes> spectrum{tiles, states, work.group, a.data(), size};
  compare("spectrum" + of, spectrum, 12 * 5, said(spectrum, work));
  const PackRowsBody<Number, lanes> pack{tiles, work.group, a.data(), b.data(), size};
  compare("pack" + of, pack, 16 * 4 * lanes, said(pack, work));
  std::vector<Number> plane(72);
  work.tile.view.plane = plane.data();
  const PixelsBody<Number, lanes> pixels{tiles, states, work.group, b.data(), size};
  compare("pixels" + of, pixels, 72 * lanes, said(pixels, work));
}

template <int radix>
void pass() {
  const int m = 3, stride = 2, sequences = 4, n = radix * m * stride * sequences;
  std::vector<Complex<Number>> from(static_cast<std::size_t>(n)), to(from.size());
  for (auto& z : from) z = {0.5, 0.25};
  const std::vector<Number> twiddles = numbers(2 * (radix - 1) * m);
  const FftPassBody<Number, radix> body{from.data(), to.data(), from.size(),    m,
                                        stride,      sequences, twiddles.data()};
  const Cost cost = cost_of(body, TileView{}, TileState{});
  compare("pass of " + std::to_string(radix), body, m * stride * sequences, cost);
  CHECK(cost.bytes.v == 2.0 * 16.0 * n);
}

// A transform of 4^k points: 17/4 n log2 n operations (Van Loan 1992, ch. 2), nearly: every turn
// is made, those by nothing too.
void textbook() {
  for (const int n : {16, 64, 256, 1024}) {
    double flops = 0.0;
    for (int m = n / 4, stride = 1; m >= 1; m /= 4, stride *= 4) {
      const FftPassBody<Number, 4> body{nullptr, nullptr, 0, m, stride, 1, nullptr};
      flops += cost_of(body, TileView{}, TileState{}).flops.v;
    }
    CHECK(flops == 4.25 * n * std::log2(n));
  }
}

void tables() {
  Work work;
  std::vector<Number> nodes = numbers(TransformGrid::node_size);
  TransformStencil stencil;
  stencil.shaped = true;
  stencil.n = TransformGrid::order;
  for (auto& node : stencil.nodes) node = nodes.data();
  work.tile.stencil = &stencil;
  const RadialTableBody body{&work.tile, &work.state, work.group};
  Cost cost = said(body, work);
  cost.flops += 5 * (2 + 4);  // of each interval: a constant's square at its ends, and its place
  compare("table", body, 7, cost);
}

void copies() {
  Work work;
  const DeviceTile* tiles = &work.tile;
  const TileState* states = &work.state;
  const DeviceGroup& group = work.group;
  const int size = 10 * 10 * n_lanes, row = 10 * n_lanes;
  const int nodes = copy_nodes_before(work.tile.view.copies, n_ring_sets);
  const CopyNodesBody<Toy> lit{tiles, states, group};
  compare("nodes", lit, nodes / n_lanes, said(lit, work));
  const CopyRowsBody rows{tiles, group};
  compare("copies along x", rows, nodes, said(rows, work));
  const CopyColumnsBody columns{tiles, states, group};
  compare("copies along y", columns, size, said(columns, work));
  const CopyBlurBody<false> blur_x{tiles, group};
  compare("blur along x", blur_x, size, said(blur_x, work));
  const CopyBlurBody<true> blur_y{tiles, group};
  compare("blur along y", blur_y, size, said(blur_y, work));
  const CopyCrossBody<true> cross_y{tiles, group, 1};
  compare("cross along y", cross_y, row, said(cross_y, work));
  const CopyCrossBody<false> cross_x{tiles, group, 1};
  compare("cross along x", cross_x, row, said(cross_x, work));
  const CopyCentreBody<true> centre{tiles, group};
  compare("centre", centre, 10, said(centre, work));
  const CopyLineBody line{tiles, states, group, 10};
  compare("line", line, 8 * row, said(line, work));
  work.state.table.at_zero[0] = 1e60;  // a source so bright that its copies are dark
  compare("dark nodes", lit, nodes / n_lanes, said(lit, work));
}

void rest() {
  Work work;
  const DeviceTile* tiles = &work.tile;
  const TileState* states = &work.state;
  const RestValuesBody<Toy> values{tiles, states, work.group};
  compare("rest", values, 200, said(values, work), 0.03);  // the opening's two branches
  const RestFilterBody filter{tiles, states, work.group};
  compare("filter", filter, 200 * n_lanes, said(filter, work));
  const RestLineBody line{tiles, states, work.group, 20};
  compare("spline along y", line, 8 * 20 * n_lanes, said(line, work));
  const RestPixelsBody pixels{tiles, states, work.group};
  compare("spline along x", pixels, 72 * n_lanes, said(pixels, work));
}

void sums() {
  Work work;
  const int width = Work::width, height = Work::height, n = width * height;
  std::vector<Number> data = numbers(72), weight = numbers(72), model(72), w(72), wr(72), term(72);
  const std::vector<int> cell_start{0, 1}, cell_tiles{0};
  const int zero = 0;
  DeviceImage image;
  image.width = width;
  image.height = height;
  image.data = data.data();
  image.weight = weight.data();
  image.model = model.data();
  image.w = w.data();
  image.wr = wr.data();
  image.term = term.data();
  image.cell_start = cell_start.data();
  image.cell_tiles = cell_tiles.data();
  const ResidualBody residual{&zero, &image, &work.tile, &work.state};
  compare("residual", residual, n, residual_cost(n, n, Likelihood::gaussian));
  image.likelihood = Likelihood::poisson;
  compare("poisson", residual, n, residual_cost(n, n, Likelihood::poisson));
  PairPiece piece{0, 0, 0, 0, width, 2, 6};
  std::vector<Number> out(2 * n_piece_sums), blocks(n_block), gradients(n_lanes);
  const PieceBody body{&zero, &piece, &image, &work.tile, out.data()};
  compare("piece", body, n_piece_sums, piece_cost(piece, 8.0, 8.0));
  const std::vector<PairPiece> pieces{piece, piece};
  const std::vector<int> start{0, 2};
  const PairBody pair{&zero,      start.data(),  pieces.data(),
                      out.data(), blocks.data(), gradients.data()};
  compare("pair", pair, n_piece_sums, pair_cost(piece, 2.0));
}

void pixel_lanes() {
  using namespace pixel_detail;
  const Geometry geometry{};
  const std::vector<Number> edge = numbers(n_sums<Toy>);
  Number out[n_lanes];
  const Number x0 = 4.2;
  const long made = count([&] {
    jointlight::pixel_detail::pixel_lanes<Toy>(geometry, -0.5 - x0 + 3, 2 - 0.5 - x0, edge.data(),
                                               edge.data(), edge.data(), edge.data(), out);
  });
  TileView one;
  one.width = one.height = 1;
  const Cost cost = cost_of(PixelLanesBody<Toy>{}, one, TileState{});
  CHECK_AT_MOST(std::abs(static_cast<double>(made) - cost.flops.v), 0.0, "pixel lanes");
}

// The constants for exp and log, and a profile's brightness as counted from its source.
void functions() {
  CHECK(count([] { exp_(Number(0.3)); }) == flops_exp);
  CHECK(count([] { log_(Number(0.3)); }) == flops_log);
  const Toy::Constants constants{1.7};
  Number value, slope, by_shape[2];
  const long made =
      count([&] { Toy::brightness<Number>(constants, Number(2.0), value, slope, by_shape); });
  CHECK(static_cast<double>(made) == brightness_flops<Toy>().v);
}

}  // namespace

int main() {
  functions();
  spectra<1>();
  spectra<n_lanes>();
  pass<2>();
  pass<3>();
  pass<4>();
  pass<5>();
  textbook();
  tables();
  copies();
  rest();
  sums();
  pixel_lanes();
  return check::result();
}
