// The few BLAS and LAPACK calls of the core, typed, in one place for the symbol prefix and the threads.
//
// All matrices are column-major Eigen matrices of doubles (or complex doubles). The library is any with CBLAS, LAPACKE and
// 32-bit integers. The Python package has OpenBLAS as packaged in scipy-openblas32 (FASTFID_SCIPY_OPENBLAS): symbols
// prefixed `scipy_`, kernels chosen at run time.
#pragma once

#include <algorithm>
#include <complex>
#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>
#include <cblas.h>
#include <lapacke.h>

#include <Eigen/Dense>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "fastfid/errors.hpp"

#ifdef FASTFID_SCIPY_OPENBLAS
#define FASTFID_BLAS(name) scipy_##name
#else
#define FASTFID_BLAS(name) name
#endif

namespace fastfid {

static_assert(std::is_same_v<Index, Eigen::Index>);
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace lapack {

using Complex = std::complex<double>;

// Threads inside BLAS and LAPACK; process-wide in OpenBLAS, and left alone in other libraries. Only threads.cpp calls these.
#ifdef FASTFID_OPENBLAS
inline void set_num_threads(int n) { FASTFID_BLAS(openblas_set_num_threads)(n); }
inline int get_num_threads() { return FASTFID_BLAS(openblas_get_num_threads)(); }
#else
inline void set_num_threads(int) {}
inline int get_num_threads() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }
#endif

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
    FASTFID_BLAS(cblas_dgemm)(CblasColMajor, ta, tb, m, n, as_int(k), alpha, a.data(), lda, b.data(), ldb,
                              beta, c.data(), ldc);
  } else {
    const Complex za(alpha), zb(beta);
    FASTFID_BLAS(cblas_zgemm)(CblasColMajor, ta, tb, m, n, as_int(k), &za, a.data(), lda, b.data(), ldb, &zb,
                              c.data(), ldc);
  }
}

inline double dot(const double* x, const double* y, Index n) {
  return FASTFID_BLAS(cblas_ddot)(as_int(n), x, 1, y, 1);
}

// C (m, n) = A B^T for A (m, d) and B (n, d); all three row-major.
inline void products_of_rows(const float* a, Index m, const float* b, Index n, Index d, float* c) {
  FASTFID_BLAS(cblas_sgemm)(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(m), as_int(n), as_int(d), 1.0F, a,
                            as_int(d), b, as_int(d), 0.0F, c, as_int(n));
}
inline void products_of_rows(const double* a, Index m, const double* b, Index n, Index d, double* c) {
  FASTFID_BLAS(cblas_dgemm)(CblasRowMajor, CblasNoTrans, CblasTrans, as_int(m), as_int(n), as_int(d), 1.0, a,
                            as_int(d), b, as_int(d), 0.0, c, as_int(n));
}

// Upper triangle of C (d, d) += A A^T for A (d, k).
inline void syrk_add(const double* a, Index d, Index k, double* c) {
  FASTFID_BLAS(cblas_dsyrk)(CblasColMajor, CblasUpper, CblasNoTrans, as_int(d), as_int(k), 1.0, a, as_int(d),
                            1.0, c, as_int(d));
}

// Lower Cholesky factor in place (upper triangle left as it was); false if A is not positive definite.
inline bool potrf(MatrixXd& a) {
  const auto n = as_int(a.rows());
  const auto info = FASTFID_BLAS(LAPACKE_dpotrf_work)(LAPACK_COL_MAJOR, 'L', n, a.data(), n);
  if (info < 0) check(info, "dpotrf");
  return info == 0;
}

// Lower triangle of L^T A L in place of that of A, from the lower triangle L.
inline void sygst(MatrixXd& a, const MatrixXd& l) {
  const auto n = as_int(a.rows());
  check(FASTFID_BLAS(LAPACKE_dsygst_work)(LAPACK_COL_MAJOR, 2, 'L', n, a.data(), n, l.data(), n), "dsygst");
}

// Eigenvalues of a symmetric matrix (lower triangle read, destroyed), ascending. Large ones by the two-stage
// reduction, which is matrix products where the one-stage reduction waits for memory.
inline VectorXd eigenvalues(MatrixXd& a) {
  const auto n = as_int(a.rows());
  VectorXd w(a.rows());
  if (n < 512)
    check(FASTFID_BLAS(LAPACKE_dsyevd)(LAPACK_COL_MAJOR, 'N', 'L', n, a.data(), n, w.data()), "dsyevd");
  else
    check(FASTFID_BLAS(LAPACKE_dsyevd_2stage)(LAPACK_COL_MAJOR, 'N', 'L', n, a.data(), n, w.data()),
          "dsyevd_2stage");
  return w;
}

// Estimate of 1 / (|A| |A^-1|) in the 1-norm, from the lower Cholesky factor of A and |A|.
inline double pocon(const MatrixXd& l, double norm) {
  const auto n = as_int(l.rows());
  double rcond = 0;
  check(FASTFID_BLAS(LAPACKE_dpocon)(LAPACK_COL_MAJOR, 'L', n, l.data(), n, norm, &rcond), "dpocon");
  return rcond;
}

// Pivoted Cholesky P^T A P = L L^T in place, stopped at pivots up to `tolerance`. Returns the number of
// columns of L that hold; pivots[i] is the row of A behind row i of L, counted from 1.
inline Index pstrf(MatrixXd& a, double tolerance, std::vector<lapack_int>& pivots) {
  const auto n = as_int(a.rows());
  lapack_int rank = 0;
  pivots.resize(n);
  const auto info =
      FASTFID_BLAS(LAPACKE_dpstrf)(LAPACK_COL_MAJOR, 'L', n, a.data(), n, pivots.data(), &rank, tolerance);
  if (info < 0) check(info, "dpstrf");
  return rank;
}

