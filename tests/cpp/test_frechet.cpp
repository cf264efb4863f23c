#include "frechet.hpp"

#include <limits>

#include "check.hpp"
#include "covariance.hpp"
#include "schur.hpp"

using namespace fastfid;
using test::normal;

namespace {

Gaussian from_sigma(const MatrixXd& sigma) {
  Gaussian g;
  g.sigma = sigma.data();
  g.d = sigma.rows();
  return g;
}

Gaussian from_rows(const MatrixXd& rows) {  // (d, n), a column a row
  Gaussian g;
  g.rows = rows.data();
  g.n = rows.cols();
  g.d = rows.rows();
  return g;
}

MatrixXd covariance(const MatrixXd& rows) {
  MatrixXd x = rows.colwise() - rows.rowwise().mean();
  x = (x * x.transpose()).eval() / static_cast<double>(rows.cols() - 1);
  return (x + x.transpose()) / 2;
}

MatrixXd diagonal(const VectorXd& w) { return w.asDiagonal(); }

// Dims, and the rows of each side.
struct Case {
  Index d, n, m;
};

void diagonals() {
  const VectorXd a = VectorXd::LinSpaced(50, 0.5, 9), b = a.reverse();
  const MatrixXd sa = diagonal(a), sb = diagonal(b);
  const TraceRoot t = trace_root(from_sigma(sa), from_sigma(sb));
  const double exact = (a.array() * b.array()).sqrt().sum();
  CHECK_MOST(std::abs(t.value - exact), 1e-12 * exact);
  CHECK_MOST(std::abs(t.value - exact), 10 * t.error);
  CHECK(t.rank1 == 50 && t.rank2 == 50);
}

void rows_and_matrices_agree() {
  for (const Case& c : {Case{1, 2, 2}, Case{8, 5, 5}, Case{8, 5, 40}, Case{30, 2, 30}, Case{30, 100, 200}}) {
    const MatrixXd x = normal(c.d, c.n, 1), y = normal(c.d, c.m, 2) * 3;
    const MatrixXd sx = covariance(x), sy = covariance(y);
    const double scale = sx.trace() + sy.trace();
    const TraceRoot rows = trace_root(from_rows(x), from_rows(y));
    CHECK(rows.rank1 == std::min(c.d, c.n - 1) && rows.rank2 == std::min(c.d, c.m - 1));
    for (const TraceRoot& t :
         {trace_root(from_sigma(sx), from_sigma(sy)), trace_root(from_rows(x), from_sigma(sy)),
          trace_root(from_sigma(sx), from_rows(y)), trace_root(from_rows(y), from_rows(x))})
      CHECK_MOST(std::abs(t.value - rows.value), 1e-10 * scale);
  }
}

void root_of_itself_is_its_trace() {
  for (const Index n : {2, 10, 20, 21, 100}) {
    const MatrixXd x = normal(20, n, n), s = covariance(x);
    CHECK_MOST(std::abs(trace_root(from_rows(x), from_rows(x)).value - s.trace()), 1e-12 * s.trace());
    CHECK_MOST(std::abs(trace_root(from_sigma(s), from_sigma(s)).value - s.trace()), 1e-12 * s.trace());
  }
}

void dead_dimensions_take_no_part() {
  const MatrixXd x = normal(6, 9, 1), y = normal(6, 9, 2);
  MatrixXd dead_x = x, dead_y = y;
  dead_x.row(1).setConstant(7);
  dead_y.row(4).setConstant(-3);
  MatrixXd few_x(4, 9), few_y(4, 9);
  few_x << x.row(0), x.row(2), x.row(3), x.row(5);
  few_y << y.row(0), y.row(2), y.row(3), y.row(5);
  const double expected = trace_root(from_rows(few_x), from_rows(few_y)).value;
  CHECK_MOST(std::abs(trace_root(from_rows(dead_x), from_rows(dead_y)).value - expected), 1e-13 * expected);
  MatrixXd sx = covariance(dead_x), sy = covariance(dead_y);
  sx.row(1).setZero(), sx.col(1).setZero(), sy.row(4).setZero(), sy.col(4).setZero();
  CHECK_MOST(std::abs(trace_root(from_sigma(sx), from_sigma(sy)).value - expected), 1e-12 * expected);
}

void nothing_alive_has_trace_zero() {
  const MatrixXd flat = MatrixXd::Constant(4, 6, 2.5), x = normal(4, 6, 1);
  const MatrixXd zero = MatrixXd::Zero(4, 4), s = covariance(x);
  for (const Gaussian& nothing : {from_rows(flat), from_sigma(zero)})
    for (const Gaussian& other : {from_rows(flat), from_sigma(zero), from_rows(x), from_sigma(s)}) {
      const TraceRoot t = trace_root(nothing, other), back = trace_root(other, nothing);
      CHECK(t.value == 0 && back.value == 0);
      CHECK(t.rank1 == 0 && back.rank2 == 0);
    }
}

void scales_with_its_input() {
  const MatrixXd x = normal(10, 6, 1), y = normal(10, 30, 2);
  const double expected = trace_root(from_rows(x), from_rows(y)).value;
  for (const double scale : {1e-8, 1e8}) {
    const MatrixXd xs = x * scale, sy = covariance(y * scale);
    CHECK_MOST(std::abs(trace_root(from_rows(xs), from_sigma(sy)).value / (scale * scale) - expected),
               1e-10 * expected);
  }
}

void scales_to_the_ends_of_double() {
  const MatrixXd s = covariance(normal(5, 9, 1)), t = covariance(normal(5, 9, 2));
  const double expected = trace_root(from_sigma(s), from_sigma(t)).value;
  const double schur = trace_root_schur(s.data(), t.data(), 5, 1e-6).value;
  for (const int k : {-900, -304, 304, 900}) {
    const MatrixXd sk = s * std::ldexp(1.0, k), tk = t * std::ldexp(1.0, k / 2);
    const TraceRoot got = trace_root(from_sigma(sk), from_sigma(tk));
    CHECK_MOST(std::abs(std::ldexp(got.value, got.exponent - k / 2 - k / 4) - expected), 1e-12 * expected);
    const SchurTrace root = trace_root_schur(sk.data(), tk.data(), 5, 0);
    CHECK_MOST(std::abs(std::ldexp(root.value, root.exponent - k / 2 - k / 4) - schur), 1e-12 * schur);
  }
  const MatrixXd far = normal(4, 3, 1) * 1e308;
  CHECK_THROWS(OverflowError, trace_root(from_rows(far), from_rows(far)));
}

void the_order_of_the_sides_is_no_matter() {
  for (const Index n : {3, 6, 20}) {
    const MatrixXd x = normal(6, n, 1), y = normal(6, 8, 2), s = covariance(y);
    for (const Gaussian& other : {from_rows(y), from_sigma(s)}) {
      const TraceRoot there = trace_root(from_rows(x), other), back = trace_root(other, from_rows(x));
      CHECK(there.value == back.value && there.error == back.error);
      CHECK(there.rank1 == back.rank2 && there.rank2 == back.rank1);
    }
  }
}

void a_matrix_is_seen_whole() {
  for (const Index d : {1, 5, 64, 65, 130}) {
    MatrixXd a = covariance(normal(d, d + 3, 1));
    Matrix seen = look_at(a.data(), d);
    CHECK(seen.finite && seen.asymmetry == 0 && seen.largest == a.cwiseAbs().maxCoeff());
    if (d == 1) continue;
    for (const auto& [i, j] : {std::pair<Index, Index>{0, d - 1}, {d - 1, 0}, {d - 1, d - 2}}) {
      MatrixXd b = a;
      b(i, j) += 0.5;
      CHECK(std::abs(look_at(b.data(), d).asymmetry - 0.5) < 1e-12);
      b(i, j) = std::numeric_limits<double>::quiet_NaN();
      CHECK(!look_at(b.data(), d).finite);
    }
  }
  const MatrixXd huge = MatrixXd::Constant(3, 3, 1.7e308);
  CHECK(look_at(huge.data(), 3).finite && look_at(huge.data(), 3).largest == 1.7e308);
}

void schur_decides_as_published() {
  const MatrixXd x = covariance(normal(10, 40, 1)), y = covariance(normal(10, 40, 2));
  const TraceRoot exact = trace_root(from_sigma(x), from_sigma(y));
  const SchurTrace t = trace_root_schur(x.data(), y.data(), 10, 1e-6);
  CHECK(t.offset == 0);
  CHECK_MOST(std::abs(t.value - exact.value), 1e-11 * exact.value);
  // No finite root: the product is nilpotent, [[0, 1], [0, 0]]; with eps its eigenvalues are 10 and 9e-7.
  MatrixXd a(2, 2), b(2, 2);
  a << 1, 0, 0, 0;
  b << 0, 1, 1, 1e7;
  const SchurTrace again = trace_root_schur(a.data(), b.data(), 2, 1e-6);
  CHECK(again.offset == 1e-6);
  CHECK_MOST(std::abs(again.value - (std::sqrt(10.0) + std::sqrt(9e-7))), 1e-4);
  // A diagonal of the root that is not real.
  b << -4, 0, 0, -4;
  a.setIdentity();
  CHECK_THROWS(LinAlgError, trace_root_schur(a.data(), b.data(), 2, 1e-6));
}

}  // namespace

int main() {
  diagonals();
  rows_and_matrices_agree();
  root_of_itself_is_its_trace();
  dead_dimensions_take_no_part();
  nothing_alive_has_trace_zero();
  scales_with_its_input();
  scales_to_the_ends_of_double();
  the_order_of_the_sides_is_no_matter();
  a_matrix_is_seen_whole();
  schur_decides_as_published();
  return test::result();
}
