// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>

#include "backend/backend.hpp"
#include "backend/device/ceilings.hpp"
#include "backend/evaluator.hpp"

namespace jointlight {

// The device's backend on the host, thread by thread: slow, for tests of the device's code where
// there is no device.
std::unique_ptr<Backend> make_emulated_backend(std::shared_ptr<const Scene> scene);
std::unique_ptr<Evaluator> make_emulated_evaluator();
// One that fails when it is to start its n-th evaluation, n >= 1.
std::unique_ptr<Evaluator> make_failing_evaluator(int n);

Ceilings emulated_ceilings();
// Whether its threads run from the last to the first: what they give must not depend on it.
void emulate_backwards(bool on);

}  // namespace jointlight
