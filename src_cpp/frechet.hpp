// The trace of sqrt(S1 S2) for two covariances, the only hard term of the Fréchet distance
//
//   d^2 = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr sqrt(S1 S2)
//
// (Dowson & Landau 1982; Heusel et al. 2017). float64 throughout.
//
// Two matrices of full rank: S1 = L L^T, and the eigenvalues of the symmetric L^T S2 L are those of S1 S2. Taken
// if their rounding costs less than 2e-10 of the geometric mean of the traces.
//
// Otherwise, with the factors S = F F^T of factor.hpp, they are the squared singular values of G = F1^T F2, so the
// trace is the nuclear norm of G: real, never negative, for any ranks. Dimensions that are exactly zero on either
// side take no part and are dropped first.
//
// The nuclear norm comes from the eigenvalues w of the smaller Gram matrix of G. Squaring costs the small ones
// their digits: an error delta of w is one of delta / (2 sqrt(w)) in the sum. So only the eigenvalues whose errors
// add up to less than 1e-12 of the sum are taken; for the others G is projected on their eigenvectors, which has
// no such loss, and the same is done with the projection.
//
// The sides are put into an order of their own first: the value does not depend on which is called the first. Powers of
// two are taken out if squares would leave the range of a double: the trace is 2^exponent times what is given.
//
// The error estimate is a sum of
//   - rounding in the eigenvalues or singular values (above), and in forming G: eps sqrt(k) |F1| |F2|;
//   - rounding in a covariance: D E D with D^2 its diagonal and |E| <= delta (factor.hpp). It moves the trace by
//     delta tr(T D^2) / 2 to first order, T = S1^-1 # S2 (the optimal map between the two Gaussians; # is the geometric
//     mean), and T <= (t S1^-1 + S2 / t) / 2 for every t. So by at most delta sqrt(tr(A^-1) sum_i s1_ii s2_ii), A the
//     correlation matrix of S1; and, S1 of any rank, by no more than sqrt(delta tr S1 tr S2), for the root's trace is
//     subadditive (Rotfel'd 1969);
//   - what a deficient matrix cannot tell from zero, by the latter bound.
#pragma once

#include "fastfid/distance.hpp"

namespace fastfid {

struct TraceRoot {
  double value = 0;  // tr sqrt(S1 S2), over 2^exponent
  double error = 0;  // estimate, absolute, over 2^exponent: rounding, and what a deficient matrix cannot tell
  int exponent = 0;
  Index rank1 = 0;  // numerical ranks of S1 and S2, among the dimensions that are not zero on either side
  Index rank2 = 0;
};

// The means take no part. Throws IndefiniteError, OverflowError or LinAlgError.
TraceRoot trace_root(const Gaussian& a, const Gaussian& b);

}  // namespace fastfid
