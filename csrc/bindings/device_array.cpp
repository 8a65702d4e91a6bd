// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/device_array.hpp"

#include <pybind11/stl.h>

#include <utility>

#include "bindings/bindings.hpp"
#include "bindings/dlpack.hpp"

namespace jointlight {

std::string DeviceArray::typestr() const {
  const char* kind = type_code == 0   ? "<i"
                     : type_code == 1 ? "<u"
                     : type_code == 2 ? "<f"
                     : type_code == 6 ? "|b"
                                      : nullptr;
  require(kind != nullptr, "a device's array must hold real numbers or bool");
  return kind + std::to_string(bits / 8);
}

DeviceArray device_array(const DeviceModel& model, const std::vector<std::int64_t>& shape) {
  DeviceArray out;
  out.owner = model.pixels;
  out.data = model.pixels.get();
  out.shape = shape;
  out.device_type = model.emulated ? dlpack::on_cpu : dlpack::on_cuda;
  out.device = model.device;
  return out;
}

namespace {

// Takes the tensor over; the array may go away in any thread.
DeviceArray from_dlpack(const py::capsule& capsule) {
  require(capsule.name() != nullptr && std::string(capsule.name()) == dlpack::fresh,
          "not a DLPack capsule that nobody has taken");
  auto* managed = capsule.get_pointer<dlpack::ManagedTensor>();
  if (PyCapsule_SetName(capsule.ptr(), dlpack::taken) != 0) throw py::error_already_set();
  DeviceArray out;
  out.owner = std::shared_ptr<const void>(managed, [](dlpack::ManagedTensor* tensor) {
    const py::gil_scoped_acquire gil;
    if (tensor->deleter != nullptr) tensor->deleter(tensor);
  });
  const dlpack::Tensor& tensor = managed->tensor;
  require(tensor.dtype.lanes == 1, "a device's array must hold plain numbers");
  out.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  out.shape.assign(tensor.shape, tensor.shape + tensor.ndim);
  for (int i = 0; tensor.strides != nullptr && i < tensor.ndim; ++i) {
    out.strides.push_back(tensor.strides[i] * (tensor.dtype.bits / 8));
  }
  out.type_code = tensor.dtype.code;
  out.bits = tensor.dtype.bits;
  out.device_type = tensor.device.type;
  out.device = tensor.device.id;
  return out;
}

// What a capsule holds on to.
struct Lent {
  DeviceArray array;
  std::vector<std::int64_t> strides;  // in numbers; empty: of C order
  dlpack::ManagedTensor managed;
};

py::capsule to_dlpack(const DeviceArray& array) {
  auto lent = std::make_unique<Lent>(Lent{array, {}, {}});
  const std::int64_t item = array.bits / 8;
  for (const std::int64_t stride : array.strides) {
    require(stride % item == 0, "strides of ", stride, " bytes are no multiple of an item's ",
            item);
    lent->strides.push_back(stride / item);
  }
  dlpack::ManagedTensor& managed = lent->managed;
  managed.tensor = {
      array.data,
      {array.device_type, array.device},
      static_cast<std::int32_t>(array.shape.size()),
      {static_cast<std::uint8_t>(array.type_code), static_cast<std::uint8_t>(array.bits), 1},
      lent->array.shape.data(),
      lent->strides.empty() ? nullptr : lent->strides.data(),
      0};
  managed.context = lent.get();
  managed.deleter = [](dlpack::ManagedTensor* tensor) {
    delete static_cast<Lent*>(tensor->context);
  };
  PyObject* made = PyCapsule_New(&managed, dlpack::fresh, [](PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, dlpack::fresh) == 0) return;  // somebody else's
    void* pointer = PyCapsule_GetPointer(capsule, dlpack::fresh);
    auto* tensor = static_cast<dlpack::ManagedTensor*>(pointer);
    tensor->deleter(tensor);
  });
  if (made == nullptr) throw py::error_already_set();
  lent.release();
  return py::reinterpret_steal<py::capsule>(made);
}

py::dict cuda_interface(const DeviceArray& array) {
  py::dict out;
  out["shape"] = py::tuple(py::cast(array.shape));
  out["typestr"] = array.typestr();
  out["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(array.data), false);
  out["version"] = 3;
  out["strides"] = array.strides.empty() ? py::object(py::none())
                                         : py::object(py::tuple(py::cast(array.strides)));
  out["stream"] = py::none();  // all that wrote it has ended
  return out;
}

std::string shown(const DeviceArray& array) {
  const std::string dtype = py::str(py::object(py::dtype(array.typestr())));
  const bool cuda = array.device_type != dlpack::on_cpu;
  const std::string shape = py::repr(py::tuple(py::cast(array.shape)));
  return "DeviceArray(shape=" + shape + ", dtype='" + dtype + "', device='" +
         (cuda ? "cuda:" + std::to_string(array.device) : "cpu") + "')";
}

}  // namespace

void bind_device_array(py::module_& m) {
  m.def("from_dlpack", &from_dlpack, py::arg("capsule"), "An array from a DLPack capsule.");
  py::class_<DeviceArray>(m, "DeviceArray",
                          "An array in a device's memory, for cupy.asarray, torch.as_tensor, "
                          "jax.numpy.from_dlpack and the like, without a copy.")
      .def_property_readonly(
          "shape", [](const DeviceArray& a) { return py::tuple(py::cast(a.shape)); }, "Its shape.")
      .def_property_readonly("__cuda_array_interface__", &cuda_interface)
      .def("__repr__", &shown)
      .def(
          "__array__",
          [](const DeviceArray&, const py::args&, const py::kwargs&) -> py::object {
            throw py::type_error(
                "NumPy does not read a device's memory. Copy it with cupy.asnumpy(cupy.asarray(x)) "
                "or torch.as_tensor(x).cpu().numpy(), or use scene.render(image)");
          },
          "Refused, with what to do instead.")
      .def("__dlpack_device__",
           [](const DeviceArray& a) { return py::make_tuple(a.device_type, a.device); })
      .def(
          "__dlpack__",
          [](const DeviceArray& a, const py::kwargs& options) {
            const auto asked = [&](const char* name) {
              return options.contains(name) ? py::object(options[name]) : py::object(py::none());
            };
            const py::object where = asked("dl_device");
            const bool here =
                where.is_none() || where.equal(py::make_tuple(a.device_type, a.device));
            if (!here || asked("copy").is(py::bool_(true)))
              throw py::buffer_error("it is handed over where it is, without a copy");
            return to_dlpack(a);
          },
          "A capsule of the array itself: nothing is to be waited for, on any stream.");
}

}  // namespace jointlight
