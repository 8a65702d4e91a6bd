// SPDX-License-Identifier: BSD-3-Clause
#ifndef EIGEN_MPL2_ONLY
#define EIGEN_MPL2_ONLY
#endif
#include "solve/block_factor.hpp"

#include <Eigen/Dense>
#include <Eigen/OrderingMethods>
#include <Eigen/SparseCore>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace jointlight {
namespace {

using Matrix = Eigen::MatrixXd;
using Strided = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

// A front takes in a child where no more than this share of its panel is zeros for it: few columns
// cost more to handle than to multiply.
constexpr int few_columns = 24;
constexpr double most_zeros_of_few = 0.4, most_zeros = 0.15;

constexpr int panel_width = 16;  // columns, eliminated one by one

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Coordinates that are coupled to the same others, themselves included, by the sum of a hash.
// Should two sums agree by chance, the blocks are only larger than they need to be.
std::vector<int> find_blocks(const SparsePattern& pattern, std::vector<std::vector<int>>& blocks) {
  const auto hash = [](int i) {  // SplitMix64 (Steele, Lea & Flood 2014)
    std::uint64_t z = (static_cast<std::uint64_t>(i) + 1U) * 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  };
  std::vector<std::uint64_t> key(at(pattern.n), 0);
  for (int j = 0; j < pattern.n; ++j) {
    const std::uint64_t own = hash(j);
    for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
      const int i = pattern.row[at(k)];
      key[at(j)] += hash(i);
      if (i != j) key[at(i)] += own;
    }
  }
  std::vector<int> order(at(pattern.n)), block_of(at(pattern.n));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return key[at(a)] != key[at(b)] ? key[at(a)] < key[at(b)] : a < b;
  });
  // Numbered by their first coordinates.
  std::vector<int> first(at(pattern.n));
  for (std::size_t k = 0; k < order.size(); ++k) {
    const bool same = k > 0 && key[at(order[k])] == key[at(order[k - 1])];
    first[at(order[k])] = same ? first[at(order[k - 1])] : order[k];
  }
  for (int i = 0; i < pattern.n; ++i) {
    if (first[at(i)] == i) {
      block_of[at(i)] = static_cast<int>(blocks.size());
      blocks.emplace_back();
    } else {
      block_of[at(i)] = block_of[at(first[at(i)])];
    }
    blocks[at(block_of[at(i)])].push_back(i);
  }
  return block_of;
}

// Blocks that each is coupled to, both ways.
std::vector<std::vector<int>> couple_blocks(const SparsePattern& pattern,
                                            std::span<const std::vector<int>> blocks,
                                            std::span<const int> block_of) {
  std::vector<std::vector<int>> coupled(blocks.size());
  std::vector<int> mark(blocks.size(), -1);
  for (int b = 0; b < static_cast<int>(blocks.size()); ++b) {
    for (const int j : blocks[at(b)]) {
      for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
        const int other = block_of[at(pattern.row[at(k)])];
        if (other == b || mark[at(other)] == b) continue;
        mark[at(other)] = b;
        coupled[at(b)].push_back(other);
        coupled[at(other)].push_back(b);
      }
    }
  }
  for (std::vector<int>& list : coupled) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  return coupled;
}

// Blocks in the order in which they are best eliminated (Amestoy, Davis & Duff 1996).
std::vector<int> elimination_order(const std::vector<std::vector<int>>& coupled) {
  const int n = static_cast<int>(coupled.size());
  std::vector<Eigen::Triplet<double, int>> entries;
  for (int b = 0; b < n; ++b) {
    entries.emplace_back(b, b, 1.0);
    for (const int other : coupled[at(b)]) {
      if (other > b) entries.emplace_back(other, b, 1.0);
    }
  }
  Eigen::SparseMatrix<double, Eigen::ColMajor, int> graph(n, n);
  graph.setFromTriplets(entries.begin(), entries.end());
  Eigen::PermutationMatrix<Eigen::Dynamic, Eigen::Dynamic, int> order;
  Eigen::AMDOrdering<int>()(graph.selfadjointView<Eigen::Lower>(), order);
  std::vector<int> result(at(n));
  std::copy_n(order.indices().data(), n, result.begin());
  return result;
}

// Blocks that are eliminated together: those of its own, and those that they are coupled to then.
struct Group {
  std::vector<int> own, rest, children;
  int n_own = 0, n_rest = 0;  // coordinates
  double used = 0.0;          // of the panel that is not zero by construction
  int parent = -1;
  bool taken = false;  // into its parent

