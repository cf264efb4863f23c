#include "sqrtm.hpp"

#include <limits>

#include "check.hpp"

using namespace fastfid;
using test::normal;

namespace {

using Complex = lapack::Complex;

MatrixXcd as_complex(const MatrixRoot& root) {
  if (const auto* real = std::get_if<MatrixXd>(&root)) return real->cast<Complex>();
  return std::get<MatrixXcd>(root);
}

bool is_real(const MatrixRoot& root) { return std::holds_alternative<MatrixXd>(root); }

// |R R - A| over |R|^2, the measure in which the method is backward stable.
double residual(const MatrixXcd& r, const MatrixXcd& a) {
  return (r * r - a).norm() / std::max(r.squaredNorm(), std::numeric_limits<double>::min());
}

// No eigenvalue left of the imaginary axis.
bool is_principal(const MatrixXcd& r) {
  const Eigen::VectorXcd w = r.eigenvalues();
  return w.real().minCoeff() >= -1e-8 * w.cwiseAbs().maxCoeff();
}

// A real matrix with these eigenvalues on the diagonal of its triangle, in a random basis.
MatrixXd with_eigenvalues(const VectorXd& w, std::uint64_t seed) {
  const MatrixXd q = normal(w.size(), w.size(), seed).householderQr().householderQ();
  MatrixXd t = 0.1 * normal(w.size(), w.size(), seed + 1);
  t.triangularView<Eigen::StrictlyLower>().setZero();
  t.diagonal() = w;
  return q * t * q.transpose();
}

void check_root(const MatrixXcd& a, const MatrixRoot& root) {
  const MatrixXcd r = as_complex(root);
  CHECK_MOST(residual(r, a), 1e-14 * static_cast<double>(a.rows()));
  CHECK_MOST((r * a - a * r).norm(), 1e-11 * r.norm() * a.norm());
  CHECK(is_principal(r));
}

// Sizes across the leaf of 64, at which the recursion begins.
const Index kSizes[] = {1, 2, 3, 17, 64, 65, 66, 130};

void real_with_complex_pairs() {
  for (const Index n : kSizes) {
    const MatrixXd a = normal(n, n, n) + 3 * std::sqrt(static_cast<double>(n)) * MatrixXd::Identity(n, n);
    const MatrixRoot root = sqrtm(a);
    CHECK(is_real(root));
    check_root(a.cast<Complex>(), root);
  }
}

void real_with_negative_eigenvalues() {
  for (const Index n : kSizes) {
    VectorXd w = VectorXd::LinSpaced(n, 1, 2);
    w(0) = -1.5;
    const MatrixXd a = with_eigenvalues(w, n);
    const MatrixRoot root = sqrtm(a);
    CHECK(!is_real(root));
    check_root(a.cast<Complex>(), root);
  }
  for (const Index n : kSizes) {  // with complex pairs among them, which go through to_complex
    const MatrixXd a = normal(n, n, n + 1);
    check_root(a.cast<Complex>(), sqrtm(a));
  }
}

void complex_input() {
  for (const Index n : kSizes) {
    const MatrixXcd a = normal(n, n, n) + Complex(0, 1) * normal(n, n, n + 1);
    const MatrixRoot root = sqrtm(a);
    CHECK(!is_real(root));
    check_root(a, root);
  }
}

void semisimple_zeros() {
  for (const Index n :
       {2, 10, 70, 130}) {  // rank 2, positive semidefinite: every zero eigenvalue is semisimple
    const MatrixXd f = normal(n, 2, n);
    const MatrixXd a = f * f.transpose();
    const MatrixXcd r = as_complex(sqrtm(a));
    // Half the digits: an eigenvalue that should be zero is eps, and its root is sqrt(eps).
    CHECK_MOST((r * r - a.cast<Complex>()).norm() / a.norm(), 1e-7);
  }
  const MatrixRoot zero = sqrtm(MatrixXd(MatrixXd::Zero(70, 70)));
  CHECK(is_real(zero) && std::get<MatrixXd>(zero).isZero(0));
}

void without_a_root() {
  MatrixXd nilpotent = MatrixXd::Zero(2, 2);
  nilpotent(0, 1) = 1;
  CHECK_THROWS(LinAlgError, sqrtm(nilpotent));
  CHECK_THROWS(LinAlgError, sqrtm(MatrixXcd(nilpotent.cast<Complex>())));
  MatrixXd large = MatrixXd::Identity(130, 130);
  large.block(0, 0, 2, 2) = nilpotent;
  CHECK_THROWS(LinAlgError, sqrtm(large));
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    MatrixXd a = MatrixXd::Identity(3, 3);
    a(2, 0) = bad;
    CHECK_THROWS(LinAlgError, sqrtm(a));
    CHECK_THROWS(LinAlgError, sqrtm(MatrixXcd(a.cast<Complex>())));
  }
}

void extreme_scales() {
  for (const double scale : {1e-150, 1e150}) {
    const MatrixXd a = scale * (normal(20, 20, 6) + 20 * MatrixXd::Identity(20, 20));
    const MatrixXd r = std::get<MatrixXd>(sqrtm(a)) / std::sqrt(scale);
    CHECK_MOST((r * r - a / scale).norm(), 1e-13 * r.squaredNorm());
  }
}

}  // namespace

int main() {
  real_with_complex_pairs();
  real_with_negative_eigenvalues();
  complex_input();
  semisimple_zeros();
  without_a_root();
  extreme_scales();
  return test::result();
}
