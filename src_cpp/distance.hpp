// The distance between two Gaussians, with its terms and its error estimate. Adding the terms up is the easy part, but for
// the ends of double's range: two large traces may overflow although their difference does not.
//
// The error estimate is that of the trace of the root (frechet.hpp), twice, and 16 eps of each of the other terms, and what
// a wrong last digit of every mean does to the mean term.
#pragma once

#include "fastfid/distance.hpp"

namespace fastfid {

// frechet_distance of Gaussians that have been checked: finite, symmetric, with a mean. Throws the same errors.
Distance distance_of_checked(const Gaussian& a, const Gaussian& b, Method method, double eps);

}  // namespace fastfid
