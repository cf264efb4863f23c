#include <algorithm>
#include <cmath>
#include <string>

#include "arrays.hpp"
#include "fastfid/errors.hpp"
#include "fastfid/moments.hpp"
#include "register.hpp"
#include "working.hpp"

namespace fastfid::bindings {
namespace {

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

// The rows not folded yet, in their own type.
py::array pending_of(const Moments& self) {
  const py::ssize_t n = self.pending(), d = self.dims();
  if (self.rows_are_float()) return py::array_t<float>({n, d}, self.rows_float());
  return py::array_t<double>({n, d}, self.rows_double());
}

py::object rows_of(const Moments& self) {
  if (!self.has_rows()) return py::none();
  return pending_of(self);
}

py::array_t<double> mean_of(const Moments& self) {
  py::array_t<double> mu(self.dims());
  double* data = mu.mutable_data();
  Working working;
  self.mean(data);
  return mu;
}

void require_finite(const py::array_t<double>& a) {
  if (!std::all_of(a.data(), a.data() + a.size(), [](double x) { return std::isfinite(x); }))
    throw OverflowError("the rows are too far apart: their covariance is too large for float64");
}

py::array_t<double> covariance_of(const Moments& self) {
  auto sigma = new_array<double>(self.dims(), self.dims());
  double* data = sigma.mutable_data();
  {
    Working working;
    self.covariance(data);
    require_finite(sigma);
  }
  return sigma;
}

Moments from_moments(Index n, const py::array& mu, const py::array& sigma) {
  const double* m = checked<double>(mu, 1, "mu");
  const double* s = square(sigma, "sigma");
  same(sigma.shape(0), mu.shape(0), "the size of sigma");
  return Moments::from_moments(n, m, s, mu.shape(0));
}

py::dict state_of(const Moments& self) {
  const Index d = self.folded() ? self.dims() : 0;
  py::array_t<double> shift(d), offset(d), m2(d * (d + 1) / 2);
  double *to_shift = shift.mutable_data(), *to_offset = offset.mutable_data(), *to_m2 = m2.mutable_data();
  {
    Working working;
    self.state(to_shift, to_offset, to_m2);
    require_finite(offset);
    require_finite(m2);
  }
  py::dict state;
  state["dims"] = self.dims();
  state["folded"] = self.folded();
  state["shift"] = shift;
  state["offset"] = offset;
  state["m2"] = m2;
  state["pending"] = pending_of(self);
  return state;
}

template <class T>
Moments from_checked_state(Index dims, Index folded, const double* shift, const double* offset,
                           const double* m2, const py::array& pending) {
  const T* rows = checked<T>(pending, 2, "pending");
  same(pending.shape(1), dims, "the length of a row");
  const Index n = pending.shape(0);
  Working working;
  return Moments::from_state(dims, folded, shift, offset, m2, rows, n);
}

Moments from_state(Index dims, Index folded, const py::array& shift, const py::array& offset,
                   const py::array& m2, const py::array& pending) {
  const Index d = folded ? dims : 0;
  const double *from_shift = checked<double>(shift, 1, "shift"),
               *from_offset = checked<double>(offset, 1, "offset"), *from_m2 = checked<double>(m2, 1, "m2");
  same(shift.shape(0), d, "the length of shift");
  same(offset.shape(0), d, "the length of offset");
  same(m2.shape(0), d * (d + 1) / 2, "the length of m2");
  return py::isinstance<py::array_t<float>>(pending)
             ? from_checked_state<float>(dims, folded, from_shift, from_offset, from_m2, pending)
             : from_checked_state<double>(dims, folded, from_shift, from_offset, from_m2, pending);
}

}  // namespace

void register_moments(py::module_& m) {
  py::class_<Moments>(m, "Moments")
      .def(py::init<Index>(), py::arg("dims"))
      .def_static("from_moments", &from_moments, py::arg("n"), py::arg("mu"), py::arg("sigma"))
      .def_static("from_state", &from_state, py::kw_only(), py::arg("dims"), py::arg("folded"),
                  py::arg("shift"), py::arg("offset"), py::arg("m2"), py::arg("pending"))
      .def("state", &state_of)
      .def("update", &update, py::arg("rows"))
      .def("merge", &Moments::merge, py::arg("other"), py::call_guard<Working>())
      .def("mean", &mean_of)
      .def("covariance", &covariance_of)
      .def("rows", &rows_of)
      .def_property_readonly("count", &Moments::count)
      .def_property_readonly("dims", &Moments::dims);
}

}  // namespace fastfid::bindings
