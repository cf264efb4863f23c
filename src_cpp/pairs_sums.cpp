#include <stdexcept>
#include <string>

#include "fastfid/kernels.hpp"
#include "pairs.hpp"

namespace fastfid::pairs {
namespace {

using Array = Eigen::ArrayXd;

template <class T>
Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>> products_of(const Tile<T>& tile, Index row) {
  return {tile[row], tile.cols};
}

// What the tiles of some rows add to the sums.
struct Sums {
  Index first;
  Array rows, columns;  // of the part's rows; of all columns
  double squares = 0;
};

// k = (x·y / d + 1)³. The product of the centred rows is in T; what centring took away is added in double:
// x·y = x'·y' / s² + c·x + c·y - c·c, for the unscaled c. So the error of a pair is that of its centred rows x' and y',
// whatever the lengths of the others.
template <class T>
class Polynomial {
 public:
  Polynomial(const Frame<T>& frame, bool same, double* rows, double* columns)
      : frame_(frame),
        same_(same),
        factor_(1 / frame.square / static_cast<double>(frame.x.d)),
        offset_x_(offsets(frame.x)),
        offset_y_(same ? Array(offset_x_ + shared()) : offsets(frame.y) + shared()),
        rows_(rows, frame.x.n),
        columns_(columns, frame.y.n) {
    columns_.setZero();
  }

  Sums begin(Index first, Index rows) const { return {first, Array::Zero(rows), Array::Zero(frame_.y.n)}; }

  // With `same` only tiles on and above the diagonal come; those beyond the part's own rows count twice.
  void add(Sums& part, const Tile<T>& tile) const {
    const bool own = same_ && tile.j < tile.i + tile.rows;
    Array kernel(tile.cols), columns = Array::Zero(tile.cols);
    double squares = 0;
    for (Index row = 0; row < tile.rows; ++row) {
      kernel = products_of(tile, row).template cast<double>() * factor_ +
               (offset_y_.segment(tile.j, tile.cols) + offset_x_[tile.i + row]);
      kernel = kernel.cube();
      const Index diagonal = tile.i + row - tile.j;
      if (own && diagonal >= 0 && diagonal < tile.cols) kernel[diagonal] = 0;
      part.rows[row] += kernel.sum();
      columns += kernel;
      squares += kernel.square().sum();
    }
    if (!own) part.columns.segment(tile.j, tile.cols) += columns;
    part.squares += same_ && !own ? 2 * squares : squares;
  }

  void end(Sums& part) { rows_.segment(part.first, part.rows.size()) = part.rows; }

  void fold(const Sums& part) {
    columns_ += part.columns;
    squares_ += part.squares;
  }

  double finish() {
    if (same_) columns_ = rows_ += Array(columns_);
    if (!rows_.allFinite() || !columns_.allFinite() || !std::isfinite(squares_))
      throw OverflowError("rows of features are too large: sums of (x·y / d + 1)³ overflow float64");
    return squares_;
  }

 private:
  using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;

  VectorXd centre() const {
    const Eigen::Map<const Vector> scaled(frame_.centre.data(), frame_.x.d);
    return scaled.template cast<double>() / static_cast<double>(frame_.scale);
  }

  // What the pairs of each row have besides the product, and what all pairs have.
  Array offsets(const Rows<T>& rows) const {
    const VectorXd c = centre() / static_cast<double>(rows.d);
    return Array::NullaryExpr(rows.n, [&](Index i) {
      return c.dot(Eigen::Map<const Vector>(rows[i], rows.d).template cast<double>());
    });
  }
  double shared() const { return 1 - centre().squaredNorm() / static_cast<double>(frame_.x.d); }

