// The Fréchet distance between two Gaussians,
//
//   d² = |mu1 - mu2|² + tr S1 + tr S2 - 2 tr sqrt(S1 S2)
//
// in squared units of the features. Of the features of two sets of images, it is the FID.
#pragma once

#include "fastfid/config.hpp"
#include "fastfid/moments.hpp"
#include "fastfid/rows.hpp"

namespace fastfid {

/// A mean and a covariance, or the rows that they come from; not owned. If rows are set, sigma is not read. The rows, while
/// there are no more than dims, give more digits than their covariance.
struct Gaussian {
  const double* mu = nullptr;     ///< (d)
  const double* sigma = nullptr;  ///< (d, d), symmetric
  const double* rows = nullptr;   ///< (n, d), not centred
  Index n = 0;                    ///< number of rows, at least 2
  Index d = 0;
};

/// How to take the trace of sqrt(S1 S2).
enum class Method {
  automatic,  ///< by singular values: exact for every rank, and the same if the sides are exchanged
  schur  ///< as pytorch-fid on SciPy 1.17.1: by the Schur root of S1 S2, if need be with eps added to the diagonals
};

struct Distance {
  double value = 0;       ///< mean_term + trace_term, or 0 if that is negative by no more than error_estimate
  double mean_term = 0;   ///< |mu1 - mu2|²
  double trace_term = 0;  ///< tr S1 + tr S2 - 2 tr sqrt(S1 S2)
  double error_estimate =
      0;  ///< what rounding, in the input too, may have done to value; NaN for Method::schur
  Index rank1 =
      -1;  ///< numerical ranks among the dims that are not zero on either side; -1 for Method::schur
  Index rank2 = -1;
  double offset = 0;  ///< what Method::schur added to both diagonals
};

/// The distance between two Gaussians of the same dims. eps is for Method::schur only. Throws std::invalid_argument if
/// pointers are missing, sizes do not fit, a value is not finite, or a sigma is asymmetric by more than 1e-6 of its largest
/// entry; IndefiniteError if a sigma has negative eigenvalues; OverflowError if the distance is too large for double;
/// LinAlgError if Method::schur finds no usable root.
FASTFID_API Distance frechet_distance(const Gaussian& a, const Gaussian& b, Method method = Method::automatic,
                                      double eps = 1e-6);

/// The same between the Gaussians of two sets of rows, of at least 2 rows each. Moments of rows that were not finite are an
/// OverflowError.
FASTFID_API Distance frechet_distance(const Moments& a, const Moments& b, Method method = Method::automatic,
                                      double eps = 1e-6);
FASTFID_API Distance frechet_distance(const Rows<float>& x, const Rows<float>& y,
                                      Method method = Method::automatic, double eps = 1e-6);
FASTFID_API Distance frechet_distance(const Rows<double>& x, const Rows<double>& y,
                                      Method method = Method::automatic, double eps = 1e-6);

}  // namespace fastfid
