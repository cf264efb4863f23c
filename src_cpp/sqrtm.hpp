// Principal square root of a general square matrix by the blocked Schur method.
//
//   A = Z T Z^H (Schur form),   R R = T with R upper triangular,   sqrt(A) = Z R Z^H
//
// float64 -> float64, or complex128 if an eigenvalue is negative or the input is complex. Real matrices use real
// arithmetic (quasi-triangular R) unless they have a negative eigenvalue. The triangle is split recursively. The halves
// are coupled by the Sylvester equation R11 X + X R22 = T12, which is split in the same way down to LAPACK's trsyl, so
// that most of the work is matrix products. Normwise backward stable: |R^2 - A| <= c n eps |R|^2.
// Björck & Hammarling (1983), "A Schur method for the square root of a matrix"; Higham (1987), "Computing
// real square roots of a real matrix"; Deadman, Higham & Ralha (2012), "Blocked Schur algorithms for
// computing the matrix square root".
#pragma once

#include <variant>

#include "fastfid/sqrtm.hpp"
#include "lapack.hpp"

namespace fastfid {

using MatrixRoot = std::variant<MatrixXd, MatrixXcd>;

// Throws LinAlgError if the matrix has no finite square root, that is, if a zero eigenvalue has a Jordan block larger
// than 1x1, or if the input is not finite.
MatrixRoot sqrtm(MatrixXd a);
MatrixRoot sqrtm(MatrixXcd a);

// The root with the decisions of SciPy 1.17.1, on which published FIDs depend if the matrix is singular. It differs
// from the above if eigenvalues are zero, or if rounding puts them next to the negative axis. LAPACK's solution of a
// nearby Sylvester equation is accepted. LinAlgError is thrown only if SciPy has an infinite entry, that is, if its
// recursion ends at a block of two rows with two zero eigenvalues. A pair of complex eigenvalues is never treated as
// two negative ones.
MatrixRoot sqrtm_as_scipy(MatrixXd a);

}  // namespace fastfid