  const Frame<T>& frame_;
  const bool same_;
  const double factor_;
  const Array offset_x_, offset_y_;
  Eigen::Map<Array> rows_, columns_;
  double squares_ = 0;
};

// exp(-|x - y|² / (2 sigma²)) of the distance by the product, or of the exact distance where the error of the product
// may matter: where the rows may be identical, or where it may move the value by more than kError.
template <class T>
class Gaussian {
 public:
  Gaussian(const Frame<T>& frame, double sigma, double* rows, double* columns)
      : frame_(frame),
        factor_(std::min(1 / (2 * sigma * sigma * frame.square), std::numeric_limits<double>::max())),
        norms_y_(frame.norms_y.data(), frame.y.n),
        rows_(rows, frame.x.n),
        columns_(columns, frame.y.n) {
    columns_.setZero();
  }

  Sums begin(Index first, Index rows) const { return {first, Array::Zero(rows), Array::Zero(frame_.y.n)}; }

  void add(Sums& part, const Tile<T>& tile) const {
    const auto norms_y = norms_y_.segment(tile.j, tile.cols);
    const double longest = norms_y.maxCoeff();
    Array distance(tile.cols), columns = Array::Zero(tile.cols);
    for (Index row = 0; row < tile.rows; ++row) {
      const Index i = tile.i + row;
      distance = frame_.norms_x[i] + norms_y - 2 * products_of(tile, row).template cast<double>();
      const double near = decided_below(frame_.epsilon * (frame_.norms_x[i] + longest) + frame_.slack);
      if (distance.minCoeff() <= near)
        for (Index col = 0; col < tile.cols; ++col)
          if (distance[col] <= near) distance[col] = frame_.distance(i, tile.j + col) * frame_.square;
      distance = (distance * -factor_).exp();
      part.rows[row] += distance.sum();
      columns += distance;
    }
    part.columns.segment(tile.j, tile.cols) += columns;
  }

  void end(Sums& part) { rows_.segment(part.first, part.rows.size()) = part.rows; }
  void fold(const Sums& part) { columns_ += part.columns; }

 private:
  static constexpr double kError = 1e-5;

  // The distance from which on an error of this size is harmless.
  double decided_below(double error) const {
    const double relative = error * factor_;
    return std::max(2 * error, relative > kError ? error + std::log(relative / kError) / factor_ : 0);
  }

  const Frame<T>& frame_;
  const double factor_;
  Eigen::Map<const Array> norms_y_;
  Eigen::Map<Array> rows_, columns_;
};

template <class T>
double sum_polynomials(const Rows<T>& x, const Rows<T>& y, bool same, double* rows, double* columns) {
  const Frame<T> frame(x, y);
  Polynomial<T> reduce(frame, same, rows, columns);
  for_each_tile(frame, reduce, same);
  return reduce.finish();
}

template <class T>
void sum_gaussians(const Rows<T>& x, const Rows<T>& y, double sigma, double* rows, double* columns) {
  if (!(sigma > 0) || !std::isfinite(sigma))
    throw std::invalid_argument("sigma must be positive and finite, got " + std::to_string(sigma));
  const Frame<T> frame(x, y);
  Gaussian<T> reduce(frame, sigma, rows, columns);
  for_each_tile(frame, reduce);
}

}  // namespace
}  // namespace fastfid::pairs

namespace fastfid {

double polynomial_sums(const Rows<float>& x, const Rows<float>& y, bool same, double* rows, double* columns) {
  return pairs::sum_polynomials(x, y, same, rows, columns);
}

double polynomial_sums(const Rows<double>& x, const Rows<double>& y, bool same, double* rows,
                       double* columns) {
  return pairs::sum_polynomials(x, y, same, rows, columns);
}

void gaussian_sums(const Rows<float>& x, const Rows<float>& y, double sigma, double* rows, double* columns) {
  pairs::sum_gaussians(x, y, sigma, rows, columns);
}

void gaussian_sums(const Rows<double>& x, const Rows<double>& y, double sigma, double* rows,
                   double* columns) {
  pairs::sum_gaussians(x, y, sigma, rows, columns);
}

}  // namespace fastfid
