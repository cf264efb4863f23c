// Weighted sums of the squared coordinates of rows, one block of rows at a time.
//
//   out_ik = Σ_p table_kp (directions_p · (row_i - mean))²
//
// Everything that the certainty of a distance needs from each row: quadratic forms in coordinates where both covariances
// are diagonal, at the nodes of an integral. The first product is n x d by d x d, and no coordinate is kept.
#pragma once

#include "lapack.hpp"

namespace fastfid::coordinates {

struct Problem {
  const double *rows, *mean;  // (n, d), (d)
  const double* directions;   // (p, d), row-major
  const double* table;        // (k, p), row-major
  Index n, d, p, k;
};

constexpr Index kBlockRows = 128;  // part of the numerical definition: a block is one product of BLAS

// Writes out (n, k), row-major. The result does not depend on the number of threads.
void squares(const Problem& problem, double* out);

}  // namespace fastfid::coordinates
