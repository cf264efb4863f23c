#include "fastfid/resize.hpp"

#include <cstdint>

#include "arrays.hpp"
#include "register.hpp"

namespace fastfid::bindings {
namespace {

template <void (*kernel)(const Image&, const Planes&)>
void resize(const py::array& image, py::array out) {
  const auto* pixels = checked<std::uint8_t>(image, 3, "image");
  checked<float>(out, 3, "out");
  same(image.shape(2), 3, "the channels of image");
  same(out.shape(0), 3, "the channels of out");
  if (image.size() == 0 || out.size() == 0) throw py::value_error("image and out must not be empty");
  const Image from{pixels, image.shape(0), image.shape(1)};
  const Planes to{static_cast<float*>(out.mutable_data()), out.shape(1), out.shape(2)};
  py::gil_scoped_release release;
  kernel(from, to);
}

}  // namespace

void register_resize(py::module_& m) {
  m.def("resize_pytorch", &resize<resize_pytorch>, py::arg("image"), py::arg("out"));
  m.def("resize_tensorflow", &resize<resize_tensorflow>, py::arg("image"), py::arg("out"));
  m.def("resize_clean", &resize<resize_clean>, py::arg("image"), py::arg("out"));
  m.def("resize_keras", &resize<resize_keras>, py::arg("image"), py::arg("out"));
  m.def("resize_torchmetrics", &resize<resize_torchmetrics>, py::arg("image"), py::arg("out"));
  m.def("interpolate_tensorflow", &resize<interpolate_tensorflow>, py::arg("image"), py::arg("out"));
  m.def("interpolate_torch_bicubic", &resize<interpolate_torch_bicubic>, py::arg("image"), py::arg("out"));
}

}  // namespace fastfid::bindings
