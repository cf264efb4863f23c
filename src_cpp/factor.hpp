// Factors F of a covariance, S = F F^T, and what rounding costs in them. float64 throughout.
//
// F is
//   - rows at hand (n <= d):   the centred rows / sqrt(n - 1), without ever forming S;
//   - a well conditioned S:    its Cholesky factor;
//   - any other S:             its pivoted Cholesky factor, cut at pivots of max(32, d) eps max (Higham 1990,
//                              "Analysis of the Cholesky decomposition of a semi-definite matrix").
//
// A Cholesky factor carries the rounding of its covariance: it is that of S + D E D, with D^2 the diagonal of S and
// |E| <= delta, a few sqrt(d) eps. How far that moves a result depends on tr(A^-1), A the correlation matrix of S. Rows
// carry eps of their norm before the mean was subtracted. What a pivoted factor leaves out of a deficient S is taken as
// the difference of their traces, and as 4 eps tr S at least. Each comes with the factor.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "lapack.hpp"

namespace fastfid {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNoise = 32;  // rounding in a covariance of any size, in eps of its largest entry

// The most that rounding leaves in a covariance of d dims, relative to its largest entry.
inline double noise(Index d) { return std::max(kNoise, static_cast<double>(d)) * kEps; }

// What it is likely to leave: errors of either sign cancel in part.
inline double rounding(Index d) { return std::max(kNoise, 4 * std::sqrt(static_cast<double>(d))) * kEps; }

// F, and what is known of the rounding in it.
struct Factor {
  MatrixXd f;               // (k, r)
  bool triangular = false;  // lower, with a clean upper triangle
  bool of_matrix = false;   // of a covariance, not of rows
  Index rank = 0;
  double unknown = 0;          // trace of what a deficient covariance matrix cannot tell from zero
  double reach = 0;            // of rows: norm of F before its mean was subtracted
  VectorXd variances;          // diagonal of S
  double inverse = kInfinity;  // of a matrix with a Cholesky factor: trace of the inverse of its correlations
};

// The centred rows / sqrt(n - 1) of (n, d) row-major ones, as (d, n), and the norm of what their mean was subtracted
// from. Throws OverflowError.
std::pair<MatrixXd, double> centred_rows(const double* data, Index n, Index d);

// Of centred rows (d, n), and the norm that comes with them.
Factor factor_rows(MatrixXd rows, double reach);

// Of a covariance. Throws IndefiniteError.
Factor factor_covariance(const Eigen::Map<const MatrixXd>& sigma);

// Trace of the inverse of the correlation matrix of L L^T, L lower triangular. Above 64 dims an estimate, the same in
// every run (Hutchinson 1990, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing
// splines").
double inverse_correlations(const MatrixXd& l);

}  // namespace fastfid
