// The Python face of the core: check shapes and dtypes, release the GIL, call. No loops, no logic.
#include <pybind11/complex.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "covariance.hpp"
#include "forks.hpp"
#include "frechet.hpp"
#include "lapack.hpp"
#include "moments.hpp"
#include "resize.hpp"
#include "schur.hpp"
#include "sqrtm.hpp"

namespace py = pybind11;
using namespace fastfid;

namespace {

// While the core works: without Python's lock, and no fork meanwhile.
struct Working {
  py::gil_scoped_release release;
  forks::Working working;  // destroyed first: whoever waits for it in a fork holds Python's lock
};

std::string shape_of(const py::array& a) { return py::str(a.attr("shape")); }

// C-contiguous, of exactly this dtype and rank: anything else is refused rather than copied behind the
// caller's back.
template <class T>
const T* checked(const py::array& a, int ndim, const char* name) {
  if (!py::isinstance<py::array_t<T>>(a) || !(a.flags() & py::array::c_style) || a.ndim() != ndim)
    throw py::type_error(std::string(name) + " must be a C-contiguous " +
                         std::string(py::str(py::dtype::of<T>())) + " array of " + std::to_string(ndim) +
                         " dimensions, got " + std::string(py::str(a.dtype())) + " of shape " + shape_of(a));
  return static_cast<const T*>(a.data());
}

const double* square(const py::array& a, const char* name) {
  const double* data = checked<double>(a, 2, name);
  if (a.shape(0) != a.shape(1))
    throw py::value_error(std::string(name) + " must be square, got shape " + shape_of(a));
  return data;
}

void same(Index got, Index expected, const char* what) {
  if (got != expected)
    throw py::value_error(std::string(what) + " must be " + std::to_string(expected) + ", got " +
                          std::to_string(got));
}

template <class T>
py::array_t<T> new_array(Index rows, Index cols) {
  return py::array_t<T>({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(cols)});
}

void update(Moments& self, const py::array& rows) {
  if (rows.ndim() == 2) same(rows.shape(1), self.dims(), "the length of a row");
  if (py::isinstance<py::array_t<float>>(rows)) {
    const float* data = checked<float>(rows, 2, "rows");
    Working working;
    self.update(data, rows.shape(0));
  } else {
    const double* data = checked<double>(rows, 2, "rows");
    Working working;
    self.update(data, rows.shape(0));
  }
}

py::object rows_of(const Moments& self) {
  if (!self.has_rows()) return py::none();
  const auto shape = std::vector<py::ssize_t>{self.count(), self.dims()};
  if (self.rows_are_float()) return py::array_t<float>(shape, self.rows_float());
  return py::array_t<double>(shape, self.rows_double());
}

py::array_t<double> mean_of(const Moments& self) {
  py::array_t<double> mu(self.dims());
  double* data = mu.mutable_data();
  Working working;
  self.mean(data);
  return mu;
}

py::array_t<double> covariance_of(const Moments& self) {
  auto sigma = new_array<double>(self.dims(), self.dims());
  double* data = sigma.mutable_data();
  {
    Working working;
    self.covariance(data);
    if (!Eigen::Map<const VectorXd>(data, sigma.size()).allFinite())
      throw OverflowError("the rows are too far apart: their covariance is too large for float64");
  }
  return sigma;
}

Moments from_moments(Index n, const py::array& mu, const py::array& sigma) {
  const double* m = checked<double>(mu, 1, "mu");
  const double* s = square(sigma, "sigma");
  same(sigma.shape(0), mu.shape(0), "the size of sigma");
  return Moments::from_moments(n, m, s, mu.shape(0));
}

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

PYBIND11_MODULE(_core, m) {
  m.doc() = "Moments, matrix square root, Fréchet trace and resize kernels; see _core.pyi.";
  m.attr("__version__") = FASTFID_VERSION;

  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const LinAlgError& e) {
      py::set_error(py::module_::import("fastfid.errors").attr("LinAlgError"), e.what());
    } catch (const OverflowError& e) {
      py::set_error(py::module_::import("fastfid.errors").attr("InputError"), e.what());
    } catch (const IndefiniteError& e) {
      py::set_error(py::module_::import("fastfid.errors").attr("InputError"), e.what());
    }
  });

  py::class_<Moments>(m, "Moments")
      .def(py::init<Index>(), py::arg("dims"))
      .def_static("from_moments", &from_moments, py::arg("n"), py::arg("mu"), py::arg("sigma"))
      .def("update", &update, py::arg("rows"))
      .def("merge", &Moments::merge, py::arg("other"), py::call_guard<Working>())
      .def("mean", &mean_of)
      .def("covariance", &covariance_of)
      .def("rows", &rows_of)
      .def_property_readonly("count", &Moments::count)
      .def_property_readonly("dims", &Moments::dims);

  m.def("trace_root", &trace_root_of, py::arg("a"), py::arg("a_rows"), py::arg("b"), py::arg("b_rows"));
  m.def("trace_root_schur", &trace_root_schur_of, py::arg("sigma1"), py::arg("sigma2"), py::arg("eps"));
  m.def("sqrtm", &sqrtm_of, py::arg("a"));
  m.def("look_at", &look_at_matrix, py::arg("a"));
  m.def("before_fork", &forks::before);
  m.def("after_fork_in_parent", &forks::after_in_parent);
  m.def("after_fork_in_child", &forks::after_in_child);
  m.def("resize_pytorch", &resize<resize_pytorch>, py::arg("image"), py::arg("out"));
  m.def("resize_tensorflow", &resize<resize_tensorflow>, py::arg("image"), py::arg("out"));
  m.def("resize_clean", &resize<resize_clean>, py::arg("image"), py::arg("out"));
  m.def("resize_keras", &resize<resize_keras>, py::arg("image"), py::arg("out"));
  m.def("resize_torchmetrics", &resize<resize_torchmetrics>, py::arg("image"), py::arg("out"));
  m.def("set_num_threads", &lapack::set_num_threads, py::arg("n"));
  m.def("get_num_threads", &lapack::get_num_threads);
}
