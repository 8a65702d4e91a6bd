// SPDX-License-Identifier: BSD-3-Clause
// PSFs of a SceneBuilder.
#include "bindings/bindings.hpp"
#include "bindings/scene_handle.hpp"

namespace jointlight {

int add_psf_array(SceneSpec& spec, const Array& array, int oversampling,
                  std::pair<double, double> center, const std::string& kind) {
  check_shape("array", array, {-1, -1});
  require(kind == "effective" || kind == "optical", "kind = '", kind,
          "', allowed: 'effective', 'optical'");
  Psf psf;
  psf.includes_pixel = kind == "effective";
  psf.data = to_vector<double>(array);
  psf.ny = static_cast<int>(array.shape(0));
  psf.nx = static_cast<int>(array.shape(1));
  psf.oversampling = oversampling;
  psf.cx = center.first;
  psf.cy = center.second;
  spec.psfs.push_back(std::move(psf));
  return static_cast<int>(spec.psfs.size()) - 1;
}

int add_psf_analytic(SceneSpec& spec, const std::string& profile, const std::vector<double>& params,
                     double extent_px, const std::string& kind) {
  require(kind == "effective" || kind == "optical", "kind = '", kind,
          "', allowed: 'effective', 'optical'");
  require(profile == "gaussian" || profile == "moffat", "profile = '", profile,
          "', allowed: 'gaussian', 'moffat'");
  const bool gaussian = profile == "gaussian";
  require(params.size() == (gaussian ? 1U : 2U), "params has ", params.size(), " values, ", profile,
          " takes ", gaussian ? 1 : 2);
  Psf psf;
  psf.form = gaussian ? Psf::Form::gaussian : Psf::Form::moffat;
  for (std::size_t i = 0; i < params.size(); ++i) psf.params[i] = params[i];
  psf.extent = extent_px;
  psf.includes_pixel = kind == "effective";
  spec.psfs.push_back(std::move(psf));
  return static_cast<int>(spec.psfs.size()) - 1;
}

}  // namespace jointlight
