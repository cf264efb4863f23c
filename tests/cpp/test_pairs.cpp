#include <limits>
#include <stdexcept>
#include <thread>

#include "check.hpp"
#include "fastfid/kernels.hpp"
#include "fastfid/neighbours.hpp"
#include "pairs.hpp"

using namespace fastfid;
using namespace fastfid::pairs;
using test::normal;

namespace {

template <class T>
using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;  // (d, n), a column a row

template <class T>
Rows<T> rows_of(const Columns<T>& m) {
  return {m.data(), m.cols(), m.rows()};
}

// Rows with some of them twice.
template <class T>
Columns<T> drawn(Index d, Index n, std::uint64_t seed) {
  Columns<T> rows = normal(d, n, seed).template cast<T>();
  for (Index i = 0; i + 3 < n; i += 7) rows.col(i + 3) = rows.col(i);
  return rows;
}

// Squared distances one by one, (n, m).
template <class T>
MatrixXd distances(const Columns<T>& x, const Columns<T>& y) {
  return MatrixXd::NullaryExpr(x.cols(), y.cols(), [&](Index i, Index j) {
    return squared_distance(x.col(i).data(), y.col(j).data(), x.rows());
  });
}

template <class T>
void finds_the_nearest() {
  for (const Index n : {2, 40, 700})
    for (const Index d : {1, 5, 33}) {
      const Columns<T> x = drawn<T>(d, n, 1), y = drawn<T>(d, 300, 2);
      for (const bool same : {false, true}) {
        const Columns<T>& others = same ? x : y;
        const Index k = std::min<Index>(3, others.cols() - 1);
        std::vector<std::int64_t> indices(n * k);
        std::vector<double> found(n * k);
        nearest(rows_of(x), rows_of(others), k, same, indices.data(), found.data());
        const MatrixXd all = distances(x, others);
        for (Index i = 0; i < n; ++i) {
          std::vector<std::pair<double, Index>> order;
          for (Index j = 0; j < others.cols(); ++j)
            if (!same || i != j) order.emplace_back(all(i, j), j);
          std::sort(order.begin(), order.end());
          for (Index c = 0; c < k; ++c)
            CHECK(indices[i * k + c] == order[c].second && found[i * k + c] == order[c].first);
        }
      }
    }
}

template <class T>
void counts_balls() {
  const Index n = 700, m = 300;
  const Columns<T> x = drawn<T>(5, n, 1), y = drawn<T>(5, m, 2);
  const MatrixXd all = distances(x, y);
  const VectorXd radii_x = all.col(7), radii_y = all.row(9);  // so that some rows lie on the surface
  for (const bool strict : {false, true}) {
    std::vector<std::int64_t> in_y(n), in_x(m);
    std::vector<double> nearest_y(m);
    balls(rows_of(x), rows_of(y), radii_x.data(), radii_y.data(), strict, in_y.data(), in_x.data(),
          nearest_y.data());
    const auto inside = [&](double distance, double radius) {
      return strict ? distance < radius : distance <= radius;
    };
    for (Index i = 0; i < n; ++i) {
      Index count = 0;
      for (Index j = 0; j < m; ++j) count += inside(all(i, j), radii_y[j]);
      CHECK(in_y[i] == count);
    }
    for (Index j = 0; j < m; ++j) {
      Index count = 0;
      for (Index i = 0; i < n; ++i) count += inside(all(i, j), radii_x[i]);
      CHECK(in_x[j] == count && nearest_y[j] == all.col(j).minCoeff());
    }
  }
}

template <class T>
void sums_kernels(double tolerance) {
  const Index n = 700, m = 300, d = 5;
  const Columns<T> x = drawn<T>(d, n, 1), y = drawn<T>(d, m, 2);
  const auto wide = [](const Columns<T>& rows) -> MatrixXd { return rows.template cast<double>(); };
  for (const bool same : {false, true}) {
    const Columns<T>& others = same ? x : y;
    MatrixXd kernel = ((wide(x).transpose() * wide(others)).array() / static_cast<double>(d) + 1).cube();
    if (same) kernel.diagonal().setZero();
    VectorXd rows(n), columns(others.cols());
    const double squares = polynomial_sums(rows_of(x), rows_of(others), same, rows.data(), columns.data());
    CHECK_MOST((rows - kernel.rowwise().sum()).norm() / rows.norm(), tolerance);
    CHECK_MOST((columns - kernel.colwise().sum().transpose()).norm() / columns.norm(), tolerance);
    CHECK_MOST(std::abs(squares / kernel.squaredNorm() - 1), tolerance);
  }
  const MatrixXd kernel = (distances(x, y).array() / -2).exp();
  VectorXd rows(n), columns(m);
  gaussian_sums(rows_of(x), rows_of(y), 1, rows.data(), columns.data());
  CHECK_MOST((rows - kernel.rowwise().sum()).norm() / rows.norm(), tolerance);
  CHECK_MOST((columns - kernel.colwise().sum().transpose()).norm() / columns.norm(), tolerance);
}

// The error of a pair is that of its own rows, whatever the others.
void sums_beside_a_long_row() {
  const Index n = 300, d = 64;
  Columns<float> x = normal(d, n, 1).cast<float>();
  x.col(0) *= 1e8F;
  const MatrixXd wide = x.cast<double>();
  MatrixXd kernel = ((wide.transpose() * wide).array() / static_cast<double>(d) + 1).cube();
  kernel.diagonal().setZero();
  VectorXd rows(n), columns(n);
  polynomial_sums(rows_of(x), rows_of(x), true, rows.data(), columns.data());
  // Of size |x| |y| a product is known to 72 · 2^-24 at most, its cube to 3 times that, and the size is up to 8 times
  // the product in most pairs.
  for (Index i = 0; i < n; ++i)
    CHECK_MOST(std::abs(rows[i] - kernel.row(i).sum()) / kernel.row(i).cwiseAbs().sum(), 2e-4);
}

void refuses() {
  const Columns<float> x = drawn<float>(3, 9, 1);
  std::vector<std::int64_t> indices(100);
  std::vector<double> found(100);
  for (const Index k : {0, 9})
    CHECK_THROWS(std::invalid_argument,
                 (nearest(rows_of(x), rows_of(x), k, true, indices.data(), found.data()), 0));
  Columns<float> bad = x;
  bad(1, 5) = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS(OverflowError, (nearest(rows_of(x), rows_of(bad), 1, false, indices.data(), found.data()), 0));
}

// --- the threads ---

void any_number_of_threads_gives_the_same_bits() {
  const Columns<float> x = drawn<float>(9, 4000, 1), y = drawn<float>(9, 500, 2);
  const auto results = [&] {
    VectorXd all(4500);
    polynomial_sums(rows_of(x), rows_of(y), false, all.data(), all.data() + 4000);
    return all;
  };
  threads::set(1);
  const VectorXd expected = results();
  for (const int n : {2, 3, 16, 64}) {
    threads::set(n);
    CHECK((results().array() == expected.array()).all());
    CHECK(threads::get() == n);
  }
}

void blas_gets_its_threads_back() {
  threads::set(3);
  const auto in_blas = [] { return lapack::get_num_threads(); };
  CHECK(in_blas() == 3);
  {
    const threads::OneInBlas outer;
    CHECK(in_blas() == 1 && threads::get() == 3);
    {
      const threads::OneInBlas inner;
      threads::set(2);
      CHECK(in_blas() == 1);
    }
    CHECK(in_blas() == 1 && threads::get() == 2);
  }
  CHECK(in_blas() == 2);
}

// A reducer that fails at one block.
struct Failing {
  struct Part {
    Index first;
  };
  Part begin(Index first, Index) const { return {first}; }
  void add(Part& part, const Tile<float>&) const {
    if (part.first >= 2 * kBlockRows) throw std::domain_error("as planned");
  }
  void end(Part&) const {}
  void fold(Part&) const {}
};

void what_a_worker_throws_reaches_the_caller() {
  const Columns<float> x = drawn<float>(2, 5000, 1);
  const Frame<float> frame(rows_of(x), rows_of(x));
  for (const int n : {1, 2, 5}) {
    threads::set(n);
    Failing reduce;
    CHECK_THROWS(std::domain_error, (for_each_tile(frame, reduce), 0));
    CHECK(lapack::get_num_threads() == n);
  }
}

void several_traversals_at_once() {
  const Columns<float> x = drawn<float>(40, 1200, 1), y = drawn<float>(40, 700, 2);
  const auto results = [&] {
    VectorXd all(1900);
    polynomial_sums(rows_of(x), rows_of(y), false, all.data(), all.data() + 1200);
    return all;
  };
  threads::set(4);
  const VectorXd expected = results();
  std::atomic<int> equal{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int i = 0; i < 5; ++i) equal += (results().array() == expected.array()).all();
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(equal == 20);
  CHECK(lapack::get_num_threads() == 4);
}

}  // namespace

int main() {
  threads::set(2);
  finds_the_nearest<float>();
  finds_the_nearest<double>();
  counts_balls<float>();
  counts_balls<double>();
  sums_kernels<float>(1e-6);
  sums_kernels<double>(1e-13);
  sums_beside_a_long_row();
  refuses();
  any_number_of_threads_gives_the_same_bits();
  blas_gets_its_threads_back();
  what_a_worker_throws_reaches_the_caller();
  several_traversals_at_once();
  return test::result();
}
