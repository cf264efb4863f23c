// Checks of arrays. Arrays are never converted, because that would silently copy them.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "fastfid/config.hpp"

namespace fastfid::bindings {

namespace py = pybind11;

inline std::string shape_of(const py::array& a) { return py::str(a.attr("shape")); }

// C-contiguous, of exactly this dtype and rank.
template <class T>
const T* checked(const py::array& a, int ndim, const char* name) {
  if (!py::isinstance<py::array_t<T>>(a) || !(a.flags() & py::array::c_style) || a.ndim() != ndim)
    throw py::type_error(std::string(name) + " must be a C-contiguous " +
                         std::string(py::str(py::dtype::of<T>())) + " array of " + std::to_string(ndim) +
                         " dimensions, got " + std::string(py::str(a.dtype())) + " of shape " + shape_of(a));
  return static_cast<const T*>(a.data());
}

inline const double* square(const py::array& a, const char* name) {
  const double* data = checked<double>(a, 2, name);
  if (a.shape(0) != a.shape(1))
    throw py::value_error(std::string(name) + " must be square, got shape " + shape_of(a));
  return data;
}

inline void same(Index got, Index expected, const char* what) {
  if (got != expected)
    throw py::value_error(std::string(what) + " must be " + std::to_string(expected) + ", got " +
                          std::to_string(got));
}

template <class T>
py::array_t<T> new_array(Index rows, Index cols) {
  return py::array_t<T>({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(cols)});
}

}  // namespace fastfid::bindings
