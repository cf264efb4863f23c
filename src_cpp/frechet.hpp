// The trace of sqrt(S1 S2) for two covariances, the only hard term of the Fréchet distance
//
//   d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)
//
// (Dowson & Landau 1982; Heusel et al. 2017). float64 throughout.
//
// Two matrices of full rank: S1 = L L^T, and the eigenvalues of the symmetric L^T S2 L are those of S1 S2. Taken
// where their rounding costs less than 2e-10 of the geometric mean of the traces, which is then the error bound.
//
// Otherwise, with S = F F^T, they are the squared singular values of G = F1^T F2, so the trace is the nuclear norm
// of G: real, never negative, whatever the ranks. F is
//   - rows at hand (n <= d):   the centred rows / sqrt(n - 1), without ever forming S;
//   - a well conditioned S:    its Cholesky factor;
//   - any other S:             its pivoted Cholesky factor, cut at pivots of max(32, d) eps max (Higham 1990,
//                              "Analysis of the Cholesky decomposition of a semi-definite matrix").
// Dimensions that are exactly zero on either side take no part and are dropped first.
//
// The nuclear norm comes from the eigenvalues w of the smaller Gram matrix of G. Squaring costs the small ones
// their digits: an error delta of w is one of delta / (2 sqrt(w)) in the sum. So only the eigenvalues whose errors
// add up to less than 1e-12 of the sum are taken; for the others G is projected on their eigenvectors, which has
// no such loss, and the same is done with the projection. Error bound: 1e-12 of the sum, and for a matrix that had
// to be cut the root of what was cut times the other side's trace.
#pragma once

#include "lapack.hpp"

namespace fastfid {

// A matrix given as a covariance that cannot be one.
struct IndefiniteError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// One Gaussian: its covariance, or, where rows is set, the rows it comes from.
struct Gaussian {
  const double* sigma = nullptr;  // (d, d) symmetric
  const double* rows = nullptr;   // (n, d) row-major, not centred
  Index n = 0;
  Index d = 0;
};

struct TraceRoot {
  double value = 0;  // tr sqrt(S1 S2)
  double error = 0;  // estimate, absolute: rounding, and what a deficient matrix cannot tell
  Index rank1 = 0;   // numerical ranks of S1 and S2, among the dimensions that are not zero on either side
  Index rank2 = 0;
};

TraceRoot trace_root(const Gaussian& a, const Gaussian& b);

struct SchurTrace {
  double value = 0;
  bool offset_used = false;  // eps had to be added to both diagonals
};

// The published tools' way: the Schur square root of S1 S2; where that is not finite, again with eps added to
// both diagonals; LinAlgError where the root's diagonal has an imaginary part above 1e-3.
SchurTrace trace_root_schur(const double* s1, const double* s2, Index d, double eps);

}  // namespace fastfid
