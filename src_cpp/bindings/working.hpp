#pragma once

#include <pybind11/pybind11.h>

#include "forks.hpp"

namespace fastfid::bindings {

// Held while the core works: releases Python's lock, and makes forks wait.
struct Working {
  pybind11::gil_scoped_release release;
  forks::Working working;  // destroyed first, because a fork that waits for it holds Python's lock
};

}  // namespace fastfid::bindings
