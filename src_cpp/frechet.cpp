#include "frechet.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "sqrtm.hpp"

namespace fastfid {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kWellConditioned =
    1e-10;                               // smallest squared ratio of pivots for which they need no pivoting
constexpr double kIndefinite = 1e-5;     // of the trace: what no factor F F^T of a covariance may miss
constexpr double kNoise = 32;            // rounding in a covariance of any size, in eps of its largest entry
constexpr double kFastLoss = 2e-10;      // of the sum: what squaring may cost on the fast way for full rank
constexpr double kSquaringLoss = 1e-12;  // of the sum: what the squaring may cost before it is avoided

// F with S = F F^T.
struct Factor {
  MatrixXd f;               // (k, r)
  bool triangular = false;  // lower, with a clean upper triangle
  Index rank = 0;
  double unknown = 0;  // trace of what a deficient covariance matrix cannot tell from zero
};

// (d, n), a column a row. The first row is subtracted first: exact for equal rows, harmless otherwise.
MatrixXd centred_rows(const Gaussian& g) {
  const Eigen::Map<const MatrixXd> rows(g.rows, g.d, g.n);
  MatrixXd f(g.d, g.n);
  VectorXd mean = VectorXd::Zero(g.d);
  for (Index i = 0; i < g.n; ++i) {
    f.col(i) = rows.col(i) - rows.col(0);
    mean += f.col(i);
  }
  mean /= static_cast<double>(g.n);
  const double scale = 1 / std::sqrt(static_cast<double>(g.n - 1));
  for (Index i = 0; i < g.n; ++i) f.col(i) = (f.col(i) - mean) * scale;
  return f;
}

// Rounding in a covariance of d dims, relative to its largest entry.
double noise(Index d) { return std::max(kNoise, static_cast<double>(d)) * kEps; }

Index pivoted_cholesky(MatrixXd& sigma, std::vector<lapack_int>& pivots) {
  const double tolerance = noise(sigma.rows()) * sigma.diagonal().maxCoeff();
  return lapack::pstrf(sigma, tolerance, pivots);
}

Factor factor_rows(MatrixXd f) {
  MatrixXd gram = lapack::gram(f, f.cols() <= f.rows());
  std::vector<lapack_int> pivots;
  const Index rank = pivoted_cholesky(gram, pivots);
  return {std::move(f), false, rank};
}

Factor factor_covariance(const Eigen::Map<const MatrixXd>& sigma) {
  const Index n = sigma.rows();
  MatrixXd l = sigma;
  if (lapack::potrf(l)) {
    const double ratio = l.diagonal().minCoeff() / l.diagonal().maxCoeff();
    // The pivots of a deficient S can all look healthy: noise over a small entry of its null vector.
    const double norm = sigma.cwiseAbs().colwise().sum().maxCoeff();
    if (ratio * ratio >= kWellConditioned && lapack::pocon(l, norm) >= 10 * noise(n)) {
      l.triangularView<Eigen::StrictlyUpper>().setZero();
      return {std::move(l), true, n};
    }
  }
  l = sigma;
  std::vector<lapack_int> pivots;
  const Index rank = pivoted_cholesky(l, pivots);
  l.triangularView<Eigen::StrictlyUpper>().setZero();
  MatrixXd f(n, rank);
  for (Index i = 0; i < n; ++i) f.row(pivots[i] - 1) = l.row(i).head(rank);
  const double trace = sigma.trace(), missing = std::abs(trace - f.squaredNorm());
  if (!(trace > 0) || missing > kIndefinite * trace)
    throw IndefiniteError(
        "a covariance is indefinite: it has eigenvalues below zero, by far more than rounding");
  const double unknown = std::max(missing, 4 * kEps * trace);
  return {std::move(f), false, rank, rank < n ? unknown : 0.0};
}

// F1^T F2, or its transpose: the singular values are the same.
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

// Sum of the singular values of G, each computed to an absolute error of order eps |G|; `allowed` is the
// error that the squaring may add, absolute (negative: kSquaringLoss of the sum).
Sum nuclear_norm(const MatrixXd& g, double allowed) {
  if (g.size() == 0) return {};
  const bool tall = g.rows() >= g.cols();
  const lapack::Tridiagonal reduced(lapack::gram(g, tall));
  const VectorXd w = reduced.eigenvalues().cwiseMax(0.0);
  const double delta = 4 * kEps * w.maxCoeff();
  if (delta == 0) return {};
  if (allowed < 0) allowed = kSquaringLoss * w.cwiseSqrt().sum();

  Sum sum;
  double squares = 0;  // rounding moves each eigenvalue independently: the errors add up as a random walk
  Index lossy = w.size();
  for (; lossy > 0; --lossy) {
    const double root = std::sqrt(w(lossy - 1));
    const double loss = std::sqrt(w(lossy - 1) + delta) - root;
    if (std::sqrt(squares + loss * loss) > allowed) break;
    squares += loss * loss;
    sum.value += root;
  }
  sum.error = std::sqrt(squares) + kEps * sum.value;
  if (lossy == 0) return sum;
  const MatrixXd v = reduced.smallest_eigenvectors(lossy);
  MatrixXd projected(tall ? g.rows() : g.cols(), lossy);
  lapack::gemm(tall ? CblasNoTrans : CblasTrans, CblasNoTrans, 1.0, g, v, 0.0, projected);
  const Sum rest = nuclear_norm(projected, allowed);
  // The projection itself is rounded: eps |G| for every singular value.
  return {sum.value + rest.value,
          sum.error + rest.error + kEps * std::sqrt(w.maxCoeff() * static_cast<double>(lossy))};
}

// Eigenvalues w of M and what taking the roots of their sum costs: sum of sqrt(w), error as a random walk.
Sum sum_of_roots(const VectorXd& w) {
  const double delta = 4 * kEps * w.maxCoeff();
  const Eigen::ArrayXd clipped = w.array().max(0.0), roots = clipped.sqrt();
  return {roots.sum(), ((clipped + delta).sqrt() - roots).matrix().norm()};
}

// One side with its dead dimensions dropped: the centred rows as a factor, or a covariance.
class Side {
 public:
  explicit Side(const Gaussian& g) : sigma_(g.sigma), d_(g.d) {
    if (g.rows) rows_ = centred_rows(g);
  }

