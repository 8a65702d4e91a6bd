// SPDX-License-Identifier: BSD-3-Clause
#include "solve/result.hpp"

namespace jointlight {

std::string_view to_string(Status status) {
  switch (status) {
    case Status::converged_ftol:
      return "converged_ftol";
    case Status::converged_xtol:
      return "converged_xtol";
    case Status::converged_gtol:
      return "converged_gtol";
    case Status::max_iterations:
      return "max_iterations";
    case Status::no_decrease:
      return "no_decrease";
    case Status::all_masked:
      return "all_masked";
    case Status::degenerate:
      return "degenerate";
    case Status::non_finite:
      return "non_finite";
    case Status::timed_out:
      return "timed_out";
    case Status::interrupted:
      return "interrupted";
    case Status::no_free_parameters:
      return "no_free_parameters";
  }
  return "unknown";
}

std::string_view describe(Status status) {
  switch (status) {
    case Status::converged_ftol:
      return "Converged: chi2 no longer falls by more than ftol.";
    case Status::converged_xtol:
      return "Converged: the step is below xtol.";
    case Status::converged_gtol:
      return "Converged: no open direction leads downhill (gradient below gtol).";
    case Status::max_iterations:
      return "Stopped at max_iterations before convergence.";
    case Status::no_decrease:
      return "Stopped: no step, however short, lowers chi2, yet its gradient is not zero; "
             "check the derivatives or the noise of the model.";
    case Status::all_masked:
      return "Nothing to fit to: no unmasked pixel with positive weight.";
    case Status::degenerate:
      return "No solvable direction: the free parameters have no influence on the data.";
    case Status::non_finite:
      return "chi2 or its derivatives are not finite at the start or at every point tried.";
    case Status::timed_out:
      return "Stopped at the time limit before convergence.";
    case Status::interrupted:
      return "Interrupted; the best point so far is returned.";
    case Status::no_free_parameters:
      return "No free parameters: chi2 was evaluated once.";
  }
  return "Unknown status.";
}

bool is_success(Status status) {
  return status == Status::converged_ftol || status == Status::converged_xtol ||
         status == Status::converged_gtol || status == Status::no_free_parameters;
}

}  // namespace jointlight
