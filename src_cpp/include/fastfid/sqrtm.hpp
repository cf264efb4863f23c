// The principal square root of a square matrix, by the blocked Schur method: normwise backward stable,
// |R² - A| <= c n eps |R|².
#pragma once

#include <complex>
#include <variant>
#include <vector>

#include "fastfid/config.hpp"

namespace fastfid {

/// A root (n, n), row-major: real, or complex if an eigenvalue of the matrix is negative or the matrix is complex.
using Root = std::variant<std::vector<double>, std::vector<std::complex<double>>>;

/// The root of a (n, n), row-major. Throws LinAlgError if there is no finite one: a zero eigenvalue has a Jordan block
/// larger than 1x1, or an entry is not finite.
FASTFID_API Root sqrtm(const double* a, Index n);
FASTFID_API Root sqrtm(const std::complex<double>* a, Index n);

}  // namespace fastfid
