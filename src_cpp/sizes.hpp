// Checks of the sizes that a caller of the library gives: BLAS and LAPACK count in 32 bits.
#pragma once

#include <limits>
#include <stdexcept>
#include <string>

#include "fastfid/config.hpp"

namespace fastfid {

// `least` is 0 or 1.
inline void require_size(Index size, const std::string& name, Index least) {
  constexpr Index kMost = std::numeric_limits<int>::max();
  if (size >= least && size <= kMost) return;
  const char* range = size > kMost ? " must be at most 2147483647"
                      : least > 0  ? " must be positive"
                                   : " must not be negative";
  throw std::invalid_argument(name + (range + (", got " + std::to_string(size))));
}

}  // namespace fastfid
