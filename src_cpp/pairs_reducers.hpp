// What is computed over all pairs of rows: nearest neighbours, balls that contain rows, and sums of two kernels.
//
// Rows of float are multiplied in float and whatever the error of the product leaves open is decided by
// squared_distance, so that neighbours and counts are those of double arithmetic, ties included.
#pragma once

#include <cstdint>

#include "pairs.hpp"

namespace fastfid::pairs {

// Throws std::invalid_argument unless each row has k neighbours among m.
void require_neighbours(Index m, Index k, bool same);

// The k nearest rows of y to each row of x, ascending, ties by lower index: indices and squared distances, both (n, k).
// `same`: y is x, and no row is its own neighbour.
template <class T>
void nearest(Rows<T> x, Rows<T> y, Index k, bool same, std::int64_t* indices, double* distances);

// Of balls around the rows, with squared radii: how many around rows of y contain each row of x (n), how many around
// rows of x contain each row of y (m), and the squared distance of each row of y to the nearest row of x (m).
// `strict`: a ball does not contain its surface.
template <class T>
void balls(Rows<T> x, Rows<T> y, const double* radii_x, const double* radii_y, bool strict,
           std::int64_t* in_y, std::int64_t* in_x, double* nearest_y);

// Sums of k = (x·y / d + 1)³ over each row (n) and column (m); returns that of k² over all pairs. `same`: y is x, and
// the pairs of a row with itself are left out. Throws OverflowError where a sum overflows.
template <class T>
double polynomial_sums(Rows<T> x, Rows<T> y, bool same, double* rows, double* columns);

// Sums of exp(-|x - y|² / (2 sigma²)) over each row (n) and column (m). Each value is within 1e-5 of double
// arithmetic, whatever the rows; 1 for identical rows. sigma > 0, else std::invalid_argument.
template <class T>
void gaussian_sums(Rows<T> x, Rows<T> y, double sigma, double* rows, double* columns);

}  // namespace fastfid::pairs
