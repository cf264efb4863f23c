// Checks of the sizes that a caller of the library gives: BLAS and LAPACK count in 32 bits.
#pragma once

#include <limits>
#include <stdexcept>
#include <string>

#include "fastfid/config.hpp"

namespace fastfid {

inline void require_size(Index size, const char* name, Index least) {
  constexpr Index kMost = std::numeric_limits<int>::max();
  if (size < least || size > kMost)
    throw std::invalid_argument(std::string(name) + " must be between " + std::to_string(least) + " and " +
                                std::to_string(kMost) + ", got " + std::to_string(size));
}

}  // namespace fastfid
