// The trace of the square root of a product, the square root itself, and the checks of a covariance.
#include "frechet.hpp"

#include <pybind11/complex.h>

#include <variant>

#include "arrays.hpp"
#include "covariance.hpp"
#include "register.hpp"
#include "schur.hpp"
#include "sqrtm.hpp"
#include "working.hpp"

namespace fastfid::bindings {
namespace {

Gaussian gaussian(const py::array& a, bool rows, const char* name) {
  Gaussian g;
  g.d = a.ndim() == 2 ? a.shape(1) : 0;
  if (rows) {
    g.rows = checked<double>(a, 2, name);
    g.n = a.shape(0);
  } else {
    g.sigma = square(a, name);
  }
  return g;
}

py::tuple trace_root_of(const py::array& a, bool a_rows, const py::array& b, bool b_rows) {
  const Gaussian ga = gaussian(a, a_rows, "a"), gb = gaussian(b, b_rows, "b");
  same(gb.d, ga.d, "the dims of b");
  TraceRoot t;
  {
    Working working;
    t = trace_root(ga, gb);
  }
  return py::make_tuple(t.value, t.error, t.exponent, t.rank1, t.rank2);
}

py::tuple trace_root_schur_of(const py::array& s1, const py::array& s2, double eps) {
  const double *a = square(s1, "sigma1"), *b = square(s2, "sigma2");
  same(s2.shape(0), s1.shape(0), "the size of sigma2");
  SchurTrace t;
  {
    Working working;
    t = trace_root_schur(a, b, s1.shape(0), eps);
  }
  return py::make_tuple(t.value, t.exponent, t.offset);
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

template <class Matrix>
Root root_of(const typename Matrix::Scalar* data, Index n) {
  Working working;
  using RowMajor = Eigen::Matrix<typename Matrix::Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  return sqrtm(Matrix(Eigen::Map<const RowMajor>(data, n, n)));
}

template <class Matrix>
py::array to_array(const Matrix& m) {
  using T = typename Matrix::Scalar;
  using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto out = new_array<T>(m.rows(), m.cols());
  Eigen::Map<RowMajor>(out.mutable_data(), m.rows(), m.cols()) = m;
  return out;
}

py::array sqrtm_of(const py::array& a) {
  if (a.ndim() == 2) same(a.shape(1), a.shape(0), "the number of columns");
  const Root root = py::isinstance<py::array_t<lapack::Complex>>(a)
                        ? root_of<MatrixXcd>(checked<lapack::Complex>(a, 2, "a"), a.shape(0))
                        : root_of<MatrixXd>(checked<double>(a, 2, "a"), a.shape(0));
  return std::visit([](const auto& m) { return to_array(m); }, root);
}

}  // namespace

void register_frechet(py::module_& m) {
  m.def("trace_root", &trace_root_of, py::arg("a"), py::arg("a_rows"), py::arg("b"), py::arg("b_rows"));
  m.def("trace_root_schur", &trace_root_schur_of, py::arg("sigma1"), py::arg("sigma2"), py::arg("eps"));
  m.def("sqrtm", &sqrtm_of, py::arg("a"));
  m.def("look_at", &look_at_matrix, py::arg("a"));
}

}  // namespace fastfid::bindings
