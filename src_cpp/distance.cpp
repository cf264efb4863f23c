#include "distance.hpp"

#include <cmath>
#include <vector>

#include "factor.hpp"
#include "frechet.hpp"
#include "schur.hpp"
#include "sums.hpp"
#include "threads.hpp"

namespace fastfid {
namespace {

constexpr double kRounding = 16;  // of a sum, in eps
constexpr int kHeadroom = 64;     // binary digits

// tr S / 2^exponent; exponent is even.
double trace_of(const Gaussian& g, int exponent) {
  if (!g.rows) {
    const double scale = std::ldexp(1.0, -exponent);
    return pairwise_sum([&](Index i) { return g.sigma[i * g.d + i] * scale; }, 0, g.d);
  }
  const double scale = std::ldexp(1.0, -exponent / 2);
  std::vector<double> squares(g.n * g.d);
  for (Index i = 0, k = 0; i < g.n; ++i)
    for (Index j = 0; j < g.d; ++j, ++k) {
      const double deviation = (g.rows[k] - g.mu[j]) * scale;
      squares[k] = deviation * deviation;
    }
  const double sum = pairwise_sum([&](Index i) { return squares[i]; }, 0, g.n * g.d);
  return sum / static_cast<double>(g.n - 1);
}

double mean_term_of(const Gaussian& a, const Gaussian& b) {
  const VectorXd apart = Eigen::Map<const VectorXd>(a.mu, a.d) - Eigen::Map<const VectorXd>(b.mu, b.d);
  const threads::OneInBlas one;  // or a long sum would depend on the number of threads
  return lapack::dot(apart.data(), apart.data(), a.d);
}

// The error of the mean term if the last digit of every mean is wrong.
double rounding_of_means(const Gaussian& a, const Gaussian& b) {
  const auto moved = [&](Index i) {
    const double digit = 2 * kEps * (std::abs(a.mu[i]) + std::abs(b.mu[i]));
    return digit * (2 * std::abs(a.mu[i] - b.mu[i]) + digit);
  };
  return pairwise_sum(moved, 0, a.d);
}

// The covariance (d, d) of a Gaussian, in `kept` if it has to be computed.
const double* covariance_of(const Gaussian& g, std::vector<double>& kept) {
  if (!g.rows) return g.sigma;
  Moments moments(g.d);
  moments.update(g.rows, g.n);
  kept.resize(g.d * g.d);
  moments.covariance(kept.data());
  if (!Eigen::Map<const VectorXd>(kept.data(), g.d * g.d).allFinite())
    throw OverflowError("the rows are too far apart: their covariance is too large for float64");
  return kept.data();
}

// The trace of the root into `out`, over 2^exponent; its ranks or offset, too.
TraceRoot root_of(const Gaussian& a, const Gaussian& b, Method method, double eps, Distance& out) {
  if (method == Method::automatic) {
    const TraceRoot root = trace_root(a, b);
    out.rank1 = root.rank1;
    out.rank2 = root.rank2;
    return root;
  }
  std::vector<double> kept_a, kept_b;
  const SchurTrace trace = trace_root_schur(covariance_of(a, kept_a), covariance_of(b, kept_b), a.d, eps);
  out.offset = trace.offset;
  TraceRoot root;
  root.value = trace.value;
  root.exponent = trace.exponent;
  root.error = std::numeric_limits<double>::quiet_NaN();  // this method has no error estimate
  return root;
}

}  // namespace

Distance distance_of_checked(const Gaussian& a, const Gaussian& b, Method method, double eps) {
  Distance out;
  const TraceRoot root = root_of(a, b, method, eps, out);
  int down = 0;
  double traces = trace_of(a, down) + trace_of(b, down);
  if (!std::isfinite(traces)) {
    down = kHeadroom;
    traces = trace_of(a, down) + trace_of(b, down);
  }
  const int exponent = root.exponent - down;
  out.mean_term = mean_term_of(a, b);
  out.trace_term = std::ldexp(traces - 2 * std::ldexp(root.value, exponent), down);
  out.error_estimate = std::ldexp(2 * std::ldexp(root.error, exponent) + kRounding * kEps * traces, down);
  out.error_estimate += kRounding * kEps * out.mean_term + rounding_of_means(a, b);
  out.value = out.mean_term + out.trace_term;
  // Each one, for the sum of two that are not finite may be a number.
  for (const double value : {out.mean_term, out.trace_term, out.value})
    if (!std::isfinite(value) || std::isinf(out.error_estimate))
      throw OverflowError("the distance overflows: the means or covariances are too large for float64");
  if (-out.error_estimate <= out.value && out.value < 0) out.value = 0;  // zero apart from rounding
  return out;
}

}  // namespace fastfid
