#pragma once

#include <pybind11/pybind11.h>

#include "forks.hpp"

namespace fastfid::bindings {

// While the core works: without Python's lock, and no fork meanwhile.
struct Working {
  pybind11::gil_scoped_release release;
  forks::Working working;  // destroyed first: whoever waits for it in a fork holds Python's lock
};

}  // namespace fastfid::bindings
