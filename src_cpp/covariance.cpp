#include "covariance.hpp"

#include <algorithm>
#include <cmath>

namespace fastfid {

Matrix look_at(const double* a, Index d) {
  constexpr Index kTile = 64;
  const Eigen::Map<const MatrixXd> m(a, d, d);
  Matrix seen;
  for (Index j = 0; j < d; j += kTile)
    for (Index i = 0; i <= j; i += kTile) {
      const Index rows = std::min(kTile, d - i), cols = std::min(kTile, d - j);
      const auto upper = m.block(i, j, rows, cols);
      const auto lower = m.block(j, i, cols, rows);
      // The sum is not finite if a term is not. It may also overflow, so then each term is checked.
      if (!std::isfinite(upper.sum() + lower.sum()) && !(upper.allFinite() && lower.allFinite()))
        return {false, 0, 0};
      seen.largest = std::max({seen.largest, upper.cwiseAbs().maxCoeff(), lower.cwiseAbs().maxCoeff()});
      // Halved first, because the difference of two large entries of opposite sign may overflow.
      seen.asymmetry =
          std::max(seen.asymmetry, 2 * (upper / 2 - lower.transpose() / 2).cwiseAbs().maxCoeff());
    }
  return seen;
}

}  // namespace fastfid
