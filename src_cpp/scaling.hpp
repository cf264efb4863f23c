// Scales very large and very small matrices by powers of two, which is exact, so that no product or square of their
// entries leaves the range of a double.
#pragma once

#include <cmath>

#include "lapack.hpp"

namespace fastfid {

constexpr int kModest = 300;  // matrices with smaller exponents, the common case, are not scaled

// The even exponent to take out of a covariance with this largest entry.
inline int exponent_of(double largest) {
  if (!(largest > 0) || !std::isfinite(largest)) return 0;
  const int k = std::ilogb(largest);
  return std::abs(k) <= kModest ? 0 : 2 * (k / 2);
}

inline MatrixXd times_power_of_two(const MatrixXd& m, int k) {
  return m.unaryExpr([k](double x) { return std::ldexp(x, k); });
}

// Scales a covariance; returns the exponent that was taken out.
inline int scale_down(MatrixXd& m) {
  const int k = exponent_of(m.cwiseAbs().maxCoeff());
  if (k != 0) m = times_power_of_two(m, -k);
  return k;
}

}  // namespace fastfid
