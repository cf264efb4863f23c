// Principal square root of a general square matrix by the blocked Schur method.
//
//   A = Z T Z^H (Schur form),   R R = T with R upper triangular,   sqrt(A) = Z R Z^H
//
// float64 -> float64, complex128 where a negative or complex input demands it. Real matrices stay in real
// arithmetic (quasi-triangular R) unless they have a negative eigenvalue. The triangle is split recursively:
// R11 X + X R22 = T12 couples the halves, a Sylvester equation that is itself split down to LAPACK's trsyl,
// so that the work is matrix products. Normwise backward stable: |R^2 - A| <= c n eps |R|^2.
// Björck & Hammarling (1983), "A Schur method for the square root of a matrix"; Higham (1987), "Computing
// real square roots of a real matrix"; Deadman, Higham & Ralha (2012), "Blocked Schur algorithms for
// computing the matrix square root".
#pragma once

#include <variant>

#include "lapack.hpp"

namespace fastfid {

using Root = std::variant<MatrixXd, MatrixXcd>;

// Throws LinAlgError where the matrix has no (finite) square root: a zero eigenvalue whose Jordan block is
// larger than 1x1, or input that is not finite.
Root sqrtm(MatrixXd a);
Root sqrtm(MatrixXcd a);

// The root with the decisions of SciPy 1.17.1, which published FIDs depend on where the matrix is singular. It differs
// from the above where eigenvalues are zero, or beside the negative axis, for no reason but rounding: LAPACK's
// solution of a nearby Sylvester equation stands, and LinAlgError is thrown only where SciPy has an infinite entry,
// that is where two zero eigenvalues meet in a block of two rows that its recursion comes down to; a pair of complex eigenvalues is never
// taken for two negative ones.
Root sqrtm_as_scipy(MatrixXd a);

}  // namespace fastfid
