#include "frechet.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "scaling.hpp"

namespace fastfid {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kWellConditioned = 1e-10;  // smallest squared ratio of pivots without pivoting
constexpr double kIndefinite = 1e-5;        // largest part of the trace that F F^T of a covariance may miss
constexpr double kNoise = 32;            // rounding in a covariance of any size, in eps of its largest entry
constexpr double kFastLoss = 2e-10;      // largest error of squaring for full rank, relative to the sum
constexpr double kSquaringLoss = 1e-12;  // largest error of squaring otherwise, relative to the sum
constexpr double kCaution = 4;           // ratio of a rarely exceeded error to a typical one

// F with S = F F^T, and facts about its rounding.
struct Factor {
  MatrixXd f;               // (k, r)
  bool triangular = false;  // lower, with a clean upper triangle
  bool of_matrix = false;   // of a covariance, not of rows
  Index rank = 0;
  double unknown = 0;  // trace of the part of a deficient covariance that cannot be told from zero
  double reach = 0;    // for rows: norm of F before its mean was subtracted
  VectorXd variances;  // diagonal of S
  double inverse =
      kInfinity;  // trace of the inverse of the correlation matrix, if there is a Cholesky factor
};

// The centred rows as columns, (d, n), and their norm before the mean was subtracted. The first row is subtracted
// first, which is exact for equal rows and does no harm otherwise.
std::pair<MatrixXd, double> centred_rows(const Gaussian& g) {
  const Eigen::Map<const MatrixXd> rows(g.rows, g.d, g.n);
  MatrixXd f(g.d, g.n);
  VectorXd mean = VectorXd::Zero(g.d);
  for (Index i = 0; i < g.n; ++i) {
    f.col(i) = rows.col(i) - rows.col(0);
    mean += f.col(i);
  }
  mean /= static_cast<double>(g.n);
  const double scale = 1 / std::sqrt(static_cast<double>(g.n - 1));
  const double reach = f.stableNorm() * scale;
  for (Index i = 0; i < g.n; ++i) f.col(i) = (f.col(i) - mean) * scale;
  if (!std::isfinite(reach) || !f.allFinite())
    throw OverflowError("the rows of a set are too far apart for float64");
  return {std::move(f), reach};
}

// Bound of the rounding in a covariance of d dims, relative to its largest entry.
double noise(Index d) { return std::max(kNoise, static_cast<double>(d)) * kEps; }

// Likely rounding, with errors of both signs.
double rounding(Index d) { return std::max(kNoise, 4 * std::sqrt(static_cast<double>(d))) * kEps; }

// Trace of the inverse of the correlation matrix of L L^T. For large matrices it is estimated with a few random vectors
// of signs (Hutchinson 1990), which are the same in every run.
double inverse_correlations(const MatrixXd& l) {
  constexpr Index kExact = 64, kProbes = 16;
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

// Change of the trace due to rounding in one covariance; see frechet.hpp.
double moved(const VectorXd& variances, double inverse, const VectorXd& others) {
  const double delta = rounding(variances.size());
  const double at_most = std::sqrt(delta * variances.sum() * others.sum());
  if (!(delta * inverse < 0.5)) return at_most;
  return std::min(at_most, delta * std::sqrt(inverse * variances.dot(others)));
}

Index pivoted_cholesky(MatrixXd& sigma, std::vector<lapack_int>& pivots) {
  const double tolerance = noise(sigma.rows()) * sigma.diagonal().maxCoeff();
  return lapack::pstrf(sigma, tolerance, pivots);
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
    // All pivots of a deficient S can look large enough: they are noise divided by a small entry of its null vector.
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
    out.inverse = inverse_correlations(l);  // the order of the rows does not matter
  return out;
}

// F1^T F2 or its transpose, which has the same singular values.
MatrixXd cross_product(Factor a, Factor b) {
  if (!a.triangular && b.triangular) std::swap(a, b);
  if (a.triangular) {
    lapack::trmm_left_transposed(a.f, b.f);
    return std::move(b.f);
  }
  MatrixXd g(a.f.cols(), b.f.cols());
  lapack::gemm(CblasTrans, CblasNoTrans, 1.0, a.f, b.f, 0.0, g);
  return g;
}

struct Sum {
  double value = 0;
  double error = 0;
};

// Sum of the singular values of G, each computed to an absolute error of order eps |G|. `allowed` is the absolute error
// that the squaring may add; if it is negative, kSquaringLoss times the sum is allowed.
Sum nuclear_norm(const MatrixXd& g, double allowed) {
  if (g.size() == 0) return {};
  const bool tall = g.rows() >= g.cols();
  const lapack::Tridiagonal reduced(lapack::gram(g, tall));
  const VectorXd w = reduced.eigenvalues().cwiseMax(0.0);
  const double delta = 4 * kEps * w.maxCoeff();
  if (delta == 0) return {};
  if (allowed < 0) allowed = kSquaringLoss * w.cwiseSqrt().sum();

  Sum sum;
  double squares = 0;  // each eigenvalue is rounded independently, so the errors add up like a random walk
  Index lossy = w.size();
  for (; lossy > 0; --lossy) {
    const double root = std::sqrt(w(lossy - 1));
    const double loss = std::sqrt(w(lossy - 1) + delta) - root;
    if (std::sqrt(squares + loss * loss) > allowed) break;
    squares += loss * loss;
    sum.value += root;
  }
  sum.error = kCaution * std::sqrt(squares) + kEps * sum.value;
  if (lossy == 0) return sum;
  const MatrixXd v = reduced.smallest_eigenvectors(lossy);
  MatrixXd projected(tall ? g.rows() : g.cols(), lossy);
  lapack::gemm(tall ? CblasNoTrans : CblasTrans, CblasNoTrans, 1.0, g, v, 0.0, projected);
  const Sum rest = nuclear_norm(projected, allowed);
  // The projection itself is rounded, by eps |G| for every singular value.
  return {sum.value + rest.value,
          sum.error + rest.error + kEps * std::sqrt(w.maxCoeff() * static_cast<double>(lossy))};
}

// For eigenvalues w of M, each known to eps times `largest`: the sum of sqrt(w), and its error as a random walk.
Sum sum_of_roots(const VectorXd& w, double largest) {
  const double delta = 4 * kEps * largest;
  const Eigen::ArrayXd clipped = w.array().max(0.0), roots = clipped.sqrt();
  return {roots.sum(), ((clipped + delta).sqrt() - roots).matrix().norm()};
}

// One side without its zero dimensions and with powers of two taken out: the centred rows, or a covariance.
class Side {
 public:
  explicit Side(const Gaussian& g) : sigma_(g.sigma), d_(g.d) {
    if (g.rows) {
      std::tie(rows_, reach_) = centred_rows(g);
      exponent_ = 2 * exponent_of(rows_.cwiseAbs().maxCoeff());
      if (exponent_ != 0) rows_ = times_power_of_two(rows_, -exponent_ / 2);
      reach_ = std::ldexp(reach_, -exponent_ / 2);
    } else {
      exponent_ = exponent_of(view().diagonal().maxCoeff());
      if (exponent_ != 0) own(times_power_of_two(view(), -exponent_));
    }
  }

  bool dead(Index i) const {
    if (!sigma_) return rows_.row(i).isZero(0);
    return sigma_[i * d_ + i] == 0 && Eigen::Map<const VectorXd>(sigma_ + i * d_, d_).isZero(0);
  }

  void keep(const std::vector<Index>& alive) {
    if (sigma_) {
      own(view()(alive, alive));
    } else {
      rows_ = MatrixXd(rows_(alive, Eigen::all));
    }
    d_ = static_cast<Index>(alive.size());
  }

  bool is_matrix() const { return sigma_ != nullptr; }
  int exponent() const { return exponent_; }
  Eigen::Map<const MatrixXd> view() const { return {sigma_, d_, d_}; }

  Factor factor() { return sigma_ ? factor_covariance(view()) : factor_rows(std::move(rows_), reach_); }

 private:
  void own(MatrixXd m) {
    kept_ = std::move(m);
    sigma_ = kept_.data();
  }

  const double* sigma_;
  Index d_;
  int exponent_ = 0;
  double reach_ = 0;
  MatrixXd rows_, kept_;
};

// For two matrices of full rank, from the eigenvalues of L1^T S2 L1, which are those of S1 S2. Returns nothing if that
// is not accurate.
std::optional<TraceRoot> full_rank(const Eigen::Map<const MatrixXd>& s1,
                                   const Eigen::Map<const MatrixXd>& s2) {
  const double scale1 = s1.diagonal().maxCoeff(), scale2 = s2.diagonal().maxCoeff();
  if (!(scale1 > 0) || !(scale2 > 0)) return std::nullopt;
  MatrixXd l = s1 / scale1;  // scaled, so that products neither overflow nor underflow
  if (!lapack::potrf(l)) return std::nullopt;
  MatrixXd product = s2 / scale2;
  const double traces = std::sqrt(s1.trace() / scale1 * (s2.trace() / scale2));
  lapack::sygst(product, l);
  const VectorXd w = lapack::eigenvalues(product);
  // If an eigenvalue is as small as the rounding of the largest, the rank may not be full.
  if (!(w.minCoeff() > 10 * noise(w.size()) * w.maxCoeff())) return std::nullopt;
  const Sum sum = sum_of_roots(w, w.maxCoeff());
  if (sum.error > kFastLoss * traces) return std::nullopt;

  const VectorXd v1 = s1.diagonal() / scale1, v2 = s2.diagonal() / scale2;
  l.triangularView<Eigen::StrictlyUpper>().setZero();
  MatrixXd l2 = s2 / scale2;
  const bool definite = lapack::potrf(l2);
  l2.triangularView<Eigen::StrictlyUpper>().setZero();
  // The product has an error of the order of eps |L1^T| |S2| |L1|, which may be more than eps |product|.
  const double error = kCaution * sum_of_roots(w, w.maxCoeff() + v1.dot(v2)).error + kEps * traces +
                       moved(v1, inverse_correlations(l), v2) +
                       moved(v2, definite ? inverse_correlations(l2) : kInfinity, v1);
  TraceRoot out;
  const double scale = std::sqrt(scale1 * scale2);
  out.value = scale * sum.value;
  out.error = scale * error;
  out.rank1 = out.rank2 = w.size();
  return out;
}

TraceRoot any_rank(Factor a, Factor b) {
  TraceRoot out;
  out.rank1 = a.rank;
  out.rank2 = b.rank;
  const double norm1 = a.f.norm(), norm2 = b.f.norm();
  // The part that was cut from a factor adds at most the square root of its trace times the trace of the other side.
  out.error = std::sqrt(a.unknown) * norm2 + std::sqrt(b.unknown) * norm1;
  if (a.of_matrix) out.error += moved(a.variances, a.inverse, b.variances);
  if (b.of_matrix) out.error += moved(b.variances, b.inverse, a.variances);
  out.error += kCaution * kEps * (a.reach * norm2 + b.reach * norm1);
  const double terms =
      std::sqrt(static_cast<double>(a.f.rows()));  // of each entry of G, with errors of either sign
  MatrixXd g = cross_product(std::move(a), std::move(b));
  // Forming G costs eps |F1| |F2| in the Frobenius norm, the geometric mean of the traces.
  out.error += kCaution * kEps * terms * norm1 * norm2;
  const double scale = g.size() ? g.cwiseAbs().maxCoeff() : 0.0;
  if (scale == 0) return out;
  g /= scale;  // so that squares neither overflow nor underflow
  const Sum sum = nuclear_norm(g, -1);
  out.value = scale * sum.value;
  out.error += scale * sum.error;
  return out;
}

// An order of two sides that does not depend on which was given first.
bool in_order(const Gaussian& a, const Gaussian& b) {
  const auto data = [](const Gaussian& g) { return g.rows ? g.rows : g.sigma; };
  const auto size = [](const Gaussian& g) { return g.rows ? g.n * g.d : g.d * g.d; };
  if (!a.rows != !b.rows) return a.rows != nullptr;
  if (a.n != b.n) return a.n < b.n;
  return !std::lexicographical_compare(data(b), data(b) + size(b), data(a), data(a) + size(a));
}

TraceRoot ordered(const Gaussian& ga, const Gaussian& gb) {
  Side a(ga), b(gb);
  std::vector<Index> alive;
  for (Index i = 0; i < ga.d; ++i)
    if (!a.dead(i) && !b.dead(i)) alive.push_back(i);
  if (alive.empty()) return {};
  if (static_cast<Index>(alive.size()) < ga.d) {
    a.keep(alive);
    b.keep(alive);
  }
  std::optional<TraceRoot> out;
  if (a.is_matrix() && b.is_matrix()) out = full_rank(a.view(), b.view());
  if (!out) out = any_rank(a.factor(), b.factor());
  out->exponent = (a.exponent() + b.exponent()) / 2;
  if (!std::isfinite(out->value + out->error))
    throw LinAlgError("the trace of the square root is not finite");
  return *out;
}

}  // namespace

TraceRoot trace_root(const Gaussian& a, const Gaussian& b) {
  if (in_order(a, b)) return ordered(a, b);
  TraceRoot out = ordered(b, a);
  std::swap(out.rank1, out.rank2);
  return out;
}

}  // namespace fastfid
