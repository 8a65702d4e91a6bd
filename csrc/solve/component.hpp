// SPDX-License-Identifier: BSD-3-Clause
// One region of a problem on its way. Once most of its parts rest, those that still move go on by
// themselves, in groups that share no data: what rests costs nothing, and a hard group holds up no
// other. Then the region goes on as a whole, which alone decides that it has converged.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "solve/descent.hpp"

namespace jointlight {

class Component {
 public:
  Component(Region region, const Box& box, const LMOptions& options);

  void begin(const Evaluation& start) { whole_.begin(start); }
  bool open() const { return !whole_.status(); }
  void end(Status status) { whole_.end(status); }

  // Adds those with a trial to make to `trying`, their proposals to x. Without any, either it is no
  // longer open, or it is returning().
  void propose(std::span<double> x, int iteration, std::vector<Descent*>& trying);

  // Goes on as a whole from the best points of its groups, once linearised there.
  bool returning() const { return returning_; }

  // After all trials of an iteration were settled.
  void observe(const Evaluation& trial, int iteration);

  // Ends what its groups do, at their best points: seen (with derivatives) or not.
  bool divided() const { return !groups_.empty(); }
  void unite(const Evaluation* at);

  void renew(const Box& box, const Evaluation& at) { whole_.renew(box, at); }

  const Descent& whole() const { return whole_; }
  double chi2() const;
  double cosine() const;

  double time_s = 0.0;  // kept by the caller

 private:
  // A coordinate of a part that rests beside moving ones.
  struct Watched {
    std::size_t coordinate = 0;
    double gradient = 0.0, curvature = 0.0;  // when they parted
  };

  void divide();
  bool disturbed(const Evaluation& trial, int iteration) const;
  std::size_t n_moving() const;

  Descent whole_;
  std::vector<Subregion> groups_;
  std::deque<Descent> descents_;               // [groups]
  std::vector<std::vector<Watched>> watched_;  // [groups]
  std::vector<double> chi2_before_;            // [groups]
  std::deque<double> recent_;                  // chi2 after the last trials, as of one descent
  std::size_t n_began_ = 0;                    // parts that moved when they parted
  bool returning_ = false;
};

}  // namespace jointlight
