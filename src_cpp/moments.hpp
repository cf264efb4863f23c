// What a Moments holds and does; fastfid/moments.hpp says what its functions are for.
//
// Rows are shifted by the first row, taken in blocks of a fixed size, centred on the block's own mean, and combined by the
// pairwise update of Chan, Golub & LeVeque (1979), "Updating formulae and a pairwise algorithm for computing sample
// variances".
#pragma once

#include <vector>

#include "fastfid/moments.hpp"
#include "lapack.hpp"

namespace fastfid {

class Moments::Impl {
 public:
  static constexpr Index kBlock = 512;  // rows folded at a time; part of the numerical definition

  explicit Impl(Index dims);

  void update(const float* rows, Index n);
  void update(const double* rows, Index n);
  void merge(const Impl& other);

  static Impl from_moments(Index n, const double* mu, const double* sigma, Index dims);

  void state(double* shift, double* offset, double* m2) const;
  static Impl from_state(Index dims, Index folded, const double* shift, const double* offset,
                         const double* m2, const float* rows, Index pending);
  static Impl from_state(Index dims, Index folded, const double* shift, const double* offset,
                         const double* m2, const double* rows, Index pending);

  Index dims() const { return dims_; }
  Index folded() const { return folded_.n; }
  Index pending() const;  // rows not folded yet
  Index count() const { return folded_.n + pending(); }
  bool has_rows() const { return folded_.n == 0 && pending() <= dims_; }
  bool rows_are_float() const { return !wide_; }
  const float* rows_float() const { return narrow_rows_.data(); }
  const double* rows_double() const { return wide_rows_.data(); }

  void mean(double* mu) const;
  void covariance(double* sigma) const;

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
