// What the core throws for data that have no answer; a wrong argument is a std::invalid_argument.
#pragma once

#include <stdexcept>

namespace fastfid {

// A matrix without the root, factor or eigenvalues that were asked for.
struct LinAlgError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A matrix given as a covariance that cannot be one.
struct IndefiniteError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// Rows too far apart for their covariance.
struct OverflowError : std::overflow_error {
  using std::overflow_error::overflow_error;
};

}  // namespace fastfid
