#include <cstddef>
#include <stdexcept>
#include <string>

#include "pairs.hpp"

namespace fastfid::pairs {
namespace {

constexpr double kAll = std::numeric_limits<double>::infinity();

// A row that may be among the nearest; the bounds are equal once its distance is known. Distances of the frame.
struct Candidate {
  double lower, upper;
  Index j;
};

// Keeps, for each row of x, the rows of y whose distance may be among the k smallest. They are decided when they become
// too many, and at the end. Which rows are kept meanwhile depends on the order of the tiles, the k nearest do not: so
// with `same` each product serves both of its rows, under locks of their blocks.
template <class T>
class Nearest {
 public:
  struct Part {
    Index first, rows;
  };

  Nearest(const Frame<T>& frame, Index k, bool same, std::int64_t* indices, double* distances)
      : frame_(frame),
        k_(k),
        capacity_(k + std::max<Index>(32, k / 4)),
        same_(same),
        height_(block_rows(frame)),
        bias_(frame.y.n),
        kept_(frame.x.n * capacity_),
        count_(frame.x.n, 0),
        threshold_(frame.x.n, kAll),
        cut_(frame.x.n, std::numeric_limits<T>::infinity()),
        last_(frame.x.n, frame.y.n),
        locks_(frame.x.n / height_ + 1),
        indices_(indices),
        distances_(distances) {
    for (Index j = 0; j < frame.y.n; ++j) bias_[j] = rounded_down<T>((1 - frame.epsilon) * frame.norms_y[j]);
  }

  Part begin(Index first, Index rows) const { return {first, rows}; }

  void add(Part&, const Tile<T>& tile) {
    // With `same`, tiles of the part's own rows hold both pairs of each two rows, the others one of them.
    const bool both = same_ && tile.j >= tile.i + tile.rows;
    const std::lock_guard own(locks_[tile.i / height_]);
    std::unique_lock<std::mutex> others;  // a later block: all workers lock in the same order
    if (both) others = std::unique_lock(locks_[tile.j / height_]);
    for (Index row = 0; row < tile.rows; ++row) {
      const Index i = tile.i + row;
      const T *products = tile[row], *bias = &bias_[tile.j], *cuts = &cut_[both ? tile.j : 0];
      const T& cut = cut_[i];
      const auto hit = [&](Index col) { offer(i, tile.j + col, products[col], both); };
      if (both) {
        const T bias_i = bias_[i];
        for_each_hit(
            tile.cols,
            [&](Index col) {
              const T twice = 2 * products[col];
              return (bias[col] - twice <= cut) | (bias_i - twice <= cuts[col]);
            },
            hit);
      } else {
        for_each_hit(tile.cols, [&](Index col) { return bias[col] - 2 * products[col] <= cut; }, hit);
      }
    }
  }

  void end(Part&) const {}

  // All tiles with these rows have been added: they belong to this block or to one before it.
  void fold(const Part& part) {
    for (Index i = part.first; i < part.first + part.rows; ++i) {
      shrink(i);
      decide(i);
      const Candidate* kept = &kept_[i * capacity_];
      for (Index c = 0; c < k_; ++c) {
        indices_[i * k_ + c] = kept[c].j;
        distances_[i * k_ + c] = kept[c].lower / frame_.square;
      }
    }
  }

 private:
  void offer(Index i, Index j, T product, bool both) {
    if (same_ && i == j) return;
    const double norms = frame_.norms_x[i] + frame_.norms_y[j],
                 middle = norms - 2 * static_cast<double>(product);
    const double error = frame_.epsilon * norms + frame_.slack;
    keep(i, {middle - error, middle + error, j});
    if (both) keep(j, {middle - error, middle + error, i});
  }

  void keep(Index i, const Candidate& candidate) {
    if (candidate.lower > threshold_[i] || candidate.j > last_[i]) return;
    kept_[i * capacity_ + count_[i]++] = candidate;
    if (count_[i] == capacity_) shrink(i);
  }

  // Drops what cannot be among the k nearest by the bounds; decides if that leaves too many.
  void shrink(Index i) {
    Candidate *first = &kept_[i * capacity_], *last = first + count_[i];
    if (count_[i] > k_) {
      std::nth_element(first, first + k_ - 1, last,
                       [](const Candidate& a, const Candidate& b) { return a.upper < b.upper; });
      set_threshold(i, std::min(threshold_[i], first[k_ - 1].upper));
      last = std::remove_if(first, last, [&](const Candidate& c) { return c.lower > threshold_[i]; });
      count_[i] = last - first;
    }
    if (count_[i] > (k_ + capacity_) / 2) decide(i);
  }

  // Computes the distances of all that are kept, and keeps the k nearest of them, in order.
  void decide(Index i) {
    Candidate *first = &kept_[i * capacity_], *last = first + count_[i];
    for (Candidate* c = first; c != last; ++c)
      if (c->lower != c->upper) c->lower = c->upper = frame_.distance(i, c->j) * frame_.square;
    std::sort(first, last, [](const Candidate& a, const Candidate& b) {
      return a.lower < b.lower || (a.lower == b.lower && a.j < b.j);
    });
    if (count_[i] < k_) return;
    count_[i] = k_;
    set_threshold(i, first[k_ - 1].lower);
    if (threshold_[i] == 0) last_[i] = first[k_ - 1].j;  // nothing is nearer, and later rows lose the tie
  }

  void set_threshold(Index i, double most) {
    threshold_[i] = most;
    cut_[i] = rounded_up<T>(most - (1 - frame_.epsilon) * frame_.norms_x[i] + frame_.slack);
  }

  const Frame<T>& frame_;
  const Index k_, capacity_;
  const bool same_;
  const Index height_;  // rows of a block
  std::vector<T> bias_;
  // Of each row of x:
  std::vector<Candidate> kept_;    // (n, capacity)
  std::vector<Index> count_;       // of those kept
  std::vector<double> threshold_;  // no distance above this is among the k smallest
  std::vector<T> cut_;             // the same, to compare with the bias less twice the product
  std::vector<Index> last_;        // no row of y after this one is among the k nearest
  std::vector<std::mutex> locks_;  // of each block
  std::int64_t* indices_;
  double* distances_;
};

template <class T>
void find_nearest(const Rows<T>& x, const Rows<T>& y, Index k, bool same, std::int64_t* indices,
                  double* distances) {
  require_neighbours(y.n, k, same);
  const Frame<T> frame(x, y);
  Nearest<T> reduce(frame, k, same, indices, distances);
  for_each_tile(frame, reduce, same);
}

}  // namespace

void require_neighbours(Index m, Index k, bool same) {
  const Index most = m - (same ? 1 : 0);
  if (k < 1 || k > most)
    throw std::invalid_argument("k must be between 1 and " + std::to_string(most) + ", got " +
                                std::to_string(k));
}

}  // namespace fastfid::pairs

namespace fastfid {

void nearest(const Rows<float>& x, const Rows<float>& y, Index k, bool same, std::int64_t* indices,
             double* distances) {
  pairs::find_nearest(x, y, k, same, indices, distances);
}

void nearest(const Rows<double>& x, const Rows<double>& y, Index k, bool same, std::int64_t* indices,
             double* distances) {
  pairs::find_nearest(x, y, k, same, indices, distances);
}

}  // namespace fastfid
