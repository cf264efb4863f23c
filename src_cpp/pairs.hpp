// Products over all pairs of rows of two matrices, in tiles: the one traversal behind every metric of pairs.
//
//   p_ij = x'_i · y'_j        x'_i = fl(s x_i - c)
//
// rows of T (float or double) -> products in T -> what a reducer makes of them in double. s is a power of two that
// brings the largest entry near 1, so that no product overflows. c shortens the rows: it is the mean of those that are not
// far, which are within kFar times the median distance from the median of each entry. Usually these are all rows. A row
// that is far longer than the others is not among them, so that it does not make all others long.
//
// Error. Let u be the unit roundoff of T, v that of double, a = |x'_i|², b = |y'_j|², D the scaled squared distance
// s²|x_i - y_j|². A product of length d in any order of summation, fused or not, has |fl(p) - p| <= g_d sqrt(ab) with
// g_d = du / (1 - du) (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), and 2 sqrt(ab) <= a + b.
// Centring moves each row by at most u' |x'| with u' = u / (1 - u), hence D by at most 2 u' (2 + u') (a + b). The norms
// a, b are computed in double. So is the distance D that decides, with a relative error of (d + 4) v, and
// D <= 2 (a + b) (1 + 4u). Together
//
//   |D_computed - (a + b - 2 p_computed)| <= epsilon (a + b) + slack
//   epsilon = e / (1 - e), e = (d + 8) u + 3 (d + 8) v      (with room for another 2u)
//
// and slack = 128 d times the smallest normal number of T covers products and entries that underflow. A bound that is a
// sum over the two rows costs nothing in the inner loop: L_ij = [(1 - epsilon) b_j - 2 p_ij] + [(1 - epsilon) a_i - slack].
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "fastfid/neighbours.hpp"
#include "lapack.hpp"
#include "threads.hpp"

namespace fastfid::pairs {

// Throws std::invalid_argument unless each row has k neighbours among m.
void require_neighbours(Index m, Index k, bool same);

// What the products are made of, and how far they can be off.
template <class T>
struct Frame {
  Rows<T> x, y;
  T scale;
  std::vector<T> centre;                 // c (d)
  std::vector<double> norms_x, norms_y;  // |x'|² (n), |y'|² (m)
  double epsilon, slack;
  double square;  // scale²: a distance of the frame over the distance

  // Throws OverflowError if the rows are not finite, or too large for squared distances in double.
  Frame(Rows<T> x, Rows<T> y);

  // out = x' of `count` rows from `first` on.
  void centred(const Rows<T>& rows, Index first, Index count, T* out) const;
  double distance(Index i, Index j) const { return squared_distance(x[i], y[j], x.d); }

 private:
  // Moves the centre from the median of each entry to the mean of the rows that are not far from it.
  void move_to_mean(bool same);
};

// Products of some rows of x' with some rows of y'.
template <class T>
struct Tile {
  Index i, j, rows, cols;  // of the first product, and how many
  const T* products;       // (rows, cols), row-major

  const T* operator[](Index row) const { return products + row * cols; }
};

constexpr Index kBlockRows = 512, kBlockCols = 256;  // part of the numerical definition of sums

// Rows of x that a worker takes at a time: fewer if there are few, so that all workers have some, or if they are long, for
// the sake of memory. A multiple of the columns of a tile, unless there is but one block.
template <class T>
Index block_rows(const Frame<T>& frame) {
  return std::min(frame.x.n, frame.x.n < 4 * kBlockRows || frame.x.d > 8192 ? kBlockCols : kBlockRows);
}

// Calls `reduce` with every tile, or with those that reach the upper triangle. The workers take blocks of rows of x in
// order, and each block's tiles come in the order of y. A block's results are collected in a part of its own:
//
//   Part begin(Index i, Index rows)           by one thread at a time
//   void add(Part&, const Tile<T>&)           by the block's worker; so is the next
//   void end(Part&)
//   void fold(Part&)                          by one thread at a time, in the order of the blocks
//
// so that results do not depend on the number of workers.
template <class T, class Reduce>
void for_each_tile(const Frame<T>& frame, Reduce& reduce, bool upper = false) {
  using Part = decltype(reduce.begin(0, 0));
  const Index d = frame.x.d, n = frame.x.n, m = frame.y.n, height = block_rows(frame);
  const Index blocks = (n + height - 1) / height, width = std::min(m, kBlockCols);
  std::atomic<Index> next{0};
  std::mutex mutex;
  std::vector<std::unique_ptr<Part>> ended(blocks);
  Index folded = 0;
  const threads::OneInBlas one;
  threads::run(static_cast<int>(std::min<Index>(threads::get(), blocks)), [&](const threads::Stop& stop) {
    std::vector<T> x(height * d), y(width * d), products(height * width);
    for (Index block; (block = next++) < blocks;) {
      const Index i = block * height, rows = std::min(height, n - i);
      frame.centred(frame.x, i, rows, x.data());
      std::unique_lock lock(mutex);
      auto part = std::make_unique<Part>(reduce.begin(i, rows));
      lock.unlock();
      for (Index j = upper ? i : 0; j < m; j += kBlockCols) {
        if (stop()) return;
        const Index cols = std::min(kBlockCols, m - j);
        frame.centred(frame.y, j, cols, y.data());
        lapack::products_of_rows(x.data(), rows, y.data(), cols, d, products.data());
        reduce.add(*part, Tile<T>{i, j, rows, cols, products.data()});
      }
      reduce.end(*part);
      lock.lock();
      ended[block] = std::move(part);
      for (; folded < blocks && ended[folded]; ++folded) {
        reduce.fold(*ended[folded]);
        ended[folded].reset();
      }
    }
  });
}

// The next number of T at or below, or at or above, a double.
template <class T>
T rounded_down(double value) {
  const T t = static_cast<T>(value);
  return t > value ? std::nextafter(t, -std::numeric_limits<T>::infinity()) : t;
}
template <class T>
T rounded_up(double value) {
  return -rounded_down<T>(-value);
}

// Calls hit(j) for every j below n with within(j), in order. The reducers compare bias_j - 2 p_j with a cut: rounding is
// monotone, so what is within the cut exactly is so after rounding, if the bias is rounded down and the cut up.
template <class Within, class Hit>
void for_each_hit(Index n, const Within& within, const Hit& hit) {
  constexpr Index kStep = 32;  // tested at once, by vector instructions
  Index j = 0;
  for (; j + kStep <= n; j += kStep) {
    int any = 0;
    for (Index k = 0; k < kStep; ++k) any |= static_cast<int>(within(j + k));
    if (any == 0) continue;
    for (Index k = 0; k < kStep; ++k)
      if (within(j + k)) hit(j + k);
  }
  for (; j < n; ++j)
    if (within(j)) hit(j);
}

}  // namespace fastfid::pairs
