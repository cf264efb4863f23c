// Sums over squared coordinates of rows.
#include "arrays.hpp"
#include "coordinates.hpp"
#include "register.hpp"
#include "working.hpp"

namespace fastfid::bindings {
namespace {

py::array_t<double> squares_of(const py::array& rows, const py::array& mean, const py::array& directions,
                               const py::array& table) {
  const coordinates::Problem problem{checked<double>(rows, 2, "rows"),
                                     checked<double>(mean, 1, "mean"),
                                     checked<double>(directions, 2, "directions"),
                                     checked<double>(table, 2, "table"),
                                     rows.shape(0),
                                     rows.shape(1),
                                     directions.shape(0),
                                     table.shape(0)};
  same(mean.shape(0), problem.d, "the length of mean");
  same(directions.shape(1), problem.d, "the length of a direction");
  same(table.shape(1), problem.p, "the length of a row of table");
  auto out = new_array<double>(problem.n, problem.k);
  double* to = out.mutable_data();
  {
    Working working;
    coordinates::squares(problem, to);
  }
  return out;
}

}  // namespace

void register_coordinates(py::module_& m) {
  m.def("squares_of_coordinates", &squares_of, py::arg("rows"), py::arg("mean"), py::arg("directions"),
        py::arg("table"));
}

}  // namespace fastfid::bindings
