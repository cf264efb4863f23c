#include "fastfid/version.hpp"
#include "register.hpp"

PYBIND11_MODULE(_core, m) {
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
