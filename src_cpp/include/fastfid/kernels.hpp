// Sums of two kernels over all pairs of rows of two sets: what KID and CMMD are made of.
//
// The unbiased KID of x (n) and y (m) is
//
//   xx / (n (n - 1)) + yy / (m (m - 1)) - 2 xy / (n m)
//
// with xx, yy, xy the sums of all that polynomial_sums writes to `rows` for (x, x, same), (y, y, same) and (x, y). Results
// do not depend on the number of threads. Both functions throw std::invalid_argument if a side is empty or the dims differ,
// and OverflowError if a value is not finite or a squared distance or a sum overflows.
#pragma once

#include "fastfid/config.hpp"
#include "fastfid/rows.hpp"

namespace fastfid {

/// Sums of k = (x·y / d + 1)³ over each row (n) and column (m); returns that of k² over all pairs. With `same`, y is x, and
/// the pairs of a row with itself are left out.
FASTFID_API double polynomial_sums(const Rows<float>& x, const Rows<float>& y, bool same, double* rows,
                                   double* columns);
FASTFID_API double polynomial_sums(const Rows<double>& x, const Rows<double>& y, bool same, double* rows,
                                   double* columns);

/// Sums of exp(-|x - y|² / (2 sigma²)) over each row (n) and column (m). Each value is within 1e-5 of double arithmetic,
/// whatever the rows; 1 for identical rows. sigma > 0, else std::invalid_argument.
FASTFID_API void gaussian_sums(const Rows<float>& x, const Rows<float>& y, double sigma, double* rows,
                               double* columns);
FASTFID_API void gaussian_sums(const Rows<double>& x, const Rows<double>& y, double sigma, double* rows,
                               double* columns);

}  // namespace fastfid
