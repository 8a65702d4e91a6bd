// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <pybind11/pybind11.h>

namespace jointlight {

void bind_profiles(pybind11::module_& m);
void bind_scene(pybind11::module_& m);
void bind_builder(pybind11::module_& m);
void bind_stages(pybind11::module_& m);
void bind_backends(pybind11::module_& m);
void bind_batch(pybind11::module_& m);
void bind_device_array(pybind11::module_& m);

}  // namespace jointlight
