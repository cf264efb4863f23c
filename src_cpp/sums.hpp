// Sums of many doubles, in halves down to 128 terms and eight partial sums there: NumPy's order, in which the traces behind
// published distances were added. The error grows with log n.
#pragma once

#include "fastfid/config.hpp"

namespace fastfid {

// The sum of term(i) for i from `first` on, n of them.
template <class Term>
double pairwise_sum(const Term& term, Index first, Index n) {
  constexpr Index kLanes = 8, kLeaf = 128;
  if (n > kLeaf) {
    const Index half = n / 2 / kLanes * kLanes;
    return pairwise_sum(term, first, half) + pairwise_sum(term, first + half, n - half);
  }
  double sum = 0;
  Index i = first;
  const Index end = first + n, whole = first + n / kLanes * kLanes;
  if (n >= kLanes) {
    double lanes[kLanes];
    for (Index l = 0; l < kLanes; ++l) lanes[l] = term(i + l);
    for (i += kLanes; i < whole; i += kLanes)
      for (Index l = 0; l < kLanes; ++l) lanes[l] += term(i + l);
    sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }
  for (; i < end; ++i) sum += term(i);
  return sum;
}

}  // namespace fastfid
