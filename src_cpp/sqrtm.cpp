#include "sqrtm.hpp"

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "sizes.hpp"

namespace fastfid {
namespace {

// If rounding puts two equal eigenvalues next to the negative real axis, they can be on different sides of it, and
// their roots would cancel. So an eigenvalue this close to the axis gets the root above the axis. A little above
// sqrt(eps).
constexpr double kBranch = 1e-7;

constexpr Index kLeaf = 64;  // Sylvester blocks up to this size go to LAPACK's unblocked solver

// How to treat an equation without a usable solution.
struct Rules {
  double rounding;        // the largest value of a right side that counts as zero
  bool as_scipy = false;  // see sqrtm_as_scipy
};

template <class Matrix>
using Block = Eigen::Map<Matrix, 0, Eigen::OuterStride<>>;

template <class Matrix>
Block<Matrix> part(const Block<Matrix>& m, Index row, Index col, Index rows, Index cols) {
  auto* data = const_cast<typename Matrix::Scalar*>(m.data()) + row + col * m.outerStride();
  return Block<Matrix>(data, rows, cols, Eigen::OuterStride<>(m.outerStride()));
}

// The row at which to cut a (quasi-)triangle in two: the middle, but never through a 2x2 block.
template <class Matrix>
Index cut(const Block<Matrix>& t) {
  const Index k = t.rows() / 2;
  return t(k, k - 1) != typename Matrix::Scalar(0) ? k + 1 : k;
}

// True if there is more than one diagonal block.
template <class Matrix>
bool can_cut(const Block<Matrix>& t) {
  return t.rows() > 1 && cut(t) < t.rows();
}

// Solves A X + X B = C by LAPACK. Returns false and leaves C unchanged if LAPACK solved a nearby equation instead and
// the rules do not accept that.
template <class Matrix>
bool solve_leaf(const Block<Matrix>& a, const Block<Matrix>& b, Block<Matrix> c, const Rules& rules) {
  const Matrix rhs = c;
  bool perturbed;
  const double scale = lapack::trsyl(a, b, c, perturbed);
  if (rules.as_scipy) {
    if (scale != 1.0) c *= scale;  // SciPy multiplies here
    return true;
  }
  if (scale != 1.0) c /= scale;
  if (perturbed) c = rhs;
  return !perturbed;
}

// The same for single diagonal blocks, at most 2x2, whose eigenvalues add up to zero or nearly so. The root exists if
// their coupling C is zero, too, to within `rounding`.
template <class Matrix>
void solve_entry(const Block<Matrix>& a, const Block<Matrix>& b, Block<Matrix> c, double rounding) {
  if (c.cwiseAbs().maxCoeff() <= rounding) {
    c.setZero();
    return;
  }
  const Index m = c.rows(), n = c.cols();
  Matrix system = Matrix::Zero(m * n, m * n);
  for (Index j = 0; j < n; ++j)
    for (Index i = 0; i < m; ++i) {
      for (Index k = 0; k < m; ++k) system(i + j * m, k + j * m) += a(i, k);
      for (Index k = 0; k < n; ++k) system(i + j * m, i + k * m) += b(k, j);
    }
  const Matrix rhs = c;
  const Matrix x = system.partialPivLu().solve(Eigen::Map<const Matrix>(rhs.data(), m * n, 1));
  if (!x.allFinite())
    throw LinAlgError("the matrix is singular and has no square root: a zero eigenvalue is defective");
  c = Eigen::Map<const Matrix>(x.data(), m, n);
}

// Solves A X + X B = C and stores X in C; A and B are upper (quasi-)triangular. If LAPACK finds no solution, the blocks
// are split down to single entries.
template <class Matrix>
void sylvester(const Block<Matrix>& a, const Block<Matrix>& b, Block<Matrix> c, const Rules& rules) {
  const Index m = c.rows(), n = c.cols();
  if (m <= kLeaf && n <= kLeaf && solve_leaf(a, b, c, rules)) return;
  if (can_cut(a) && (m >= n || !can_cut(b))) {
    const Index k = cut(a);
    auto top = part(c, 0, 0, k, n), bottom = part(c, k, 0, m - k, n);
    sylvester(part(a, k, k, m - k, m - k), b, bottom, rules);
    lapack::gemm(CblasNoTrans, CblasNoTrans, -1.0, part(a, 0, k, k, m - k), bottom, 1.0, top);
    sylvester(part(a, 0, 0, k, k), b, top, rules);
  } else if (can_cut(b)) {
    const Index k = cut(b);
    auto left = part(c, 0, 0, m, k), right = part(c, 0, k, m, n - k);
    sylvester(a, part(b, 0, 0, k, k), left, rules);
    lapack::gemm(CblasNoTrans, CblasNoTrans, -1.0, left, part(b, 0, k, k, n - k), 1.0, right);
    sylvester(a, part(b, k, k, n - k, n - k), right, rules);
  } else {
    solve_entry(a, b, c, rules.rounding);
  }
}

// Root of a standardised real 2x2 block [[a, b], [c, a]], bc < 0, eigenvalues a +- i sqrt(-bc).
void root_of_pair(Block<MatrixXd> t) {
  const double a = t(0, 0), w = std::sqrt(std::abs(t(0, 1))) * std::sqrt(std::abs(t(1, 0)));
  const double r = std::hypot(a, w);
  // The larger of real and imaginary part is computed first, and the other from it by division, to avoid cancellation.
  const double real = a >= 0 ? std::sqrt((r + a) / 2) : w / (2 * std::sqrt((r - a) / 2));
  t(0, 1) /= 2 * real;
  t(1, 0) /= 2 * real;
  t(0, 0) = t(1, 1) = real;
}

bool beside_the_branch_cut(double real, double imaginary) {
  return real < 0 && std::abs(imaginary) <= kBranch * std::abs(real);
}

double principal_root(double x, const Rules&) { return std::sqrt(x); }

lapack::Complex principal_root(lapack::Complex x, const Rules& rules) {
  const lapack::Complex root = std::sqrt(x);
  if (rules.as_scipy) return root;
  return beside_the_branch_cut(x.real(), x.imag()) && root.imag() < 0 ? -root : root;
}

// True if SciPy 1.17.1 has an infinite entry here: two zero eigenvalues in a block of two rows, with any coupling.
template <class Matrix>
bool infinite_in_scipy(const Block<Matrix>& t) {
  using Scalar = typename Matrix::Scalar;
  return t.rows() == 2 && t(0, 0) == Scalar(0) && t(1, 1) == Scalar(0) && t(0, 1) != Scalar(0);
}

// Square root of an upper (quasi-)triangle, in place.
template <class Matrix>
void triangle_root(Block<Matrix> t, const Rules& rules) {
  const Index n = t.rows();
  if (n == 0) return;
  if (n == 1) {
    t(0, 0) = principal_root(t(0, 0), rules);
    return;
  }
  if constexpr (std::is_same_v<Matrix, MatrixXd>) {
    if (n == 2 && t(1, 0) != 0.0) return root_of_pair(t);
  }
  const Index k = cut(t);
  auto first = part(t, 0, 0, k, k), second = part(t, k, k, n - k, n - k);
  triangle_root(first, rules);
  triangle_root(second, rules);
  if (rules.as_scipy && infinite_in_scipy(t))
    throw LinAlgError("the matrix is singular: its root is not finite in SciPy");
  if (rules.as_scipy && n == 2) {
    const auto sum = t(0, 0) + t(1, 1);
    if (sum != typename Matrix::Scalar(0)) t(0, 1) /= sum;
    return;
  }
  sylvester(first, second, part(t, 0, k, k, n - k), rules);
}

// Z T Z^H, the root in the original basis.
template <class Matrix>
Matrix back(const Matrix& z, const Matrix& t) {
  Matrix zt(z.rows(), z.cols()), out(z.rows(), z.cols());
  lapack::gemm(CblasNoTrans, CblasNoTrans, 1.0, z, t, 0.0, zt);
  lapack::gemm(CblasNoTrans, CblasConjTrans, 1.0, zt, z, 0.0, out);
  if (!out.allFinite())
    throw LinAlgError("the matrix has no finite square root: an eigenvalue is zero and defective");
  return out;
}

// For a standardised 2x2 block at (i, i), the imaginary part w of its eigenvalues t(i, i) +- i w.
double imaginary_part(const MatrixXd& t, Index i) {
  return std::sqrt(std::abs(t(i, i + 1))) * std::sqrt(std::abs(t(i + 1, i)));
}

bool has_negative_eigenvalue(const MatrixXd& t, bool as_scipy = false) {
  const Index n = t.rows();
  for (Index i = 0; i < n; ++i) {
    const bool pair = i + 1 < n && t(i + 1, i) != 0.0;
    if (pair ? !as_scipy && beside_the_branch_cut(t(i, i), imaginary_part(t, i)) : t(i, i) < 0.0) return true;
    if (pair) ++i;
  }
  return false;
}

// Converts a real Schur form to a complex one, with one rotation for each 2x2 block, from the bottom up.
void to_complex(const MatrixXd& t_real, const MatrixXd& z_real, MatrixXcd& t, MatrixXcd& z) {
  t = t_real.cast<lapack::Complex>();
  z = z_real.cast<lapack::Complex>();
  for (Index m = t.rows() - 1; m > 0; --m) {
    if (t_real(m, m - 1) == 0.0) continue;
    const double w = imaginary_part(t_real, m - 1);
    const lapack::Complex lambda(0.0, w);  // eigenvalue minus the common diagonal of a standardised block
    const double r = std::hypot(w, t_real(m, m - 1));
    const lapack::Complex c = lambda / r;
    const double s = t_real(m, m - 1) / r;
    Eigen::Matrix2cd g;
    g << std::conj(c), s, -s, c;
    const Index right = t.cols() - (m - 1);
    t.block(m - 1, m - 1, 2, right) = (g * t.block(m - 1, m - 1, 2, right)).eval();
    t.block(0, m - 1, m + 1, 2) = (t.block(0, m - 1, m + 1, 2) * g.adjoint()).eval();
    z.middleCols(m - 1, 2) = (z.middleCols(m - 1, 2) * g.adjoint()).eval();
    t(m, m - 1) = 0.0;
  }
}

template <class Matrix>
Matrix root_from_schur(Matrix& t, const Matrix& z, bool as_scipy = false) {
  const Rules rules{4 * std::numeric_limits<double>::epsilon() * t.norm(), as_scipy};
  triangle_root(Block<Matrix>(t.data(), t.rows(), t.cols(), Eigen::OuterStride<>(t.rows())), rules);
  return back(z, t);
}

void require_finite(bool finite) {
  if (!finite) throw LinAlgError("the matrix has entries that are not finite");
}

MatrixRoot real_root(MatrixXd a, bool as_scipy) {
  require_finite(a.allFinite());
  MatrixXd z;
  lapack::gees(a, z);
  if (!has_negative_eigenvalue(a, as_scipy)) return root_from_schur(a, z, as_scipy);
  MatrixXcd t_complex, z_complex;
  to_complex(a, z, t_complex, z_complex);
  return root_from_schur(t_complex, z_complex, as_scipy);
}

// Of a row-major matrix, and row-major.
template <class Scalar>
Root root_of_rows(const Scalar* a, Index n) {
  using RowMajor = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  require_size(n, "n", 0);
  if (n == 0) return std::vector<Scalar>();
  const MatrixRoot root =
      sqrtm(Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>(Eigen::Map<const RowMajor>(a, n, n)));
  return std::visit(
      [n](const auto& m) -> Root {
        using Entry = typename std::decay_t<decltype(m)>::Scalar;
        using Rows = Eigen::Matrix<Entry, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
        std::vector<Entry> rows(n * n);
        Eigen::Map<Rows>(rows.data(), n, n) = m;
        return rows;
      },
      root);
}

}  // namespace

MatrixRoot sqrtm(MatrixXd a) { return real_root(std::move(a), false); }

MatrixRoot sqrtm_as_scipy(MatrixXd a) { return real_root(std::move(a), true); }

MatrixRoot sqrtm(MatrixXcd a) {
  require_finite(a.allFinite());
  MatrixXcd z;
  lapack::gees(a, z);
  return root_from_schur(a, z);
}

Root sqrtm(const double* a, Index n) { return root_of_rows(a, n); }

Root sqrtm(const std::complex<double>* a, Index n) { return root_of_rows(a, n); }

}  // namespace fastfid
