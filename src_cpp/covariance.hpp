// What makes a matrix a covariance, seen in one pass over memory.
#pragma once

#include "lapack.hpp"

namespace fastfid {

struct Matrix {
  bool finite = true;
  double asymmetry = 0;  // largest |a_ij - a_ji|; not filled where an entry is not finite
  double largest = 0;    // largest |a_ij|
};

// a is (d, d). In tiles: a column of a large matrix misses every cache.
Matrix look_at(const double* a, Index d);

}  // namespace fastfid
