// Streaming, mergeable mean and covariance of feature rows.
//
//   mu = sum(x) / n        sigma = sum((x - mu)(x - mu)^T) / (n - 1)
//
// float32 or float64 rows -> float64 accumulation -> float64 mean and covariance. Rows are shifted by the
// first row, taken in blocks of a fixed size, centred on the block's own mean, and combined by the pairwise
// update of Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
// variances". The result does not depend on how the caller batched the rows, to the last bit. The error does
// not grow with mean / deviation: |error| <= c * eps * (n / block) * max|sigma|, with c of order 10.
#pragma once

#include <vector>

#include "lapack.hpp"

namespace fastfid {

class Moments {
 public:
  static constexpr Index kBlock = 512;  // rows folded at a time; part of the numerical definition

  explicit Moments(Index dims);

  // n rows of `dims` values each, row-major.
  void update(const float* rows, Index n);
  void update(const double* rows, Index n);
  // Adds the rows of `other` as if they came next; exact to rounding for any split. Merging into an empty object copies
  // the state, so that the result has the same bits whether pieces are merged into an empty object or into the first.
  void merge(const Moments& other);

  // Starts from known moments: mu (d), sigma (d, d) symmetric.
  static Moments from_moments(Index n, const double* mu, const double* sigma, Index dims);

  // Writes and restores the exact state, so that the same calls afterwards give the same bits. The state consists of
  // these arrays for the folded rows, and of the pending() rows at rows_float() or rows_double(). `m2` has
  // d (d + 1) / 2 values, the upper triangle column by column. If folded() is 0, the arrays are not written or read.
  void state(double* shift, double* offset, double* m2) const;
  // Throws std::invalid_argument if no Moments can have this state.
  static Moments from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const float* rows, Index pending);
  static Moments from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const double* rows, Index pending);

  Index dims() const { return dims_; }
  Index folded() const { return folded_.n; }
  Index pending() const;  // rows not folded yet
  Index count() const { return folded_.n + pending(); }
  // True if all rows are still kept: there are no more than dims, and no moments without rows were merged or loaded.
  bool has_rows() const { return folded_.n == 0 && pending() <= dims_; }
  bool rows_are_float() const { return !wide_; }
  // The rows not folded yet, (pending, dims) row-major; all rows if has_rows(). Use the one for the type of the rows.
  const float* rows_float() const { return narrow_rows_.data(); }
  const double* rows_double() const { return wide_rows_.data(); }

  void mean(double* mu) const;           // mu is (d)
  void covariance(double* sigma) const;  // sigma is (d, d); needs count() >= 2

 private:
  struct Folded {
    Index n = 0;
    VectorXd shift;   // subtracted from every row before anything else
    VectorXd offset;  // mean - shift
  };

  template <class T>
  void append(const T* rows, Index n);
  void widen();
  // Adds n pending rows from `first` on to `state` and, if given, to the upper triangle of `m2` (d, d).
  void fold(Folded& state, double* m2, Index first, Index n, MatrixXd& block) const;
  template <class T>
  void fold_rows(Folded& state, double* m2, const T* rows, Index n, MatrixXd& block) const;
  void fold_whole_blocks();
  void fold_rest(Folded& state, double* m2) const;  // all pending rows
  // All rows folded; m2 is empty if it would be a copy of m2_.
  struct Whole {
    Folded state;
    MatrixXd m2;
  };
  Whole whole() const;
  void require_covariance() const;
  // Adds a set of m rows with the given mean offset (relative to state.shift); their m2 must be added already.
  static void combine_mean(Folded& state, const VectorXd& offset, Index m);
  void restore(Index folded, const double* shift, const double* offset, const double* m2);
  void require_possible() const;

  Index dims_;
  Folded folded_;
  MatrixXd m2_;  // upper triangle of the folded rows' sum (x - mean)(x - mean)^T; empty before the first fold
  MatrixXd block_;  // work space, kept between updates
  bool wide_ = false;
  std::vector<float> narrow_rows_;  // rows not folded yet; all are float64 once any batch was
  std::vector<double> wide_rows_;
};

}  // namespace fastfid
