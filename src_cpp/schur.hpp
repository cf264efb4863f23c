// The trace of sqrt(S1 S2) as the published tools compute it: by the Schur square root of the product, with their
// decisions (pytorch-fid 0.3.0 on SciPy 1.17.1). float64, or complex128 if the root is complex.
//
// If the root is not finite, or its diagonal has an imaginary part above 1e-3, it is computed again with eps added to
// both diagonals. The tools do the same in the first case. In the second case they stop, and also if eps does not help.
// Here eps is then multiplied by ten, up to the limit of what rounding explains, 1e-5 of the largest variance. So any
// two covariances have a number, and a matrix that is not a covariance has none.
//
// The trace is 2^exponent times the returned value, because the product of very large or very small matrices would
// leave the range of a double.
#pragma once

#include "lapack.hpp"

namespace fastfid {

struct SchurTrace {
  double value = 0;
  int exponent = 0;
  double offset = 0;  // added to both diagonals
};

// s1 and s2 are (d, d). Throws LinAlgError if there is no usable root.
SchurTrace trace_root_schur(const double* s1, const double* s2, Index d, double eps);

}  // namespace fastfid
