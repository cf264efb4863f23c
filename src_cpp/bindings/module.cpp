#include "fastfid/version.hpp"
#include "register.hpp"

namespace py = pybind11;

// Without the GIL too: moments are the only objects that change, and Python's side locks them.
PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  m.doc() =
      "Moments, matrix square root, Fréchet trace, sums over pairs of rows and resize kernels; see "
      "_core.pyi.";
  m.attr("__version__") = fastfid::version();

  using namespace fastfid::bindings;
  register_errors();
  register_moments(m);
  register_frechet(m);
  register_coordinates(m);
  register_pairs(m);
  register_resize(m);
  register_threads(m);
}
