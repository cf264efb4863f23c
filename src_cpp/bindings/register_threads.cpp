// The number of threads, and the calls before and after a fork.
#include "forks.hpp"
#include "register.hpp"
#include "threads.hpp"

namespace fastfid::bindings {

namespace py = pybind11;

void register_threads(py::module_& m) {
  m.def("set_num_threads", &threads::set, py::arg("n"));
  m.def("get_num_threads", &threads::get);
  m.def("before_fork", &forks::before);
  m.def("after_fork_in_parent", &forks::after_in_parent);
  m.def("after_fork_in_child", &forks::after_in_child);
}

}  // namespace fastfid::bindings