  double panel() const { return 0.5 * n_own * (n_own + 1.0) + static_cast<double>(n_own) * n_rest; }
};

// place: where a block comes in the order of elimination.
std::vector<Group> find_groups(std::span<const std::vector<int>> blocks,
                               const std::vector<std::vector<int>>& coupled,
                               std::span<const int> order, std::span<const int> place) {
  std::vector<Group> groups(blocks.size());  // by place
  const auto size = [&](int p) { return static_cast<int>(blocks[at(order[at(p)])].size()); };
  for (int p = 0; p < static_cast<int>(groups.size()); ++p) {
    Group& group = groups[at(p)];
    std::vector<int>& rest = group.rest;
    for (const int other : coupled[at(order[at(p)])]) {
      if (place[at(other)] > p) rest.push_back(place[at(other)]);
    }
    for (const int c : group.children) {
      for (const int r : groups[at(c)].rest) {
        if (r > p) rest.push_back(r);
      }
    }
    std::sort(rest.begin(), rest.end());
    rest.erase(std::unique(rest.begin(), rest.end()), rest.end());
    group.n_own = size(p);
    for (const int r : rest) group.n_rest += size(r);
    group.used = group.panel();
    std::vector<int> kept;
    for (const int c : group.children) {
      Group& child = groups[at(c)];
      Group both;
      both.n_own = group.n_own + child.n_own;
      both.n_rest = group.n_rest;
      both.used = group.used + child.used;
      const double zeros = (both.panel() - both.used) / both.panel();
      if (zeros > (both.n_own <= few_columns ? most_zeros_of_few : most_zeros)) {
        kept.push_back(c);
        continue;
      }
      group.n_own = both.n_own;
      group.used = both.used;
      group.own.insert(group.own.end(), child.own.begin(), child.own.end());
      kept.insert(kept.end(), child.children.begin(), child.children.end());
      child.taken = true;
    }
    group.children = std::move(kept);
    group.own.push_back(p);
    if (!rest.empty()) groups[at(rest.front())].children.push_back(p);
  }
  return groups;
}

}  // namespace

BlockFactor::BlockFactor(const SparsePattern& pattern) : n_(pattern.n), pivots_(at(pattern.n)) {
  std::vector<std::vector<int>> blocks;
  const std::vector<int> block_of = find_blocks(pattern, blocks);
  plan(pattern, blocks, block_of);
}

