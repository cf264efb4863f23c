// Checks whether a matrix can be a covariance, in one pass over memory.
#pragma once

#include "lapack.hpp"

namespace fastfid {

struct Matrix {
  bool finite = true;
  double asymmetry = 0;  // largest |a_ij - a_ji|; 0 if an entry is not finite
  double largest = 0;    // largest |a_ij|
};

// a is (d, d). It is read in tiles, because reading a column of a large matrix misses every cache.
Matrix look_at(const double* a, Index d);

}  // namespace fastfid
