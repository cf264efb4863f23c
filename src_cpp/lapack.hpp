// The few BLAS and LAPACK calls of the core, typed, in one place for the symbol prefix and the threads.
//
// All matrices are column-major Eigen matrices of doubles (or complex doubles). The library is OpenBLAS as
// packaged in scipy-openblas32: 32-bit integers, symbols prefixed `scipy_`, kernels chosen at run time.
#pragma once

#include <complex>
#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <cblas.h>
#include <lapacke.h>

#include <Eigen/Dense>
#include <stdexcept>
#include <string>

namespace fastfid {

using Index = Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// A matrix without the root, factor or eigenvalues that were asked for.
struct LinAlgError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace lapack {

using Complex = std::complex<double>;

// Threads inside BLAS and LAPACK; process-wide in OpenBLAS.
inline void set_num_threads(int n) { scipy_openblas_set_num_threads(n); }
inline int get_num_threads() { return scipy_openblas_get_num_threads(); }

inline lapack_int as_int(Index n) { return static_cast<lapack_int>(n); }

inline void check(lapack_int info, const char* routine) {
  if (info == 0) return;
  throw LinAlgError(std::string(routine) + " failed (info " + std::to_string(info) +
                    "): the matrix is not finite, or its eigenvalues did not converge");
}

// C (m, n) = alpha * A (m, k) B (k, n) + beta * C; the Ts say whether A and B are taken transposed.
template <class A, class B, class C>
void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, double alpha, const A& a, const B& b, double beta, C&& c) {
  const Index k = ta == CblasNoTrans ? a.cols() : a.rows();
  if (c.size() == 0) return;
  using Scalar = typename std::decay_t<C>::Scalar;
  const auto m = as_int(c.rows()), n = as_int(c.cols());
  const auto lda = as_int(a.outerStride()), ldb = as_int(b.outerStride()), ldc = as_int(c.outerStride());
  if constexpr (std::is_same_v<Scalar, double>) {
    scipy_cblas_dgemm(CblasColMajor, ta, tb, m, n, as_int(k), alpha, a.data(), lda, b.data(), ldb, beta,
                      c.data(), ldc);
  } else {
    const Complex za(alpha), zb(beta);
    scipy_cblas_zgemm(CblasColMajor, ta, tb, m, n, as_int(k), &za, a.data(), lda, b.data(), ldb, &zb,
                      c.data(), ldc);
  }
}

// Upper triangle of C (d, d) += A A^T for A (d, k).
inline void syrk_add(const double* a, Index d, Index k, double* c) {
  scipy_cblas_dsyrk(CblasColMajor, CblasUpper, CblasNoTrans, as_int(d), as_int(k), 1.0, a, as_int(d), 1.0, c,
                    as_int(d));
}

// Lower Cholesky factor in place (upper triangle left as it was); false where A is not positive definite.
inline bool potrf(MatrixXd& a) {
  const auto n = as_int(a.rows());
  const auto info = scipy_LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', n, a.data(), n);
  if (info < 0) check(info, "dpotrf");
  return info == 0;
}

// B = L B or B L (side), L lower triangular, optionally transposed.
inline void trmm(CBLAS_SIDE side, CBLAS_TRANSPOSE trans, const MatrixXd& l, MatrixXd& b) {
  scipy_cblas_dtrmm(CblasColMajor, side, CblasLower, trans, CblasNonUnit, as_int(b.rows()), as_int(b.cols()),
                    1.0, l.data(), as_int(l.rows()), b.data(), as_int(b.rows()));
}

// Eigenvalues of a symmetric matrix (lower triangle read), ascending; with vectors, they replace `a`.
inline VectorXd syevd(MatrixXd& a, bool vectors) {
  const auto n = as_int(a.rows());
  VectorXd w(a.rows());
  if (n > 0)
    check(scipy_LAPACKE_dsyevd(LAPACK_COL_MAJOR, vectors ? 'V' : 'N', 'L', n, a.data(), n, w.data()),
          "dsyevd");
  return w;
}

// Singular values, descending; `a` is destroyed.
inline VectorXd singular_values(MatrixXd& a) {
  const auto m = as_int(a.rows()), n = as_int(a.cols());
  VectorXd s(std::min(a.rows(), a.cols()));
  double unused;
  if (s.size() > 0)
    check(scipy_LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', m, n, a.data(), m, s.data(), &unused, 1, &unused, 1),
          "dgesdd");
  return s;
}

// Schur form A = Z T Z^H; `a` becomes T (real: quasi-triangular, standardised 2x2 blocks).
inline void gees(MatrixXd& a, MatrixXd& z) {
  const auto n = as_int(a.rows());
  VectorXd wr(n), wi(n);
  lapack_int sdim;
  z.resize(n, n);
  check(scipy_LAPACKE_dgees(LAPACK_COL_MAJOR, 'V', 'N', nullptr, n, a.data(), n, &sdim, wr.data(), wi.data(),
                            z.data(), n),
        "dgees");
}
inline void gees(MatrixXcd& a, MatrixXcd& z) {
  const auto n = as_int(a.rows());
  Eigen::VectorXcd w(n);
  lapack_int sdim;
  z.resize(n, n);
  check(
      scipy_LAPACKE_zgees(LAPACK_COL_MAJOR, 'V', 'N', nullptr, n, a.data(), n, &sdim, w.data(), z.data(), n),
      "zgees");
}

// Solves A X + X B = scale * C in place of C, A and B upper (quasi-)triangular. Returns scale; `perturbed`
// where A and -B share an eigenvalue and LAPACK solved a nearby equation instead.
template <class Block>
double trsyl(const Block& a, const Block& b, Block c, bool& perturbed) {
  using Scalar = typename Block::Scalar;
  double scale = 1.0;
  lapack_int info;
  const auto m = as_int(c.rows()), n = as_int(c.cols());
  const auto lda = as_int(a.outerStride()), ldb = as_int(b.outerStride()), ldc = as_int(c.outerStride());
  if constexpr (std::is_same_v<Scalar, double>)
    info = scipy_LAPACKE_dtrsyl_work(LAPACK_COL_MAJOR, 'N', 'N', 1, m, n, a.data(), lda, b.data(), ldb,
                                     c.data(), ldc, &scale);
  else
    info = scipy_LAPACKE_ztrsyl_work(LAPACK_COL_MAJOR, 'N', 'N', 1, m, n, a.data(), lda, b.data(), ldb,
                                     c.data(), ldc, &scale);
  if (info < 0) check(info, "trsyl");
  perturbed = info == 1;
  return scale;
}

}  // namespace lapack
}  // namespace fastfid
