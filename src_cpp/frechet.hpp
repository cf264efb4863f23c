// The trace of sqrt(S1 S2) for two covariances, the only hard term of the Fréchet distance
//
//   d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)
//
// (Dowson & Landau 1982; Heusel et al. 2017). float64 throughout.
//
// If both matrices have full rank: S1 = L L^T, and the eigenvalues of the symmetric L^T S2 L are those of S1 S2. They
// are used if their rounding costs less than 2e-10 of the geometric mean of the traces.
//
// Otherwise, with S = F F^T, they are the squared singular values of G = F1^T F2, so the trace is the nuclear norm
// of G, which is real and not negative for all ranks. F is
//   - for rows (n <= d):       the centred rows / sqrt(n - 1), so that S is never formed;
//   - a well conditioned S:    its Cholesky factor;
//   - any other S:             its pivoted Cholesky factor, cut at pivots of max(32, d) eps max (Higham 1990,
//                              "Analysis of the Cholesky decomposition of a semi-definite matrix").
// Dimensions that are exactly zero on either side contribute nothing and are dropped first.
//
// The nuclear norm is computed from the eigenvalues w of the smaller Gram matrix of G. Squaring loses digits of the
// small ones: an error delta of w becomes delta / (2 sqrt(w)) in the sum. So only those eigenvalues are used whose
// errors add up to less than 1e-12 of the sum. For the others G is projected on their eigenvectors, which has no such
// loss, and the projection is treated in the same way.
//
// The two sides are sorted first, so that the value does not depend on their order. Powers of two are taken out if
// squares would leave the range of a double: the trace is 2^exponent times the returned value.
//
// The error estimate is the sum of
//   - rounding in the eigenvalues or singular values (above), and in forming G: eps sqrt(k) |F1| |F2|;
//   - rounding in a covariance, and in its Cholesky factor: D E D, with D^2 the diagonal and |E| <= delta, a few
//     sqrt(d) eps. To first order it changes the trace by delta tr(T D^2) / 2, where T = S1^-1 # S2 is the optimal map
//     between the two Gaussians (# is the geometric mean). Since T <= (t S1^-1 + S2 / t) / 2 for every t, the change is
//     at most delta sqrt(tr(A^-1) sum_i s1_ii s2_ii), with A the correlation matrix of S1. For S1 of any rank it is at
//     most sqrt(delta tr S1 tr S2), because the trace of the root is subadditive (Rotfel'd 1969);
//   - the part of a deficient matrix that cannot be told from zero, with the latter bound.
#pragma once

#include <stdexcept>

#include "lapack.hpp"

namespace fastfid {

// A matrix that was given as a covariance and cannot be one.
struct IndefiniteError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Rows that are too far apart, so that their covariance overflows.
struct OverflowError : std::overflow_error {
  using std::overflow_error::overflow_error;
};

// One Gaussian: its covariance or, if `rows` is set, the rows that it is fitted to.
struct Gaussian {
  const double* sigma = nullptr;  // (d, d) symmetric
  const double* rows = nullptr;   // (n, d) row-major, not centred
  Index n = 0;
  Index d = 0;
};

struct TraceRoot {
  double value = 0;  // tr sqrt(S1 S2), divided by 2^exponent
  double error = 0;  // estimated absolute error of `value`, see above
  int exponent = 0;
  Index rank1 = 0;  // numerical ranks of S1 and S2, without the dimensions that are zero on either side
  Index rank2 = 0;
};

TraceRoot trace_root(const Gaussian& a, const Gaussian& b);

}  // namespace fastfid