void BlockFactor::plan(const SparsePattern& pattern, std::span<const std::vector<int>> blocks,
                       std::span<const int> block_of) {
  const std::vector<std::vector<int>> coupled = couple_blocks(pattern, blocks, block_of);
  const std::vector<int> order = elimination_order(coupled);
  std::vector<int> place(order.size());
  for (std::size_t p = 0; p < order.size(); ++p) place[at(order[p])] = static_cast<int>(p);
  std::vector<Group> groups = find_groups(blocks, coupled, order, place);

  // Children right before their parents, so that what they hand on lies on top of a stack.
  std::vector<int> sequence, waiting;
  for (int p = static_cast<int>(groups.size()) - 1; p >= 0; --p) {
    if (!groups[at(p)].taken && groups[at(p)].rest.empty()) waiting.push_back(p);
  }
  while (!waiting.empty()) {
    const int p = waiting.back();
    waiting.pop_back();
    sequence.push_back(p);
    for (const int c : groups[at(p)].children) {
      groups[at(c)].parent = p;
      waiting.push_back(c);
    }
  }
  std::reverse(sequence.begin(), sequence.end());

  std::vector<int> front_of(groups.size(), -1), owner(at(n_)), rank(at(n_));
  int next = 0;
  for (std::size_t f = 0; f < sequence.size(); ++f) {
    front_of[at(sequence[f])] = static_cast<int>(f);
    for (const int p : groups[at(sequence[f])].own) {
      for (const int i : blocks[at(order[at(p)])]) {
        owner[at(i)] = static_cast<int>(f);
        rank[at(i)] = next++;
      }
    }
  }
  std::size_t panels = 0;
  for (const int g : sequence) {
    const Group& group = groups[at(g)];
    Front front{.n_own = group.n_own, .n_all = group.n_own + group.n_rest};
    if (group.parent >= 0) front.parent = front_of[at(group.parent)];
    front.first_row = rows_.size();
    front.panel = panels;
    panels += at(front.n_own) * at(front.n_all);
    for (const std::vector<int>* list : {&group.own, &group.rest}) {
      for (const int p : *list) {
        const std::vector<int>& block = blocks[at(order[at(p)])];
        rows_.insert(rows_.end(), block.begin(), block.end());
      }
    }
    std::sort(rows_.begin() + static_cast<std::ptrdiff_t>(front.first_row), rows_.end(),
              [&](int a, int b) { return rank[at(a)] < rank[at(b)]; });
    for (int k = 0; k < front.n_own; ++k) {
      const double height = front.n_all - k - 1;
      flops_ += height * (height + 1.0);
    }
    fronts_.push_back(front);
  }
  panels_.resize(panels);

  std::vector<std::size_t> n_entries(fronts_.size() + 1, 0);
  const auto first_of = [&](int i, int j) { return rank[at(i)] < rank[at(j)] ? i : j; };
  for (int j = 0; j < n_; ++j) {
    for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
      ++n_entries[at(owner[at(first_of(pattern.row[at(k)], j))]) + 1];
    }
  }
  std::partial_sum(n_entries.begin(), n_entries.end(), n_entries.begin());
  entries_.resize(pattern.row.size());
  std::vector<int> column(pattern.row.size());
  std::vector<std::size_t> to = n_entries;
  for (int j = 0; j < n_; ++j) {
    for (int k = pattern.diagonal(j); k < pattern.diagonal(j + 1); ++k) {
      const std::size_t e = to[at(owner[at(first_of(pattern.row[at(k)], j))])]++;
      entries_[e].value = k;
      column[e] = j;
    }
  }
  std::vector<int> local(at(n_), -1);  // row in the front at hand
  for (std::size_t f = 0; f < fronts_.size(); ++f) {
    Front& front = fronts_[f];
    for (int r = 0; r < front.n_all; ++r) local[at(rows_[front.first_row + at(r)])] = r;
    front.first_entry = n_entries[f];
    for (std::size_t e = n_entries[f]; e < n_entries[f + 1]; ++e) {
      const int a = local[at(pattern.row[at(entries_[e].value)])], b = local[at(column[e])];
      entries_[e].place = std::min(a, b) * front.n_all + std::max(a, b);
    }
  }
  std::size_t depth = 0, deepest = 0, widest = 0;
  std::vector<std::vector<std::size_t>> children(fronts_.size());
  for (std::size_t f = 0; f < fronts_.size(); ++f) {
    Front& front = fronts_[f];
    const auto n_left = at(front.n_all - front.n_own);
    for (const std::size_t c : children[f]) {
      const auto handed = at(fronts_[c].n_all - fronts_[c].n_own);
      depth -= handed * (handed + 1) / 2;
    }
    depth += n_left * (n_left + 1) / 2;
    deepest = std::max(deepest, depth);
    widest = std::max(widest, n_left * (n_left + at(front.n_own)));
    if (front.parent >= 0) children[at(front.parent)].push_back(f);
  }
  stack_.resize(deepest);
  scaled_.resize(widest);
  // Where rows that are handed on come to lie.
  for (Front& front : fronts_) {
    front.first_in_parent = in_parent_.size();
    if (front.parent < 0) continue;
    const Front& parent = fronts_[at(front.parent)];
    int r = 0;
    for (int k = front.n_own; k < front.n_all; ++k) {
      while (rows_[parent.first_row + at(r)] != rows_[front.first_row + at(k)]) ++r;
      in_parent_.push_back(r);
    }
  }
}

