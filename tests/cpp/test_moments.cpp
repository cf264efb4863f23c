#include "fastfid/moments.hpp"

#include <algorithm>
#include <cmath>

#include "check.hpp"

using namespace fastfid;
using test::normal;

namespace {

struct Result {
  VectorXd mu;
  MatrixXd sigma;
};

Result read(const Moments& m) {
  Result r{VectorXd(m.dims()), MatrixXd(m.dims(), m.dims())};
  m.mean(r.mu.data());
  m.covariance(r.sigma.data());
  return r;
}

bool same_bits(const Result& a, const Result& b) { return a.mu == b.mu && a.sigma == b.sigma; }

// Two passes in long double over rows (d, n), a column a row.
Result two_pass(const MatrixXd& rows) {
  using Wide = Eigen::Matrix<long double, Eigen::Dynamic, Eigen::Dynamic>;
  Wide x = rows.cast<long double>();
  const Wide mu = x.rowwise().sum() / static_cast<long double>(x.cols());
  x.colwise() -= mu.col(0);
  const Wide sigma = x * x.transpose() / static_cast<long double>(x.cols() - 1);
  return {mu.col(0).cast<double>(), sigma.cast<double>()};
}

double distance(const Result& a, const Result& b) {
  return std::max((a.sigma - b.sigma).cwiseAbs().maxCoeff() / b.sigma.cwiseAbs().maxCoeff(),
                  (a.mu - b.mu).cwiseAbs().maxCoeff() / (1 + b.mu.cwiseAbs().maxCoeff()));
}

Moments of(const MatrixXd& rows) {
  Moments m(rows.rows());
  m.update(rows.data(), rows.cols());
  return m;
}

// Every size at which something changes inside: a block of 512 rows, and n beyond d.
const Index kDims[] = {1, 3, 511, 513};
const Index kRows[] = {2, 3, 4, 511, 512, 513, 1024, 1025, 1300};

void matches_two_passes() {
  for (const Index d : {1, 3, 40})
    for (const Index n : kRows)
      CHECK_MOST(distance(read(of(normal(d, n, n))), two_pass(normal(d, n, n))), 1e-13);
}

void is_not_hurt_by_a_large_mean() {
  for (const Index n : {5, 600, 2000}) {
    const MatrixXd rows = (normal(7, n, 1).array() + 1e6).matrix();
    CHECK_MOST(distance(read(of(rows)), two_pass(rows)), 1e-10);
  }
}

void does_not_depend_on_batches() {
  for (const Index d : kDims)
    for (const Index n : {Index(300), d, d + 1, Index(1300)}) {
      if (n < 2) continue;
      const MatrixXd rows = normal(d, n, d);
      const Result whole = read(of(rows));
      for (const Index batch : {Index(1), Index(7), Index(512), Index(600)}) {
        if (batch == 1 && d > 3) continue;  // slow, and 7 is no different
        Moments m(d);
        for (Index i = 0; i < n; i += batch) {
          m.update(rows.data() + i * d, std::min(batch, n - i));
          if (i == 2 * batch) read(m);  // looking changes nothing
        }
        CHECK(same_bits(read(m), whole));
        CHECK(m.count() == n);
      }
    }
}

void takes_float_as_double() {
  const Index d = 5, n = 700;
  const Eigen::MatrixXf narrow = normal(d, n, 2).cast<float>();
  const MatrixXd wide = narrow.cast<double>();
  Moments a(d), b(d), mixed(d);
  a.update(narrow.data(), n);
  b.update(wide.data(), n);
  mixed.update(narrow.data(), 300);
  mixed.update(wide.data() + 300 * d, 100);
  mixed.update(narrow.data() + 400 * d, n - 400);
  CHECK(same_bits(read(a), read(b)));
  CHECK(same_bits(read(mixed), read(b)));
}

void keeps_rows_while_they_are_smaller() {
  const Index d = 5;
  const MatrixXd rows = normal(d, 6, 3);
  Moments m(d);
  for (Index n = 1; n <= 5; ++n) {
    m.update(rows.data() + (n - 1) * d, 1);
    CHECK(m.has_rows() && !m.rows_are_float());
    CHECK(std::equal(rows.data(), rows.data() + n * d, m.rows_double()));
  }
  m.update(rows.data() + 5 * d, 1);
  CHECK(!m.has_rows());
}

void merges() {
  const Index d = 9;
  for (const Index n : {2, 511, 512, 1500})
    for (const Index m : {1, 2, 512, 1300}) {
      const MatrixXd rows = normal(d, n + m, n + m);
      Moments a = of(rows.leftCols(n));
      const Moments b = of(rows.rightCols(m));
      a.merge(b);
      CHECK(a.count() == n + m);
      CHECK_MOST(distance(read(a), two_pass(rows)), 1e-13);
      Moments again = of(rows.leftCols(n));
      again.merge(b);
      CHECK(same_bits(read(a), read(again)));
    }
  for (const Index n : {4, 700}) {  // with itself, and into nothing
    const MatrixXd rows = normal(d, n, 4);
    MatrixXd twice(d, 2 * n);
    twice << rows, rows;
    Moments a = of(rows), empty(d);
    empty.merge(a);
    CHECK(same_bits(read(empty), read(a)));
    a.merge(a);
    CHECK_MOST(distance(read(a), two_pass(twice)), 1e-13);
    a.merge(Moments(d));
    CHECK(a.count() == 2 * n);
  }
}

void goes_on_from_known_moments() {
  const Index d = 4;
  const MatrixXd rows = normal(d, 800, 5);
  const Result half = read(of(rows.leftCols(300)));
  Moments m = Moments::from_moments(300, half.mu.data(), half.sigma.data(), d);
  CHECK(m.count() == 300 && !m.has_rows());
  CHECK_MOST(distance(read(m), half), 1e-15);
  m.update(rows.data() + 300 * d, 500);
  CHECK_MOST(distance(read(m), two_pass(rows)), 1e-13);
}

// What a state holds, out of one Moments and into another.
Moments copied(const Moments& m) {
  const Index d = m.folded() ? m.dims() : 0;
  VectorXd shift(d), offset(d), m2(d * (d + 1) / 2);
  m.state(shift.data(), offset.data(), m2.data());
  if (m.rows_are_float())
    return Moments::from_state(m.dims(), m.folded(), shift.data(), offset.data(), m2.data(), m.rows_float(),
                               m.pending());
  return Moments::from_state(m.dims(), m.folded(), shift.data(), offset.data(), m2.data(), m.rows_double(),
                             m.pending());
}

void goes_on_from_a_state_to_the_last_bit() {
  for (const Index d : {1, 9, 600})
    for (const Index n : {2, 511, 512, 700, 1500}) {
      const MatrixXd rows = normal(d, n + 900, n), more = rows.rightCols(900);
      const Eigen::MatrixXf narrow = rows.leftCols(n).cast<float>();
      Moments of_floats(d), merged = of(rows.leftCols(n));
      of_floats.update(narrow.data(), n);
      merged.merge(of(more));
      merged.update(more.data(), 300);
      for (Moments m : {of(rows.leftCols(n)), of_floats, merged}) {
        Moments copy = copied(m);
        CHECK(same_bits(read(copy), read(m)));
        CHECK(copy.rows_are_float() == m.rows_are_float() && copy.has_rows() == m.has_rows());
        copy.update(more.data(), 300);
        m.update(more.data(), 300);
        copy.merge(of(more));
        m.merge(of(more));
        CHECK(same_bits(read(copy), read(m)));
      }
    }
}

void merged_from_nothing_is_as_merged_into_the_first() {
  for (const Index d : {3, 600})
    for (const Index n : {400, 512, 700, 1500}) {
      const MatrixXd rows = normal(d, 3 * n, n);
      Moments first = of(rows.leftCols(n)), nothing(d);
      nothing.merge(first);
      first.update(rows.data() + 5 * d,
                   300);  // rows that follow tell two states apart that have the same covariance
      nothing.update(rows.data() + 5 * d, 300);
      CHECK(same_bits(read(nothing), read(first)));
      for (const Moments& next : {of(rows.middleCols(n, n)), of(rows.rightCols(n))}) {
        first.merge(next);
        nothing.merge(next);
      }
      CHECK(same_bits(read(nothing), read(first)));
    }
}

void refuses_states_that_cannot_be() {
  const double zeros[1024] = {}, bad[] = {1, std::nan(""), 1}, negative[] = {1, 0, -1};
  const float wide[] = {0, INFINITY};
  const auto state = [&](Index folded, const double* shift, const double* m2, Index pending) {
    return Moments::from_state(2, folded, shift, zeros, m2, zeros, pending);
  };
  CHECK(state(600, zeros, zeros, 511).count() == 1111);
  CHECK_THROWS(std::invalid_argument, state(-1, zeros, zeros, 0));
  CHECK_THROWS(std::invalid_argument, state(Index(1) << 53, zeros, zeros, 0));
  CHECK_THROWS(std::invalid_argument, state(600, zeros, zeros, 512));
  CHECK_THROWS(std::invalid_argument, state(600, bad, zeros, 0));
  CHECK_THROWS(std::invalid_argument, state(600, zeros, bad, 0));
  CHECK_THROWS(std::invalid_argument, state(600, zeros, negative, 0));
  CHECK_THROWS(std::invalid_argument, Moments::from_state(2, 0, zeros, zeros, zeros, wide, 1));
}

void refuses() {
  CHECK_THROWS(std::invalid_argument, Moments(0));
  Moments m(2);
  CHECK_THROWS(std::invalid_argument, m.merge(Moments(3)));
  MatrixXd sigma(2, 2);
  CHECK_THROWS(std::invalid_argument, m.covariance(sigma.data()));
}

}  // namespace

int main() {
  matches_two_passes();
  is_not_hurt_by_a_large_mean();
  does_not_depend_on_batches();
  takes_float_as_double();
  keeps_rows_while_they_are_smaller();
  merges();
  goes_on_from_known_moments();
  goes_on_from_a_state_to_the_last_bit();
  merged_from_nothing_is_as_merged_into_the_first();
  refuses_states_that_cannot_be();
  refuses();
  return test::result();
}
