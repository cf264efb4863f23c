// The functions that register the module's contents, one for each subject.
#pragma once

#include <pybind11/pybind11.h>

namespace fastfid::bindings {

void register_errors();
void register_moments(pybind11::module_& m);
void register_frechet(pybind11::module_& m);
void register_coordinates(pybind11::module_& m);
void register_pairs(pybind11::module_& m);
void register_resize(pybind11::module_& m);
void register_threads(pybind11::module_& m);

}  // namespace fastfid::bindings
