// Rows of features.
#pragma once

#include "fastfid/config.hpp"

namespace fastfid {

/// n rows of d values of T, float or double, row-major; not owned.
template <class T>
struct Rows {
  const T* data;
  Index n, d;

  const T* operator[](Index i) const { return data + i * d; }
};

}  // namespace fastfid
