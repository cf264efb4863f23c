#include <string>

#include "pairs_reducers.hpp"

namespace fastfid::pairs {
namespace {

// A row of y that may be among the nearest; the bounds are equal once its distance is known. Distances of the frame.
struct Candidate {
  double lower, upper;
  Index j;
};

// Keeps, for each row of x, the rows of y whose distance may be among the k smallest. They are decided when they become
// too many, and at the end.
template <class T>
class Nearest {
 public:
  struct Part {
    Index first;                    // row of x
    std::vector<Candidate> kept;    // (rows, capacity)
    std::vector<Index> count;       // of those kept
    std::vector<double> threshold;  // no distance above this is among the k smallest
    std::vector<T> cut;             // the same for for_each_within
  };

  Nearest(const Frame<T>& frame, Index k, bool same, std::int64_t* indices, double* distances)
      : frame_(frame), k_(k), capacity_(2 * k + 64), same_(same), indices_(indices), distances_(distances) {
    bias_.resize(frame.y.n);
    for (Index j = 0; j < frame.y.n; ++j) bias_[j] = rounded_down<T>((1 - frame.epsilon) * frame.norms_y[j]);
  }

  Part begin(Index first, Index rows) const {
    constexpr double all = std::numeric_limits<double>::infinity();
    Part part{first, std::vector<Candidate>(rows * capacity_), std::vector<Index>(rows, 0),
              std::vector<double>(rows, all), std::vector<T>(rows, std::numeric_limits<T>::infinity())};
    return part;
  }

  void add(Part& part, const Tile<T>& tile) const {
    for (Index i = 0; i < tile.rows; ++i) {
      const double a = frame_.norms_x[tile.i + i];
      for_each_within(
          tile[i], &bias_[tile.j], tile.cols, [&] { return part.cut[i]; },
          [&](Index col) {
            const Index j = tile.j + col;
            if (same_ && j == tile.i + i) return;
            const double norms = a + frame_.norms_y[j],
                         middle = norms - 2 * static_cast<double>(tile[i][col]);
            const double error = frame_.epsilon * norms + frame_.slack;
            part.kept[i * capacity_ + part.count[i]++] = {middle - error, middle + error, j};
            if (part.count[i] == capacity_) shrink(part, i);
          });
    }
  }

  void end(Part& part) const {
    for (std::size_t i = 0; i < part.count.size(); ++i) {
      shrink(part, i);
      decide(part, i);
      const Candidate* kept = &part.kept[i * capacity_];
      for (Index c = 0; c < k_; ++c) {
        indices_[(part.first + i) * k_ + c] = kept[c].j;
        distances_[(part.first + i) * k_ + c] = kept[c].lower / frame_.square;
      }
    }
  }

  void fold(Part&) const {}

 private:
  // Drops what cannot be among the k nearest by the bounds; decides if that leaves too many.
  void shrink(Part& part, Index i) const {
    Candidate *first = &part.kept[i * capacity_], *last = first + part.count[i];
    if (part.count[i] > k_) {
      std::nth_element(first, first + k_ - 1, last,
                       [](const Candidate& a, const Candidate& b) { return a.upper < b.upper; });
      const double most = std::min(part.threshold[i], first[k_ - 1].upper);
      last = std::remove_if(first, last, [most](const Candidate& c) { return c.lower > most; });
      part.count[i] = last - first;
      set_threshold(part, i, most);
    }
    if (part.count[i] > capacity_ / 2) decide(part, i);
  }

  // Computes the distances of all that are kept, and keeps the k nearest of them, in order.
  void decide(Part& part, Index i) const {
    Candidate *first = &part.kept[i * capacity_], *last = first + part.count[i];
    for (Candidate* c = first; c != last; ++c)
      if (c->lower != c->upper) c->lower = c->upper = frame_.distance(part.first + i, c->j) * frame_.square;
    std::sort(first, last, [](const Candidate& a, const Candidate& b) {
      return a.lower < b.lower || (a.lower == b.lower && a.j < b.j);
    });
    if (part.count[i] < k_) return;
    part.count[i] = k_;
    set_threshold(part, i, first[k_ - 1].lower);
    // Rows that come later and are as near lose the tie, so after k identical rows nothing is nearer.
    if (part.threshold[i] == 0) part.cut[i] = -std::numeric_limits<T>::infinity();
  }

  void set_threshold(Part& part, Index i, double most) const {
    part.threshold[i] = most;
    const double own = (1 - frame_.epsilon) * frame_.norms_x[part.first + i];
    part.cut[i] = rounded_up<T>(most - own + frame_.slack);
  }

  const Frame<T>& frame_;
  const Index k_, capacity_;
  const bool same_;
  std::vector<T> bias_;
  std::int64_t* indices_;
  double* distances_;
};

}  // namespace

void require_neighbours(Index m, Index k, bool same) {
  const Index most = m - (same ? 1 : 0);
  if (k < 1 || k > most)
    throw std::invalid_argument("k must be between 1 and " + std::to_string(most) + ", got " +
                                std::to_string(k));
}

template <class T>
void nearest(Rows<T> x, Rows<T> y, Index k, bool same, std::int64_t* indices, double* distances) {
  require_neighbours(y.n, k, same);
  const Frame<T> frame(x, y);
  Nearest<T> reduce(frame, k, same, indices, distances);
  for_each_tile(frame, reduce);
}

template void nearest(Rows<float>, Rows<float>, Index, bool, std::int64_t*, double*);
template void nearest(Rows<double>, Rows<double>, Index, bool, std::int64_t*, double*);

}  // namespace fastfid::pairs
