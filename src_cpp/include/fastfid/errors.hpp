// What the library throws for data that have no answer. A wrong argument is a std::invalid_argument, memory that is not to
// be had a std::bad_alloc; nothing else is thrown. What results would be written to is then unspecified.
#pragma once

#include <stdexcept>

#include "fastfid/config.hpp"

namespace fastfid {

/// A matrix without the root, factor or eigenvalues that were asked for.
struct FASTFID_API LinAlgError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A matrix given as a covariance that cannot be one.
struct FASTFID_API IndefiniteError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

/// A result, or a step on the way to it, that is too large for double; also rows that are not finite.
struct FASTFID_API OverflowError : std::overflow_error {
  using std::overflow_error::overflow_error;
};

}  // namespace fastfid
