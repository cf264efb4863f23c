#include "factor.hpp"

#include <cstdint>
#include <vector>

namespace fastfid {
namespace {

constexpr double kWellConditioned =
    1e-10;                            // squared ratio of the pivots from which on pivoting is not needed
constexpr double kIndefinite = 1e-5;  // of the trace: what no factor F F^T of a covariance may miss

Index pivoted_cholesky(MatrixXd& sigma, std::vector<lapack_int>& pivots) {
  const double tolerance = noise(sigma.rows()) * sigma.diagonal().maxCoeff();
  return lapack::pstrf(sigma, tolerance, pivots);
}

}  // namespace

std::pair<MatrixXd, double> centred_rows(const double* data, Index n, Index d) {
  const Eigen::Map<const MatrixXd> rows(data, d, n);  // a column a row
  MatrixXd f(d, n);
  VectorXd mean = VectorXd::Zero(d);
  // The first row is subtracted first: exact for equal rows, harmless otherwise.
  for (Index i = 0; i < n; ++i) {
    f.col(i) = rows.col(i) - rows.col(0);
    mean += f.col(i);
  }
  mean /= static_cast<double>(n);
  const double scale = 1 / std::sqrt(static_cast<double>(n - 1));
  const double reach = f.stableNorm() * scale;
  for (Index i = 0; i < n; ++i) f.col(i) = (f.col(i) - mean) * scale;
  if (!std::isfinite(reach) || !f.allFinite())
    throw OverflowError("the rows of a set are too far apart for float64");
  return {std::move(f), reach};
}

double inverse_correlations(const MatrixXd& l) {
  constexpr Index kExact = 64, kProbes = 16;  // random vectors of signs
  const Index d = l.rows();
  const VectorXd deviations = l.rowwise().norm();
  MatrixXd x;
  if (d <= kExact) {
    x = deviations.asDiagonal();
  } else {
    std::uint32_t state = 1;
    x = MatrixXd::NullaryExpr(d, kProbes, [&](Index i, Index) {
      state = state * 1664525u + 1013904223u;
      return state >> 31 ? deviations(i) : -deviations(i);
    });
  }
  lapack::trsm_left(l, x);
  return x.squaredNorm() / (d <= kExact ? 1.0 : static_cast<double>(kProbes));
}

Factor factor_rows(MatrixXd rows, double reach) {
  MatrixXd gram = lapack::gram(rows, rows.cols() <= rows.rows());
  std::vector<lapack_int> pivots;
  Factor out;
  out.rank = pivoted_cholesky(gram, pivots);
  out.reach = reach;
  out.variances = rows.rowwise().squaredNorm();
  out.f = std::move(rows);
  return out;
}

Factor factor_covariance(const Eigen::Map<const MatrixXd>& sigma) {
  const Index n = sigma.rows();
  Factor out;
  out.of_matrix = true;
  out.variances = sigma.diagonal();
  MatrixXd l = sigma;
  if (lapack::potrf(l)) {
    const double ratio = l.diagonal().minCoeff() / l.diagonal().maxCoeff();
    // The pivots of a deficient S can all look healthy: noise over a small entry of its null vector.
    const double norm = sigma.cwiseAbs().colwise().sum().maxCoeff();
    if (ratio * ratio >= kWellConditioned && lapack::pocon(l, norm) >= 10 * noise(n)) {
      l.triangularView<Eigen::StrictlyUpper>().setZero();
      out.inverse = inverse_correlations(l);
      out.f = std::move(l);
      out.triangular = true;
      out.rank = n;
      return out;
    }
  }
  l = sigma;
  std::vector<lapack_int> pivots;
  out.rank = pivoted_cholesky(l, pivots);
  l.triangularView<Eigen::StrictlyUpper>().setZero();
  out.f.resize(n, out.rank);
  for (Index i = 0; i < n; ++i) out.f.row(pivots[i] - 1) = l.row(i).head(out.rank);
  const double trace = sigma.trace(), missing = std::abs(trace - out.f.squaredNorm());
  if (!(trace > 0) || missing > kIndefinite * trace)
    throw IndefiniteError(
        "a covariance is indefinite: its negative eigenvalues are too large to be rounding");
  if (out.rank < n)
    out.unknown = std::max(missing, 4 * kEps * trace);
  else
    out.inverse = inverse_correlations(l);  // of the rows in another order, which is the same
  return out;
}

}  // namespace fastfid
