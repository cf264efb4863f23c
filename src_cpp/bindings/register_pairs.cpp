// Nearest neighbours, balls and kernel sums over all pairs of rows.
#include <string>

#include "arrays.hpp"
#include "fastfid/kernels.hpp"
#include "fastfid/neighbours.hpp"
#include "pairs.hpp"
#include "register.hpp"
#include "working.hpp"

namespace fastfid::bindings {
namespace {

template <class T>
Rows<T> rows_of(const py::array& a, const char* name) {
  const T* data = checked<T>(a, 2, name);
  return {data, a.shape(0), a.shape(1)};
}

// Calls work(x, y) with the rows in their own type, which is that of x.
template <class Work>
auto with_rows(const py::array& x, const py::array& y, const Work& work) {
  if (x.ndim() == 2 && y.ndim() == 2) same(y.shape(1), x.shape(1), "the length of a row of y");
  if (py::isinstance<py::array_t<float>>(x)) {
    const auto a = rows_of<float>(x, "x");
    return work(a, rows_of<float>(y, "y"));
  }
  const auto a = rows_of<double>(x, "x");
  return work(a, rows_of<double>(y, "y"));
}

void require_itself(const py::array& x, const py::array& y, bool is_same) {
  if (is_same && (x.data() != y.data() || x.ndim() != y.ndim() || x.shape(0) != y.shape(0)))
    throw py::value_error("with same=True, y must be x");
}

py::tuple nearest_of(const py::array& x, const py::array& y, Index k, bool is_same) {
  require_itself(x, y, is_same);
  return with_rows(x, y, [&](auto a, auto b) {
    pairs::require_neighbours(b.n, k, is_same);  // before the results are allocated
    auto indices = new_array<std::int64_t>(a.n, k);
    auto distances = new_array<double>(a.n, k);
    std::int64_t* to_indices = indices.mutable_data();
    double* to_distances = distances.mutable_data();
    {
      Working working;
      fastfid::nearest(a, b, k, is_same, to_indices, to_distances);
    }
    return py::make_tuple(indices, distances);
  });
}

py::tuple balls_of(const py::array& x, const py::array& y, const py::array& radii_x, const py::array& radii_y,
                   bool strict) {
  const double *of_x = checked<double>(radii_x, 1, "radii_x"), *of_y = checked<double>(radii_y, 1, "radii_y");
  return with_rows(x, y, [&](auto a, auto b) {
    same(radii_x.shape(0), a.n, "the length of radii_x");
    same(radii_y.shape(0), b.n, "the length of radii_y");
    py::array_t<std::int64_t> in_y(a.n), in_x(b.n);
    py::array_t<double> nearest_y(b.n);
    std::int64_t *to_y = in_y.mutable_data(), *to_x = in_x.mutable_data();
    double* to_nearest = nearest_y.mutable_data();
    {
      Working working;
      fastfid::balls(a, b, of_x, of_y, strict, to_y, to_x, to_nearest);
    }
    return py::make_tuple(in_y, in_x, nearest_y);
  });
}

py::tuple polynomial_sums_of(const py::array& x, const py::array& y, bool is_same) {
  require_itself(x, y, is_same);
  return with_rows(x, y, [&](auto a, auto b) {
    py::array_t<double> rows(a.n), columns(b.n);
    double *to_rows = rows.mutable_data(), *to_columns = columns.mutable_data(), squares = 0;
    {
      Working working;
      squares = fastfid::polynomial_sums(a, b, is_same, to_rows, to_columns);
    }
    return py::make_tuple(rows, columns, squares);
  });
}

py::tuple gaussian_sums_of(const py::array& x, const py::array& y, double sigma) {
  return with_rows(x, y, [&](auto a, auto b) {
    py::array_t<double> rows(a.n), columns(b.n);
    double *to_rows = rows.mutable_data(), *to_columns = columns.mutable_data();
    {
      Working working;
      fastfid::gaussian_sums(a, b, sigma, to_rows, to_columns);
    }
    return py::make_tuple(rows, columns);
  });
}

}  // namespace

void register_pairs(py::module_& m) {
  m.def("nearest", &nearest_of, py::arg("x"), py::arg("y"), py::arg("k"), py::arg("same"));
  m.def("balls", &balls_of, py::arg("x"), py::arg("y"), py::arg("radii_x"), py::arg("radii_y"),
        py::arg("strict"));
  m.def("polynomial_sums", &polynomial_sums_of, py::arg("x"), py::arg("y"), py::arg("same"));
  m.def("gaussian_sums", &gaussian_sums_of, py::arg("x"), py::arg("y"), py::arg("sigma"));
}

}  // namespace fastfid::bindings
