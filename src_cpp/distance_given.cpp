// The distance of what a caller of the library gives: checked, and rows made a Gaussian.
#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "covariance.hpp"
#include "distance.hpp"
#include "lapack.hpp"
#include "sizes.hpp"

namespace fastfid {
namespace {

constexpr double kAsymmetry = 1e-6;  // of the largest entry: what rounding explains

template <class T>
bool all_finite(const T* values, Index n) {
  return std::all_of(values, values + n, [](T value) { return std::isfinite(value); });
}

template <class T>
void require_finite(const T* values, Index n, const std::string& name) {
  if (!all_finite(values, n)) throw std::invalid_argument(name + " has a value that is not finite");
}

void require_rows(Index n) {
  if (n < 2) throw std::invalid_argument("a side needs at least 2 rows, got " + std::to_string(n));
}

// A side that has been checked, with the arrays that had to be made for it.
class Checked {
 public:
  Checked(const Gaussian& given, const std::string& side) : gaussian(given) {
    require_size(given.d, "d", 1);
    if (given.rows) {
      require_size(given.n, "n", 0);  // they go to BLAS as they are
      require_rows(given.n);
      require_finite(given.rows, given.n * given.d, "rows of " + side);
      if (!given.mu) take_mean();
    } else {
      if (!given.sigma || !given.mu)
        throw std::invalid_argument("the Gaussian " + side + " needs rows, or mu and sigma");
      take_symmetric(side);
    }
    require_finite(gaussian.mu, given.d, "mu of " + side);
  }

  // Of moments: of their rows while these are kept, else of mean and covariance.
  explicit Checked(const Moments& moments) {
    const Index d = moments.dims(), n = moments.count();
    require_rows(n);
    gaussian.d = d;
    mu_.resize(d);
    moments.mean(mu_.data());
    gaussian.mu = mu_.data();
    if (moments.has_rows()) {
      gaussian.n = n;
      gaussian.rows = moments.rows_double();
      if (moments.rows_are_float()) {
        kept_.assign(moments.rows_float(), moments.rows_float() + n * d);
        gaussian.rows = kept_.data();
      }
    } else {
      kept_.resize(d * d);
      moments.covariance(kept_.data());
      gaussian.sigma = kept_.data();
    }
    if (!all_finite(gaussian.rows ? gaussian.rows : gaussian.sigma, gaussian.rows ? n * d : d * d))
      throw OverflowError("the rows are not finite, or their covariance is too large for float64");
  }

  Checked(const Checked&) = delete;
  Checked& operator=(const Checked&) = delete;

  Gaussian gaussian;

 private:
  void take_mean() {
    Moments moments(gaussian.d);
    moments.update(gaussian.rows, gaussian.n);
    mu_.resize(gaussian.d);
    moments.mean(mu_.data());
    gaussian.mu = mu_.data();
  }

  void take_symmetric(const std::string& side) {
    const Index d = gaussian.d;
    const Eigen::Map<const MatrixXd> sigma(gaussian.sigma, d, d);
    const Matrix seen = look_at(gaussian.sigma, d);
    if (!seen.finite) throw std::invalid_argument("sigma of " + side + " has a value that is not finite");
    if (seen.asymmetry > kAsymmetry * seen.largest)
      throw std::invalid_argument("sigma of " + side +
                                  " is not symmetric: entries differ from their mirror by up to " +
                                  std::to_string(seen.asymmetry));
    if (sigma.diagonal().minCoeff() < 0)
      throw IndefiniteError("sigma of " + side + " is not a covariance: its diagonal has a negative entry");
    if (seen.asymmetry == 0) return;
    kept_.resize(d * d);
    Eigen::Map<MatrixXd>(kept_.data(), d, d) = sigma / 2 + sigma.transpose() / 2;
    gaussian.sigma = kept_.data();
  }

  std::vector<double> mu_, kept_;
};

Distance distance_of(const Checked& a, const Checked& b, Method method, double eps) {
  if (a.gaussian.d != b.gaussian.d)
    throw std::invalid_argument("the dims of the two sides must be equal, got " +
                                std::to_string(a.gaussian.d) + " and " + std::to_string(b.gaussian.d));
  if (!(eps >= 0) || !std::isfinite(eps))
    throw std::invalid_argument("eps must be a finite number of at least 0, got " + std::to_string(eps));
  return distance_of_checked(a.gaussian, b.gaussian, method, eps);
}

template <class T>
Distance distance_of_rows(const Rows<T>& x, const Rows<T>& y, Method method, double eps) {
  if (x.d != y.d)
    throw std::invalid_argument("the dims of the two sides must be equal, got " + std::to_string(x.d) +
                                " and " + std::to_string(y.d));
  for (const Rows<T>* side : {&x, &y}) {
    require_size(side->d, "the dims", 1);
    require_rows(side->n);
    require_finite(side->data, side->n * side->d, side == &x ? "x" : "y");
  }
  Moments a(x.d), b(y.d);
  a.update(x.data, x.n);
  b.update(y.data, y.n);
  return frechet_distance(a, b, method, eps);
}

}  // namespace

Distance frechet_distance(const Gaussian& a, const Gaussian& b, Method method, double eps) {
  return distance_of(Checked(a, "a"), Checked(b, "b"), method, eps);
}

Distance frechet_distance(const Moments& a, const Moments& b, Method method, double eps) {
  return distance_of(Checked(a), Checked(b), method, eps);
}

Distance frechet_distance(const Rows<float>& x, const Rows<float>& y, Method method, double eps) {
  return distance_of_rows(x, y, method, eps);
}

Distance frechet_distance(const Rows<double>& x, const Rows<double>& y, Method method, double eps) {
  return distance_of_rows(x, y, method, eps);
}

}  // namespace fastfid