// B = L^T B, L lower triangular.
inline void trmm_left_transposed(const MatrixXd& l, MatrixXd& b) {
  FASTFID_BLAS(cblas_dtrmm)(CblasColMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, as_int(b.rows()),
                            as_int(b.cols()), 1.0, l.data(), as_int(l.rows()), b.data(), as_int(b.rows()));
}

// B = L^-1 B, L lower triangular.
inline void trsm_left(const MatrixXd& l, MatrixXd& b) {
  FASTFID_BLAS(cblas_dtrsm)(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit,
                            as_int(b.rows()), as_int(b.cols()), 1.0, l.data(), as_int(l.rows()), b.data(),
                            as_int(b.rows()));
}

// Lower triangle of the Gram matrix of the columns (or, transposed, of the rows) of A.
inline MatrixXd gram(const MatrixXd& a, bool of_columns) {
  const Index n = of_columns ? a.cols() : a.rows(), k = of_columns ? a.rows() : a.cols();
  MatrixXd c(n, n);
  FASTFID_BLAS(cblas_dsyrk)(CblasColMajor, CblasLower, of_columns ? CblasTrans : CblasNoTrans, as_int(n),
                            as_int(k), 1.0, a.data(), as_int(a.rows()), 0.0, c.data(), as_int(n));
  return c;
}

// A symmetric matrix (lower triangle read) reduced to a tridiagonal one with the same eigenvalues.
struct Tridiagonal {
  MatrixXd reflectors;
  VectorXd diagonal, off_diagonal, tau;

  explicit Tridiagonal(MatrixXd a) : reflectors(std::move(a)) {
    const Index n = reflectors.rows();
    diagonal.resize(n);
    off_diagonal.setZero(n);  // n, not n - 1: dstemr wants the room
    tau.resize(n);
    check(FASTFID_BLAS(LAPACKE_dsytrd)(LAPACK_COL_MAJOR, 'L', as_int(n), reflectors.data(), as_int(n),
                                       diagonal.data(), off_diagonal.data(), tau.data()),
          "dsytrd");
  }

  // Ascending.
  VectorXd eigenvalues() const {
    VectorXd w = diagonal, e = off_diagonal;
    check(FASTFID_BLAS(LAPACKE_dsterf)(as_int(w.size()), w.data(), e.data()), "dsterf");
    return w;
  }

  // Orthonormal eigenvectors of the k smallest eigenvalues, (n, k).
  MatrixXd smallest_eigenvectors(Index k) const {
    const auto n = as_int(diagonal.size());
    VectorXd d = diagonal, e = off_diagonal, w(n);
    MatrixXd z(n, k);
    std::vector<lapack_int> support(2 * std::max<Index>(k, 1));
    lapack_int found = 0;
    lapack_logical accurate = 1;
    check(FASTFID_BLAS(LAPACKE_dstemr)(LAPACK_COL_MAJOR, 'V', 'I', n, d.data(), e.data(), 0.0, 0.0, 1,
                                       as_int(k), &found, w.data(), z.data(), n, as_int(k), support.data(),
                                       &accurate),
          "dstemr");
    check(FASTFID_BLAS(LAPACKE_dormtr)(LAPACK_COL_MAJOR, 'L', 'L', 'N', n, as_int(k), reflectors.data(), n,
                                       tau.data(), z.data(), n),
          "dormtr");
    return z;
  }
};

// Schur form A = Z T Z^H; `a` becomes T (real: quasi-triangular, standardised 2x2 blocks).
inline void gees(MatrixXd& a, MatrixXd& z) {
  const auto n = as_int(a.rows());
  VectorXd wr(n), wi(n);
  lapack_int sdim;
  z.resize(n, n);
  check(FASTFID_BLAS(LAPACKE_dgees)(LAPACK_COL_MAJOR, 'V', 'N', nullptr, n, a.data(), n, &sdim, wr.data(),
                                    wi.data(), z.data(), n),
        "dgees");
}
inline void gees(MatrixXcd& a, MatrixXcd& z) {
  const auto n = as_int(a.rows());
  Eigen::VectorXcd w(n);
  lapack_int sdim;
  z.resize(n, n);
  check(FASTFID_BLAS(LAPACKE_zgees)(LAPACK_COL_MAJOR, 'V', 'N', nullptr, n, a.data(), n, &sdim, w.data(),
                                    z.data(), n),
        "zgees");
}

// Solves A X + X B = scale * C in place of C, A and B upper (quasi-)triangular. Returns scale; `perturbed`
// if A and -B share an eigenvalue and LAPACK solved a nearby equation instead.
template <class Block>
double trsyl(const Block& a, const Block& b, Block c, bool& perturbed) {
  using Scalar = typename Block::Scalar;
  double scale = 1.0;
  lapack_int info;
  const auto m = as_int(c.rows()), n = as_int(c.cols());
  const auto lda = as_int(a.outerStride()), ldb = as_int(b.outerStride()), ldc = as_int(c.outerStride());
  if constexpr (std::is_same_v<Scalar, double>)
    info = FASTFID_BLAS(LAPACKE_dtrsyl_work)(LAPACK_COL_MAJOR, 'N', 'N', 1, m, n, a.data(), lda, b.data(),
                                             ldb, c.data(), ldc, &scale);
  else
    info = FASTFID_BLAS(LAPACKE_ztrsyl_work)(LAPACK_COL_MAJOR, 'N', 'N', 1, m, n, a.data(), lda, b.data(),
                                             ldb, c.data(), ldc, &scale);
  if (info < 0) check(info, "trsyl");
  perturbed = info == 1;
  return scale;
}

}  // namespace lapack
}  // namespace fastfid
