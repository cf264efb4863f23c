// Nearest neighbours, and balls that contain rows, over all pairs of rows of two sets: what precision, recall, density,
// coverage and AuthPct are made of.
//
// Rows of float are multiplied in float, and whatever the error of the product leaves open is decided by squared_distance:
// neighbours and counts are those of double arithmetic, ties included, for any number of threads. All functions throw
// std::invalid_argument if a side is empty or the dims differ, and OverflowError if a value is not finite or a squared
// distance overflows.
#pragma once

#include <cstdint>

#include "fastfid/config.hpp"
#include "fastfid/rows.hpp"

namespace fastfid {

/// The squared distance of two rows of d values: the sum of the squared differences in double, in 16 interleaved partial
/// sums (entry k goes to sum k mod 16) that are then folded in halves.
FASTFID_API double squared_distance(const float* a, const float* b, Index d);
FASTFID_API double squared_distance(const double* a, const double* b, Index d);

/// The k nearest rows of y to each row of x, ascending, ties by lower index: indices and squared distances, both (n, k).
/// With `same`, y is x, and no row is its own neighbour. Throws std::invalid_argument unless each row has k neighbours.
FASTFID_API void nearest(const Rows<float>& x, const Rows<float>& y, Index k, bool same,
                         std::int64_t* indices, double* distances);
FASTFID_API void nearest(const Rows<double>& x, const Rows<double>& y, Index k, bool same,
                         std::int64_t* indices, double* distances);

/// Of balls around the rows, with squared radii (n) and (m): how many around rows of y contain each row of x (n), how many
/// around rows of x contain each row of y (m), and the squared distance of each row of y to the nearest row of x (m). With
/// `strict`, a ball does not contain its surface.
FASTFID_API void balls(const Rows<float>& x, const Rows<float>& y, const double* radii_x,
                       const double* radii_y, bool strict, std::int64_t* in_y, std::int64_t* in_x,
                       double* nearest_y);
FASTFID_API void balls(const Rows<double>& x, const Rows<double>& y, const double* radii_x,
                       const double* radii_y, bool strict, std::int64_t* in_y, std::int64_t* in_x,
                       double* nearest_y);

}  // namespace fastfid