  bool dead(Index i) const {
    if (!sigma_) return rows_.row(i).isZero(0);
    return sigma_[i * d_ + i] == 0 && Eigen::Map<const VectorXd>(sigma_ + i * d_, d_).isZero(0);
  }

  void keep(const std::vector<Index>& alive) {
    if (sigma_) {
      kept_ = view()(alive, alive);
      sigma_ = kept_.data();
    } else {
      rows_ = MatrixXd(rows_(alive, Eigen::all));
    }
    d_ = static_cast<Index>(alive.size());
  }

  Eigen::Map<const MatrixXd> view() const { return {sigma_, d_, d_}; }

  Factor factor() { return sigma_ ? factor_covariance(view()) : factor_rows(std::move(rows_)); }

 private:
  const double* sigma_;
  Index d_;
  MatrixXd rows_, kept_;
};

// Two matrices of full rank: the eigenvalues of L1^T S2 L1 are those of S1 S2. Nothing where that is not
// accurate.
std::optional<TraceRoot> full_rank(const Eigen::Map<const MatrixXd>& s1,
                                   const Eigen::Map<const MatrixXd>& s2) {
  const double scale1 = s1.diagonal().maxCoeff(), scale2 = s2.diagonal().maxCoeff();
  if (!(scale1 > 0) || !(scale2 > 0)) return std::nullopt;
  MatrixXd l = s1 / scale1;  // scaled, so that products neither overflow nor vanish
  if (!lapack::potrf(l)) return std::nullopt;
  MatrixXd product = s2 / scale2;
  const double traces = std::sqrt(s1.trace() / scale1 * (s2.trace() / scale2));
  lapack::sygst(product, l);
  const VectorXd w = lapack::eigenvalues(product);
  // An eigenvalue as small as the rounding of the largest would be a rank that may not be there.
  if (!(w.minCoeff() > 10 * noise(w.size()) * w.maxCoeff())) return std::nullopt;
  const Sum sum = sum_of_roots(w);
  if (sum.error > kFastLoss * traces) return std::nullopt;
  const double scale = std::sqrt(scale1 * scale2);
  return TraceRoot{scale * sum.value, scale * (sum.error + kEps * traces), w.size(), w.size()};
}

TraceRoot any_rank(Factor a, Factor b) {
  TraceRoot out;
  out.rank1 = a.rank;
  out.rank2 = b.rank;
  const double norm1 = a.f.norm(), norm2 = b.f.norm();
  // What was cut from a factor could have added no more than the root of its trace times the other side's.
  const double unknown = std::sqrt(a.unknown) * norm2 + std::sqrt(b.unknown) * norm1;
  MatrixXd g = cross_product(std::move(a), std::move(b));
  const double scale = g.size() ? g.cwiseAbs().maxCoeff() : 0.0;
  if (scale == 0) return out;
  g /= scale;  // squares neither overflow nor vanish
  const Sum sum = nuclear_norm(g, -1);
  out.value = scale * sum.value;
  // Forming the factors and G costs eps |F1| |F2| in the Frobenius norm, the geometric mean of the traces.
  out.error = scale * sum.error + kEps * norm1 * norm2 + unknown;
  return out;
}

}  // namespace

TraceRoot trace_root(const Gaussian& ga, const Gaussian& gb) {
  Side a(ga), b(gb);
  std::vector<Index> alive;
  for (Index i = 0; i < ga.d; ++i)
    if (!a.dead(i) && !b.dead(i)) alive.push_back(i);
  if (alive.empty()) return {};
  if (static_cast<Index>(alive.size()) < ga.d) {
    a.keep(alive);
    b.keep(alive);
  }
  if (!ga.rows && !gb.rows)
    if (const auto fast = full_rank(a.view(), b.view())) return *fast;
  return any_rank(a.factor(), b.factor());
}

SchurTrace trace_root_schur(const double* s1, const double* s2, Index d, double eps) {
  MatrixXd a = Eigen::Map<const MatrixXd>(s1, d, d), b = Eigen::Map<const MatrixXd>(s2, d, d);
  MatrixXd product(d, d);
  lapack::gemm(CblasNoTrans, CblasNoTrans, 1.0, a, b, 0.0, product);
  SchurTrace out;
  Root root;
  try {
    root = sqrtm(product);
  } catch (const LinAlgError&) {
    out.offset_used = true;
    a.diagonal().array() += eps;
    b.diagonal().array() += eps;
    lapack::gemm(CblasNoTrans, CblasNoTrans, 1.0, a, b, 0.0, product);
    root = sqrtm(std::move(product));
  }
  if (const auto* complex = std::get_if<MatrixXcd>(&root)) {
    const double imaginary = complex->diagonal().imag().cwiseAbs().maxCoeff();
    if (imaginary > 1e-3)
      throw LinAlgError("the square root of sigma1 sigma2 has an imaginary component of " +
                        std::to_string(complex->imag().cwiseAbs().maxCoeff()));
    out.value = complex->real().trace();
  } else {
    out.value = std::get<MatrixXd>(root).trace();
  }
  return out;
}

}  // namespace fastfid
