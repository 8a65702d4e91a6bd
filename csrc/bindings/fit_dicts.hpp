// SPDX-License-Identifier: BSD-3-Clause
// A fit's dictionaries: the options that it takes, the records and the outcome that it gives.
#pragma once

#include <pybind11/pybind11.h>

#include "solve/options.hpp"
#include "solve/scene_fit.hpp"

namespace jointlight {

LMOptions read_options(const pybind11::dict& given);

pybind11::dict record_dict(const IterationRecord& record);

pybind11::dict outcome_dict(const SceneFit& result);

}  // namespace jointlight
