#include <optional>
#include <stdexcept>
#include <string>

#include "pairs.hpp"

namespace fastfid::pairs {
namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

// Decides for each pair whether either row is in the other's ball, and whether it may be the nearest.
template <class T>
class Balls {
 public:
  struct Part {
    Index first;
    std::vector<std::int64_t> in_x;  // (m)
    std::vector<double> nearest;     // (m)
  };

  Balls(const Frame<T>& frame, const double* radii_x, const double* radii_y, bool strict, std::int64_t* in_y,
        std::int64_t* in_x, double* nearest_y)
      : frame_(frame),
        radii_x_(radii_x),
        radii_y_(radii_y),
        strict_(strict),
        in_y_(in_y),
        in_x_(in_x),
        nearest_(nearest_y) {
    std::fill_n(in_y_, frame.x.n, 0);
    std::fill_n(in_x_, frame.y.n, 0);
    std::fill_n(nearest_, frame.y.n, std::numeric_limits<double>::infinity());
  }

  // Starts from the nearest so far, only to save work: the minimum is the same without it.
  Part begin(Index first, Index) const {
    const Index m = frame_.y.n;
    return {first, std::vector<std::int64_t>(m, 0), std::vector<double>(nearest_, nearest_ + m)};
  }

  void add(Part& part, const Tile<T>& tile) const {
    const std::vector<double> bound = nearest_bounds(part, tile);
    std::vector<T> around_x(tile.cols), around_y(tile.cols);
    for (Index col = 0; col < tile.cols; ++col) {
      const Index j = tile.j + col;
      const double own = (1 - frame_.epsilon) * frame_.norms_y[j];
      around_x[col] = rounded_down<T>(own);
      around_y[col] = rounded_down<T>(own - std::max(reach(radii_y_[j]), bound[col]));
    }
    for (Index row = 0; row < tile.rows; ++row) {
      const Index i = tile.i + row;
      const double own = frame_.slack - (1 - frame_.epsilon) * frame_.norms_x[i];
      const T cut_y = rounded_up<T>(own), cut_x = rounded_up<T>(own + reach(radii_x_[i]));
      const T *products = tile[row], *to_x = around_x.data(), *to_y = around_y.data();
      for_each_hit(
          tile.cols,
          [&](Index col) {
            const T twice = 2 * products[col];
            return (to_x[col] - twice <= cut_x) | (to_y[col] - twice <= cut_y);
          },
          [&](Index col) { add_pair(part, i, tile.j + col, products[col], bound[col]); });
    }
  }

  void end(Part&) const {}

  void fold(Part& part) {
    for (Index j = 0; j < frame_.y.n; ++j) {
      in_x_[j] += part.in_x[j];
      nearest_[j] = std::min(nearest_[j], part.nearest[j]);
    }
  }

 private:
  // The squared radius in the frame; kNone for a ball that contains nothing.
  double reach(double radius) const {
    return radius < 0 || (strict_ && radius == 0) ? kNone : radius * frame_.square;
  }

  // For each column, no distance above this is the smallest; none at all can be below 0.
  std::vector<double> nearest_bounds(const Part& part, const Tile<T>& tile) const {
    const Index cols = tile.cols;
    Eigen::Array<T, Eigen::Dynamic, 1> least =
        Eigen::Array<T, Eigen::Dynamic, 1>::Constant(cols, std::numeric_limits<T>::infinity());
    for (Index row = 0; row < tile.rows; ++row) {
      const T own = rounded_up<T>((1 + frame_.epsilon) * frame_.norms_x[tile.i + row]);
      const Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>> products(tile[row], cols);
      least = least.min(own - 2 * products);  // off by 2u (a + b) at most, for which epsilon has room
    }
    std::vector<double> bound(cols);
    for (Index col = 0; col < cols; ++col) {
      const Index j = tile.j + col;
      const double known = part.nearest[j] * frame_.square;
      const double others = (1 + frame_.epsilon) * frame_.norms_y[j] + frame_.slack;
      const double upper = static_cast<double>(least[col]) + others;
      bound[col] = known == 0 ? kNone : std::min(known, upper);
    }
    return bound;
  }

  void add_pair(Part& part, Index i, Index j, T product, double bound) const {
    const double norms = frame_.norms_x[i] + frame_.norms_y[j],
                 middle = norms - 2 * static_cast<double>(product);
    const double error = frame_.epsilon * norms + frame_.slack;
    const double lower = middle - error, upper = middle + error;
    std::optional<double> known;
    const auto distance = [&] {
      if (!known) known = frame_.distance(i, j);
      return *known;
    };
    const auto inside = [&](double radius) {
      const double most = reach(radius);
      if (lower > most) return false;
      if (upper < most) return true;
      return strict_ ? distance() < radius : distance() <= radius;
    };
    in_y_[i] += inside(radii_y_[j]);
    part.in_x[j] += inside(radii_x_[i]);
    if (lower <= bound && lower <= part.nearest[j] * frame_.square)
      part.nearest[j] = std::min(part.nearest[j], distance());
  }

  const Frame<T>& frame_;
  const double *radii_x_, *radii_y_;
  const bool strict_;
  std::int64_t *in_y_, *in_x_;
  double* nearest_;
};

void require_numbers(const double* radii, Index n) {
  if (std::any_of(radii, radii + n, [](double r) { return std::isnan(r); }))
    throw std::invalid_argument("a squared radius is not a number");
}

template <class T>
void count_balls(const Rows<T>& x, const Rows<T>& y, const double* radii_x, const double* radii_y,
                 bool strict, std::int64_t* in_y, std::int64_t* in_x, double* nearest_y) {
  require_numbers(radii_x, x.n);
  require_numbers(radii_y, y.n);
  const Frame<T> frame(x, y);
  Balls<T> reduce(frame, radii_x, radii_y, strict, in_y, in_x, nearest_y);
  for_each_tile(frame, reduce);
}

}  // namespace
}  // namespace fastfid::pairs

namespace fastfid {

void balls(const Rows<float>& x, const Rows<float>& y, const double* radii_x, const double* radii_y,
           bool strict, std::int64_t* in_y, std::int64_t* in_x, double* nearest_y) {
  pairs::count_balls(x, y, radii_x, radii_y, strict, in_y, in_x, nearest_y);
}

void balls(const Rows<double>& x, const Rows<double>& y, const double* radii_x, const double* radii_y,
           bool strict, std::int64_t* in_y, std::int64_t* in_x, double* nearest_y) {
  pairs::count_balls(x, y, radii_x, radii_y, strict, in_y, in_x, nearest_y);
}

}  // namespace fastfid
