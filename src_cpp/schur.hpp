// The trace of sqrt(S1 S2) as the published tools take it: by the Schur square root of the product, with their
// decisions (pytorch-fid 0.3.0 on SciPy 1.17.1). float64, complex where the root is.
//
// Where the root is not finite, or its diagonal has an imaginary part above 1e-3, it is taken again with eps added to
// both diagonals. The tools do the same for the former and stop at the latter, and again where eps does not help; here
// eps then grows tenfold, up to what rounding explains, 1e-5 of the largest variance. So any two covariances have a
// number, and what is no covariance has none.
//
// The trace is 2^exponent times what is given: the product of very large or very small matrices would leave the range.
#pragma once

#include "lapack.hpp"

namespace fastfid {

struct SchurTrace {
  double value = 0;
  int exponent = 0;
  double offset = 0;  // what was added to both diagonals
};

// s1 and s2 are (d, d). Throws LinAlgError where no root will do.
SchurTrace trace_root_schur(const double* s1, const double* s2, Index d, double eps);

}  // namespace fastfid
