// Streaming, mergeable mean and covariance of feature rows.
//
//   mu = sum(x) / n        sigma = sum((x - mu)(x - mu)^T) / (n - 1)
//
// Accumulated in double. The result does not depend on how the caller batched the rows, to the last bit. The error does not
// grow with mean / deviation: |error| <= c eps (n / 512) max|sigma|, with c of order 10.
#pragma once

#include <memory>

#include "fastfid/config.hpp"

namespace fastfid {

/// Keeps the rows while there are no more than dims, then mean and covariance: d² doubles at most. A value: copies are deep,
/// and a moved-from object may only be assigned to or destroyed.
class FASTFID_API Moments {
 public:
  /// Of rows of `dims` values, none yet; dims at least 1.
  explicit Moments(Index dims);
  Moments(const Moments& other);
  Moments(Moments&& other) noexcept;
  Moments& operator=(const Moments& other);
  Moments& operator=(Moments&& other) noexcept;
  ~Moments();

  /// Adds n rows of dims() values each. They are not checked: what is not finite goes through to mean and covariance.
  void update(const float* rows, Index n);
  void update(const double* rows, Index n);
  /// Adds the rows of `other` as if they came next; exact to rounding for any split, and deterministic. Merging into an
  /// empty object copies the state, so that the result has the same bits whether pieces are merged into an empty object or
  /// into the first. Throws std::invalid_argument if the dims differ.
  void merge(const Moments& other);

  Index dims() const;
  Index count() const;  ///< number of rows

  void mean(double* mu) const;  ///< mu is (d)
  /// sigma is (d, d). Throws std::invalid_argument if there are fewer than 2 rows. Rows too far apart make it infinite.
  void covariance(double* sigma) const;

  /// True if all rows are still kept: there are no more than dims, and no moments without rows were merged.
  bool has_rows() const;
  /// The rows that are kept and not folded into sums yet, pending() of them, in the type that they came in: float until a
  /// batch of double comes. Valid until the next update or merge, and null or empty for the other type.
  Index pending() const;
  bool rows_are_float() const;
  const float* rows_float() const;
  const double* rows_double() const;

  /// Starts from known moments of n rows: mu (d), sigma (d, d) symmetric.
  static Moments from_moments(Index n, const double* mu, const double* sigma, Index dims);

  /// Writes and restores the exact state, so that the same calls afterwards give the same bits. The state consists of these
  /// arrays for the folded() rows, and of the pending() rows. `m2` has d (d + 1) / 2 values, the lower triangle row by row.
  /// If folded() is 0, the arrays are not written or read.
  Index folded() const;
  void state(double* shift, double* offset, double* m2) const;
  /// Throws std::invalid_argument if no Moments can have this state.
  static Moments from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const float* rows, Index pending);
  static Moments from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const double* rows, Index pending);

 private:
  class FASTFID_LOCAL Impl;
  FASTFID_LOCAL explicit Moments(Impl impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastfid
