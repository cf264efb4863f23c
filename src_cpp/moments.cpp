#include "moments.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "sizes.hpp"

namespace fastfid {

namespace {

// out = rows - shift, row by row, and sum = their sum, in one pass over memory.
template <class T>
void shift_rows(const T* rows, Index n, const VectorXd& shift, double* out, VectorXd& sum) {
  using Row = Eigen::Matrix<T, Eigen::Dynamic, 1>;
  const Index d = shift.size();
  sum.setZero(d);
  for (Index i = 0; i < n; ++i) {
    Eigen::Map<VectorXd> to(out + i * d, d);
    to = Eigen::Map<const Row>(rows + i * d, d).template cast<double>() - shift;
    sum += to;
  }
}

// Divides the upper triangle and copies it to the lower one. In tiles, because reading a transposed column of a large
// matrix misses every cache.
void divide_and_mirror(Eigen::Map<MatrixXd>& m, double divisor) {
  constexpr Index kTile = 64;
  const Index d = m.rows();
  for (Index j = 0; j < d; j += kTile) {
    const Index cols = std::min(kTile, d - j);
    for (Index i = 0; i <= j; i += kTile) {
      const Index rows = std::min(kTile, d - i);
      auto tile = m.block(i, j, rows, cols);
      tile /= divisor;
      if (i < j)
        m.block(j, i, cols, rows) = tile.transpose();
      else
        tile.template triangularView<Eigen::StrictlyLower>() = tile.transpose();
    }
  }
}

// Sums of squares of n rows as they come back from a covariance. The last bit may differ, and that of merged moments
// has been defined so.
template <class Array>
auto as_covariance(const Array& squares, Index n) {
  const auto divisor = static_cast<double>(n > 1 ? n - 1 : 1);
  return squares / divisor * divisor;
}

// Drops the first `size` values. Less than a block remains, and memory for one block is kept.
template <class T>
void drop_front(std::vector<T>& values, Index size, Index room) {
  if (static_cast<Index>(values.capacity()) <= 2 * room) {
    values.erase(values.begin(), values.begin() + size);
    return;
  }
  std::vector<T> rest;
  rest.reserve(room);
  rest.assign(values.begin() + size, values.end());
  values.swap(rest);
}

}  // namespace

Moments::Impl::Impl(Index dims) : dims_(dims) { require_size(dims, "dims", 1); }

Index Moments::Impl::pending() const {
  return static_cast<Index>(wide_ ? wide_rows_.size() : narrow_rows_.size()) / dims_;
}

void Moments::Impl::widen() {
  wide_rows_.assign(narrow_rows_.begin(), narrow_rows_.end());
  std::vector<float>().swap(narrow_rows_);
  wide_ = true;
}

void Moments::Impl::combine_mean(Folded& state, const VectorXd& offset, Index m) {
  const double total = static_cast<double>(state.n + m);
  state.offset += (offset - state.offset) * (static_cast<double>(m) / total);
  state.n += m;
}

template <class T>
void Moments::Impl::fold_rows(Folded& state, double* m2, const T* rows, Index n, MatrixXd& block) const {
  if (state.n == 0) {
    state.shift = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, 1>>(rows, dims_).template cast<double>();
    state.offset = VectorXd::Zero(dims_);
  }
  block.resize(dims_, n + 1);  // one column for each row, and one for the shift of the mean
  VectorXd offset;
  shift_rows(rows, n, state.shift, block.data(), offset);
  offset /= static_cast<double>(n);
  if (m2) {
    block.leftCols(n).colwise() -= offset;
    const double weight = static_cast<double>(state.n) * n / static_cast<double>(state.n + n);
    block.col(n) = std::sqrt(weight) * (offset - state.offset);
    lapack::syrk_add(block.data(), dims_, n + 1, m2);
  }
  combine_mean(state, offset, n);
}

void Moments::Impl::fold(Folded& state, double* m2, Index first, Index n, MatrixXd& block) const {
  if (wide_)
    fold_rows(state, m2, wide_rows_.data() + first * dims_, n, block);
  else
    fold_rows(state, m2, narrow_rows_.data() + first * dims_, n, block);
}

void Moments::Impl::fold_whole_blocks() {
  if (count() <= dims_ || pending() < kBlock) return;
  if (m2_.size() == 0) m2_ = MatrixXd::Zero(dims_, dims_);
  Index first = 0;
  for (; first + kBlock <= pending(); first += kBlock) fold(folded_, m2_.data(), first, kBlock, block_);
  const Index size = first * dims_, room = kBlock * dims_;
  if (wide_)
    drop_front(wide_rows_, size, room);
  else
    drop_front(narrow_rows_, size, room);
}

template <class T>
void Moments::Impl::append(const T* rows, Index n) {
  // In parts, so that a large batch is never copied as a whole.
  for (Index done = 0; done < n;) {
    if (m2_.size() > 0 && pending() == 0 && n - done >= kBlock) {
      fold_rows(folded_, m2_.data(), rows + done * dims_, kBlock, block_);
      done += kBlock;
      continue;
    }
    const Index room = std::max<Index>(kBlock - pending(), 1);
    const Index take = std::min(n - done, count() < dims_ ? dims_ - count() : room);
    const T* begin = rows + done * dims_;
    if (wide_)
      wide_rows_.insert(wide_rows_.end(), begin, begin + take * dims_);
    else if constexpr (std::is_same_v<T, float>)
      narrow_rows_.insert(narrow_rows_.end(), begin, begin + take * dims_);
    done += take;
    fold_whole_blocks();
  }
}

void Moments::Impl::update(const float* rows, Index n) { append(rows, n); }

void Moments::Impl::update(const double* rows, Index n) {
  if (n > 0 && !wide_) widen();
  append(rows, n);
}

void Moments::Impl::merge(const Impl& other) {
  if (other.dims_ != dims_)
    throw std::invalid_argument("cannot merge moments of " + std::to_string(other.dims_) + " dims into " +
                                std::to_string(dims_));
  if (count() == 0) {
    *this = other;
    block_.resize(0, 0);
    return;
  }
  if (other.folded_.n == 0) {  // the other side still has all its rows, so add those
    if (&other == this) return merge(Impl(other));
    if (other.wide_)
      update(other.wide_rows_.data(), other.pending());
    else
      update(other.narrow_rows_.data(), other.pending());
    return;
  }
  const Index n = count(), m = other.count();
  other.require_covariance();
  Whole own = whole(), others = other.whole();
  const MatrixXd& added = others.m2.size() > 0 ? others.m2 : other.m2_;
  const VectorXd mu = own.state.shift + own.state.offset;
  const VectorXd apart = others.state.shift + others.state.offset - mu;
  const VectorXd delta =
      apart * std::sqrt(static_cast<double>(n) * static_cast<double>(m) / static_cast<double>(n + m));
  Folded joined = {n, mu, VectorXd::Zero(dims_)};
  combine_mean(joined, apart, m);
  // Nothing below can fail.
  if (own.m2.size() > 0) m2_ = std::move(own.m2);
  for (Index j = 0; j < dims_; ++j) {
    const auto square = added.col(j).head(j + 1).array();
    auto sum = m2_.col(j).head(j + 1).array();
    sum = as_covariance(sum, n) + as_covariance(square, m);
  }
  lapack::syrk_add(delta.data(), dims_, 1, m2_.data());
  folded_ = std::move(joined);
  wide_rows_.clear();
  narrow_rows_.clear();
}

Moments::Impl Moments::Impl::from_moments(Index n, const double* mu, const double* sigma, Index dims) {
  Impl result(dims);
  result.folded_ = {n, Eigen::Map<const VectorXd>(mu, dims), VectorXd::Zero(dims)};
  result.m2_ = Eigen::Map<const MatrixXd>(sigma, dims, dims) * static_cast<double>(n - 1);
  return result;
}

void Moments::Impl::state(double* shift, double* offset, double* m2) const {
  if (folded_.n == 0) return;
  Eigen::Map<VectorXd>(shift, dims_) = folded_.shift;
  Eigen::Map<VectorXd>(offset, dims_) = folded_.offset;
  for (Index j = 0; j < dims_; ++j) m2 = std::copy_n(m2_.col(j).data(), j + 1, m2);
}

void Moments::Impl::restore(Index folded, const double* shift, const double* offset, const double* m2) {
  if (folded == 0) return;
  folded_ = {folded, Eigen::Map<const VectorXd>(shift, dims_), Eigen::Map<const VectorXd>(offset, dims_)};
  m2_ = MatrixXd::Zero(dims_, dims_);
  for (Index j = 0; j < dims_; ++j) {
    std::copy_n(m2, j + 1, m2_.col(j).data());
    m2 += j + 1;
  }
}

void Moments::Impl::require_possible() const {
  constexpr Index kMost = Index(1) << 53;  // float64 holds all smaller counts exactly
  if (folded_.n < 0 || folded_.n >= kMost)
    throw std::invalid_argument("a state of moments has 0 to 2^53 - 1 rows, got " +
                                std::to_string(folded_.n));
  if (pending() >= kBlock && count() > dims_)
    throw std::invalid_argument("a state of moments has fewer than " + std::to_string(kBlock) +
                                " pending rows once there are more than dims, got " +
                                std::to_string(pending()));
  const Eigen::Map<const VectorXd> wide(wide_rows_.data(), static_cast<Index>(wide_rows_.size()));
  const Eigen::Map<const Eigen::VectorXf> narrow(narrow_rows_.data(),
                                                 static_cast<Index>(narrow_rows_.size()));
  if (!folded_.shift.allFinite() || !folded_.offset.allFinite() || !m2_.allFinite() || !wide.allFinite() ||
      !narrow.allFinite())
    throw std::invalid_argument("a state of moments holds values that are not finite");
  if ((m2_.diagonal().array() < 0).any())
    throw std::invalid_argument("a state of moments has a negative sum of squares");
}

Moments::Impl Moments::Impl::from_state(Index dims, Index folded, const double* shift, const double* offset,
                                        const double* m2, const float* rows, Index pending) {
  Impl result(dims);
  result.restore(folded, shift, offset, m2);
  result.narrow_rows_.assign(rows, rows + pending * dims);
  result.require_possible();
  return result;
}

Moments::Impl Moments::Impl::from_state(Index dims, Index folded, const double* shift, const double* offset,
                                        const double* m2, const double* rows, Index pending) {
  Impl result(dims);
  result.restore(folded, shift, offset, m2);
  result.wide_ = true;
  result.wide_rows_.assign(rows, rows + pending * dims);
  result.require_possible();
  return result;
}

void Moments::Impl::require_covariance() const {
  if (count() < 2)
    throw std::invalid_argument("a covariance needs at least 2 rows, got " + std::to_string(count()));
}

void Moments::Impl::fold_rest(Folded& state, double* m2) const {
  MatrixXd block;
  for (Index first = 0, rest = pending(); first < rest; first += kBlock)
    fold(state, m2, first, std::min(kBlock, rest - first), block);
}

Moments::Impl::Whole Moments::Impl::whole() const {
  Whole result{folded_, {}};
  if (pending() > 0 || m2_.size() == 0) {
    result.m2 = m2_.size() > 0 ? m2_ : MatrixXd::Zero(dims_, dims_);
    fold_rest(result.state, result.m2.data());
  }
  return result;
}

void Moments::Impl::mean(double* mu) const {
  Folded state = folded_;
  fold_rest(state, nullptr);
  Eigen::Map<VectorXd>(mu, dims_) = state.shift + state.offset;
}

void Moments::Impl::covariance(double* sigma) const {
  require_covariance();
  Eigen::Map<MatrixXd> out(sigma, dims_, dims_);
  if (m2_.size() > 0)
    out = m2_;
  else
    out.setZero();
  Folded state = folded_;
  fold_rest(state, sigma);
  divide_and_mirror(out, static_cast<double>(state.n - 1));
}

}  // namespace fastfid
