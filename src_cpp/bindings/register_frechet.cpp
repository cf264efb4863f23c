// The distance, the square root, and the checks of a covariance.
#include <pybind11/complex.h>

#include <algorithm>
#include <complex>
#include <variant>

#include "arrays.hpp"
#include "covariance.hpp"
#include "distance.hpp"
#include "fastfid/sqrtm.hpp"
#include "register.hpp"
#include "working.hpp"

namespace fastfid::bindings {
namespace {

Gaussian gaussian(const py::array& mu, const py::array& a, bool rows, const char* name) {
  Gaussian g;
  g.mu = checked<double>(mu, 1, "a mean");
  g.d = mu.shape(0);
  if (rows) {
    g.rows = checked<double>(a, 2, name);
    g.n = a.shape(0);
  } else {
    g.sigma = square(a, name);
  }
  same(a.shape(1), g.d, "the dims beside a mean");
  return g;
}

py::tuple distance_of(const py::array& mu1, const py::array& a, bool a_rows, const py::array& mu2,
                      const py::array& b, bool b_rows, bool schur, double eps) {
  const Gaussian ga = gaussian(mu1, a, a_rows, "a"), gb = gaussian(mu2, b, b_rows, "b");
  same(gb.d, ga.d, "the dims of b");
  Distance d;
  {
    Working working;
    d = distance_of_checked(ga, gb, schur ? Method::schur : Method::automatic, eps);
  }
  return py::make_tuple(d.value, d.mean_term, d.trace_term, d.error_estimate, d.rank1, d.rank2, d.offset);
}

py::tuple look_at_matrix(const py::array& a) {
  const double* data = square(a, "a");
  Matrix seen;
  {
    py::gil_scoped_release release;
    seen = look_at(data, a.shape(0));
  }
  return py::make_tuple(seen.finite, seen.asymmetry, seen.largest);
}

template <class T>
Root root_of(const py::array& a) {
  const T* data = checked<T>(a, 2, "a");
  Working working;
  return sqrtm(data, a.shape(0));
}

py::array sqrtm_of(const py::array& a) {
  if (a.ndim() == 2) same(a.shape(1), a.shape(0), "the number of columns");
  using Complex = std::complex<double>;
  const Root root = py::isinstance<py::array_t<Complex>>(a) ? root_of<Complex>(a) : root_of<double>(a);
  return std::visit(
      [&](const auto& entries) -> py::array {
        auto out = new_array<typename std::decay_t<decltype(entries)>::value_type>(a.shape(0), a.shape(0));
        std::copy(entries.begin(), entries.end(), out.mutable_data());
        return out;
      },
      root);
}

}  // namespace

void register_frechet(py::module_& m) {
  m.def("frechet_distance", &distance_of, py::arg("mu1"), py::arg("a"), py::arg("a_rows"), py::arg("mu2"),
        py::arg("b"), py::arg("b_rows"), py::arg("schur"), py::arg("eps"));
  m.def("sqrtm", &sqrtm_of, py::arg("a"));
  m.def("look_at", &look_at_matrix, py::arg("a"));
}

}  // namespace fastfid::bindings
