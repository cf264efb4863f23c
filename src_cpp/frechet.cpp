#include "frechet.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "sqrtm.hpp"

namespace fastfid {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kWellConditioned = 1e-13;  // smallest squared ratio of Cholesky pivots that is trusted
constexpr double kSquaringLoss = 1e-12;     // of the geometric mean of the traces; beyond it, singular values

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// One side with its dead dimensions dropped: either rows, as columns of a factor, or a covariance.
struct Side {
  MatrixXd sigma;   // (k, k), empty where rows are at hand
  MatrixXd factor;  // (k, r), F with S = F F^T
  Index rank = 0;
  double trace = 0;
};

MatrixXd centred(const Gaussian& g) {
  MatrixXd f = Eigen::Map<const MatrixXd>(g.rows, g.d, g.n);  // a column a row
  f.colwise() -= f.col(0).eval();                             // exact for equal rows, harmless otherwise
  f.colwise() -= (f.rowwise().sum() / static_cast<double>(g.n)).eval();
  return f / std::sqrt(static_cast<double>(g.n - 1));
}

std::vector<bool> dead_dimensions(const Gaussian& g, const MatrixXd& factor) {
  std::vector<bool> dead(g.d);
  Eigen::Map<const MatrixXd> sigma(g.sigma, g.sigma ? g.d : 0, g.sigma ? g.d : 0);
  for (Index i = 0; i < g.d; ++i) dead[i] = g.rows ? factor.row(i).isZero(0) : sigma.col(i).isZero(0);
  return dead;
}

Index rank_above(const VectorXd& eigenvalues, Index d) {
  if (eigenvalues.size() == 0) return 0;
  const double floor = d * kEps * eigenvalues.maxCoeff();
  return (eigenvalues.array() > floor && eigenvalues.array() > 0).count();
}

// Squared singular values of F, from the smaller of its two Gram matrices.
VectorXd gram_eigenvalues(const MatrixXd& f) {
  const bool tall = f.rows() > f.cols();
  MatrixXd gram(tall ? f.cols() : f.rows(), tall ? f.cols() : f.rows());
  lapack::gemm(tall ? CblasTrans : CblasNoTrans, tall ? CblasNoTrans : CblasTrans, 1.0, f, f, 0.0, gram);
  return lapack::syevd(gram, false);
}

// Lower Cholesky factor with a clean upper triangle, or nothing where S is deficient or ill conditioned.
std::optional<MatrixXd> cholesky(const MatrixXd& sigma) {
  MatrixXd l = sigma;
  if (!lapack::potrf(l)) return std::nullopt;
  const double ratio = l.diagonal().minCoeff() / l.diagonal().maxCoeff();
  if (!(ratio * ratio >= kWellConditioned)) return std::nullopt;
  l.triangularView<Eigen::StrictlyUpper>().setZero();
  return l;
}

// The eigenvectors of S above the noise, each scaled by the root of its eigenvalue.
MatrixXd spectral_factor(const MatrixXd& sigma) {
  MatrixXd vectors = sigma;
  const VectorXd w = lapack::syevd(vectors, true);
  const Index rank = rank_above(w, sigma.rows());
  return vectors.rightCols(rank) * w.tail(rank).cwiseSqrt().asDiagonal();
}

Side make_side(const Gaussian& g, MatrixXd factor, const std::vector<Index>& alive) {
  Side side;
  if (g.rows) {
    side.factor = factor(alive, Eigen::all);
    side.rank = rank_above(gram_eigenvalues(side.factor), static_cast<Index>(alive.size()));
    side.trace = side.factor.squaredNorm();
  } else {
    side.sigma = Eigen::Map<const MatrixXd>(g.sigma, g.d, g.d)(alive, alive);
    side.trace = side.sigma.trace();
  }
  return side;
}

// Sum of the singular values of F1^T F2.
TraceRoot nuclear_norm(const Side& a, const Side& b) {
  MatrixXd cross(a.factor.cols(), b.factor.cols());
  lapack::gemm(CblasTrans, CblasNoTrans, 1.0, a.factor, b.factor, 0.0, cross);
  const VectorXd s = lapack::singular_values(cross);
  TraceRoot out;
  out.value = s.sum();
  const double k = static_cast<double>(std::max<Index>(s.size(), 1));
  out.error = kEps * (k * (s.size() ? s.maxCoeff() : 0.0) + std::sqrt(k) * std::sqrt(a.trace * b.trace));
  return out;
}

// Sum of the roots of the eigenvalues of L1^T S2 L1, with a bound of what the squaring cost.
TraceRoot product_eigenvalues(const MatrixXd& l1, const MatrixXd& s2) {
  MatrixXd product = s2;
  lapack::trmm(CblasRight, CblasNoTrans, l1, product);
  lapack::trmm(CblasLeft, CblasTrans, l1, product);
  const Eigen::ArrayXd w = lapack::syevd(product, false).array().max(0.0);
  const double delta = 4 * kEps * w.maxCoeff();
  TraceRoot out;
  out.value = w.sqrt().sum();
  // Rounding moves each eigenvalue by about delta, independently: the effects add up as a random walk.
  out.error = std::sqrt(((w + delta).sqrt() - w.sqrt()).square().sum()) + kEps * out.value;
  return out;
}

void use_spectral_factors(Side& side) {
  if (side.sigma.size() == 0) return;
  side.factor = spectral_factor(side.sigma);
  side.rank = side.factor.cols();
}

}  // namespace

TraceRoot trace_root(const Gaussian& ga, const Gaussian& gb) {
  MatrixXd fa = ga.rows ? centred(ga) : MatrixXd(), fb = gb.rows ? centred(gb) : MatrixXd();
  const auto dead_a = dead_dimensions(ga, fa), dead_b = dead_dimensions(gb, fb);
  std::vector<Index> alive;
  for (Index i = 0; i < ga.d; ++i)
    if (!dead_a[i] && !dead_b[i]) alive.push_back(i);
  Side a = make_side(ga, std::move(fa), alive), b = make_side(gb, std::move(fb), alive);

  auto la = a.sigma.size() ? cholesky(a.sigma) : std::nullopt;
  auto lb = b.sigma.size() ? cholesky(b.sigma) : std::nullopt;
  if (la) a.rank = la->rows();
  if (lb) b.rank = lb->rows();
  TraceRoot out;
  bool done = false;
  if (la && lb) {
    out = product_eigenvalues(*la, b.sigma);
    done = out.error <= kSquaringLoss * std::sqrt(a.trace * b.trace);
  }
  if (!done) {
    const bool deficient = (a.sigma.size() && !la) || (b.sigma.size() && !lb);
    if (la && !deficient) a.factor = std::move(*la);
    if (lb && !deficient) b.factor = std::move(*lb);
    if (deficient) {
      use_spectral_factors(a);
      use_spectral_factors(b);
    }
    out = nuclear_norm(a, b);
  }
  out.rank1 = a.rank;
  out.rank2 = b.rank;
  return out;
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