// Leaves L in the panel, and in `left` [n_left][n_left], columns, lower triangle, takes off what
// the front's own columns account for.
void BlockFactor::eliminate(const Front& front, double* panel, double* left) {
  const Eigen::Index n_own = front.n_own, n_all = front.n_all, n_left = n_all - n_own;
  double* scaled = left + n_left * n_left;  // [n_own][n_left]
  const int* rows = rows_.data() + front.first_row;
  for (Eigen::Index begin = 0; begin < n_own; begin += panel_width) {
    const Eigen::Index end = std::min<Eigen::Index>(n_own, begin + panel_width);
    for (Eigen::Index j = begin; j < end; ++j) {
      double* column = panel + j * n_all;
      const double pivot = column[j];
      pivots_[at(rows[j])] = pivot;
      const double inverse = pivot != 0.0 ? 1.0 / pivot : 0.0;
      for (Eigen::Index c = j + 1; c < end; ++c) {
        const double factor = column[c] * inverse;
        double* other = panel + c * n_all;
        for (Eigen::Index r = c; r < n_all; ++r) other[r] -= factor * column[r];
      }
      if (n_left > 0) std::copy_n(column + n_own, n_left, scaled + j * n_left);
      for (Eigen::Index r = j + 1; r < n_all; ++r) column[r] *= inverse;
    }
    const Eigen::Index below = n_own - end, width = end - begin;
    if (below == 0) continue;
    const Strided done(panel + begin * n_all + end, n_all - end, width,
                       Eigen::OuterStride<>(n_all));
    Matrix factor(below, width);
    for (Eigen::Index j = 0; j < width; ++j) {
      factor.col(j) = pivots_[at(rows[begin + j])] * done.col(j).head(below);
    }
    Strided(panel + end * n_all + end, n_all - end, below, Eigen::OuterStride<>(n_all)).noalias() -=
        done * factor.transpose();
  }
  if (n_left == 0) return;
  const Strided done(panel + n_own, n_left, n_own, Eigen::OuterStride<>(n_all));
  Eigen::Map<Matrix>(left, n_left, n_left).triangularView<Eigen::Lower>() -=
      done * Eigen::Map<Matrix>(scaled, n_left, n_own).transpose();
}

bool BlockFactor::factor(std::span<const double> values) {
  std::fill(panels_.begin(), panels_.end(), 0.0);
  std::size_t top = 0;            // of the stack
  std::vector<std::size_t> open;  // fronts on the stack
  for (std::size_t f = 0; f < fronts_.size(); ++f) {
    const Front& front = fronts_[f];
    double* panel = panels_.data() + front.panel;
    const std::size_t last = f + 1 < fronts_.size() ? fronts_[f + 1].first_entry : entries_.size();
    for (std::size_t e = front.first_entry; e < last; ++e) {
      panel[entries_[e].place] = values[at(entries_[e].value)];
    }
    const auto n_left = at(front.n_all - front.n_own);
    double* left = scaled_.data();
    std::fill_n(left, n_left * n_left, 0.0);
    while (!open.empty() && fronts_[open.back()].parent == static_cast<int>(f)) {
      const Front& child = fronts_[open.back()];
      open.pop_back();
      const auto handed = at(child.n_all - child.n_own);
      top -= handed * (handed + 1) / 2;
      const double* from = stack_.data() + top;
      const int* to = in_parent_.data() + child.first_in_parent;
      for (std::size_t c = 0; c < handed; ++c) {
        const int column = to[c];
        double* target = column < front.n_own
                             ? panel + at(column) * at(front.n_all)
                             : left + at(column - front.n_own) * n_left - front.n_own;
        for (std::size_t r = c; r < handed; ++r) target[to[r]] += *from++;
      }
    }
    eliminate(front, panel, left);
    if (n_left == 0) continue;
    double* keep = stack_.data() + top;
    for (std::size_t c = 0; c < n_left; ++c) {
      keep = std::copy_n(left + c * n_left + c, n_left - c, keep);
    }
    top += n_left * (n_left + 1) / 2;
    open.push_back(f);
  }
  return std::all_of(pivots_.begin(), pivots_.end(),
                     [](double d) { return std::isfinite(d) && d != 0.0; });
}

void BlockFactor::solve(std::span<double> b) const {
  for (const Front& front : fronts_) {
    const int* rows = rows_.data() + front.first_row;
    for (int j = 0; j < front.n_own; ++j) {
      const double* column = panels_.data() + front.panel + at(j) * at(front.n_all);
      const double x = b[at(rows[j])];
      for (int r = j + 1; r < front.n_all; ++r) b[at(rows[r])] -= x * column[r];
    }
  }
  for (std::size_t i = 0; i < b.size(); ++i) b[i] /= pivots_[i];
  for (std::size_t f = fronts_.size(); f-- > 0;) {
    const Front& front = fronts_[f];
    const int* rows = rows_.data() + front.first_row;
    for (int j = front.n_own - 1; j >= 0; --j) {
      const double* column = panels_.data() + front.panel + at(j) * at(front.n_all);
      double sum = b[at(rows[j])];
      for (int r = j + 1; r < front.n_all; ++r) sum -= column[r] * b[at(rows[r])];
      b[at(rows[j])] = sum;
    }
  }
}

}  // namespace jointlight
