// Streaming, mergeable mean and covariance of feature rows.
//
//   mu = sum(x) / n        sigma = sum((x - mu)(x - mu)^T) / (n - 1)
//
// float32 or float64 rows -> float64 accumulation -> float64 mean and covariance. Rows are shifted by the
// first row, taken in blocks of a fixed size, centred on the block's own mean, and combined by the pairwise
// update of Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
// variances". Neither the error nor the last bit depends on how the caller batched the rows, and the
// error does not grow with mean / deviation: |error| <= c * eps * (n / block) * max|sigma|, c of order 10.
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
  // As if the rows behind `other` had followed; exact to rounding for any split. Into an empty one: the same state as
  // the other's, so that pieces merged from nothing have the bits of those merged into the first.
  void merge(const Moments& other);

  // Known moments become the start of a stream: mu (d), sigma (d, d) symmetric.
  static Moments from_moments(Index n, const double* mu, const double* sigma, Index dims);

  // The exact state, out and in: after it, the same calls give the same bits. It is what was folded, and the rows that
  // were not yet: pending() of them, at rows_float() or rows_double(). `m2` has d (d + 1) / 2 values, the upper triangle
  // column by column. Nothing is written or read where folded() is 0.
  void state(double* shift, double* offset, double* m2) const;
  // Throws std::invalid_argument for what no Moments can have been.
  static Moments from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const float* rows, Index pending);
  static Moments from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const double* rows, Index pending);

  Index dims() const { return dims_; }
  Index folded() const { return folded_.n; }
  Index pending() const;  // rows not folded yet
  Index count() const { return folded_.n + pending(); }
  // All rows are still at hand: no more of them than dims, and nothing merged or loaded as moments.
  bool has_rows() const { return folded_.n == 0 && pending() <= dims_; }
  bool rows_are_float() const { return !wide_; }
  // The rows not folded yet, (pending, dims) row-major: all there were where has_rows(). Valid for that type.
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
  // Adds n pending rows from `first` on to `state` and to the upper triangle of `m2` (d, d), if given.
  void fold(Folded& state, double* m2, Index first, Index n, MatrixXd& block) const;
  template <class T>
  void fold_rows(Folded& state, double* m2, const T* rows, Index n, MatrixXd& block) const;
  void fold_whole_blocks();
  // Adds a set of m rows with the given mean offset (relative to state.shift); m2 must already be added.
  static void combine_mean(Folded& state, const VectorXd& offset, Index m);
  void restore(Index folded, const double* shift, const double* offset, const double* m2);
  void require_possible() const;

  Index dims_;
  Folded folded_;
  MatrixXd m2_;  // upper triangle of the folded rows' sum (x - mean)(x - mean)^T; empty before the first fold
  MatrixXd block_;  // room to work in, kept between updates
  bool wide_ = false;
  std::vector<float> narrow_rows_;  // rows not folded yet, as they came; float64 once any batch was
  std::vector<double> wide_rows_;
};

}  // namespace fastfid
