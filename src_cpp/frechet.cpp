#include "frechet.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "factor.hpp"
#include "scaling.hpp"

namespace fastfid {
namespace {

constexpr double kFastLoss = 2e-10;      // of the traces: what squaring may cost if both have full rank
constexpr double kSquaringLoss = 1e-12;  // of the sum: what squaring may cost elsewhere before it is avoided
constexpr double kCaution = 4;           // from a typical error to one that is hardly ever exceeded

// By how much rounding in one covariance moves the trace; see frechet.hpp.
double moved(const VectorXd& variances, double inverse, const VectorXd& others) {
  const double delta = rounding(variances.size());
  const double at_most = std::sqrt(delta * variances.sum() * others.sum());
  if (!(delta * inverse < 0.5)) return at_most;
  return std::min(at_most, delta * std::sqrt(inverse * variances.dot(others)));
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
  sum.error = kCaution * std::sqrt(squares) + kEps * sum.value;
  if (lossy == 0) return sum;
  const MatrixXd v = reduced.smallest_eigenvectors(lossy);
  MatrixXd projected(tall ? g.rows() : g.cols(), lossy);
  lapack::gemm(tall ? CblasNoTrans : CblasTrans, CblasNoTrans, 1.0, g, v, 0.0, projected);
  const Sum rest = nuclear_norm(projected, allowed);
  // The projection itself is rounded: eps |G| for every singular value.
  return {sum.value + rest.value,
          sum.error + rest.error + kEps * std::sqrt(w.maxCoeff() * static_cast<double>(lossy))};
}

// Sum of the roots of eigenvalues w that are each known to eps of `largest`, and its error: they add up as a random
// walk.
Sum sum_of_roots(const VectorXd& w, double largest) {
  const double delta = 4 * kEps * largest;
  const Eigen::ArrayXd clipped = w.array().max(0.0), roots = clipped.sqrt();
  return {roots.sum(), ((clipped + delta).sqrt() - roots).matrix().norm()};
}

// One side with its dead dimensions dropped and powers of two taken out: the centred rows, or a covariance.
class Side {
 public:
  explicit Side(const Gaussian& g) : sigma_(g.sigma), d_(g.d) {
    if (g.rows) {
      std::tie(rows_, reach_) = centred_rows(g.rows, g.n, g.d);
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

// Two matrices of full rank: the eigenvalues of L1^T S2 L1 are those of S1 S2. Nothing if that is not
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
  const Sum sum = sum_of_roots(w, w.maxCoeff());
  if (sum.error > kFastLoss * traces) return std::nullopt;

  const VectorXd v1 = s1.diagonal() / scale1, v2 = s2.diagonal() / scale2;
  l.triangularView<Eigen::StrictlyUpper>().setZero();
  MatrixXd l2 = s2 / scale2;
  const bool definite = lapack::potrf(l2);
  l2.triangularView<Eigen::StrictlyUpper>().setZero();
  // The product was formed with an error of the order of eps |L1^T| |S2| |L1|, which may be more than eps |product|.
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
  // What was cut from a factor could have added no more than the root of its trace times the other side's.
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
  g /= scale;  // squares neither overflow nor vanish
  const Sum sum = nuclear_norm(g, -1);
  out.value = scale * sum.value;
  out.error += scale * sum.error;
  return out;
}

// An order of any two sides that does not depend on which was given first.
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
