#include "coordinates.hpp"

#include <algorithm>
#include <atomic>
#include <vector>

#include "threads.hpp"

namespace fastfid::coordinates {

void squares(const Problem& problem, double* out) {
  const Index n = problem.n, d = problem.d, p = problem.p, k = problem.k;
  const Index blocks = (n + kBlockRows - 1) / kBlockRows;
  std::atomic<Index> next{0};
  const threads::OneInBlas one;
  threads::run(static_cast<int>(std::min<Index>(threads::get(), blocks)), [&](const threads::Stop& stop) {
    const Index height = std::min(kBlockRows, n);
    std::vector<double> centred(height * d), found(height * p);
    for (Index block; (block = next++) < blocks && !stop();) {
      const Index first = block * kBlockRows, count = std::min(kBlockRows, n - first);
      for (Index i = 0; i < count; ++i)
        for (Index j = 0; j < d; ++j)
          centred[i * d + j] = problem.rows[(first + i) * d + j] - problem.mean[j];
      lapack::products_of_rows(centred.data(), count, problem.directions, p, d, found.data());
      for (Index i = 0; i < count * p; ++i) found[i] *= found[i];
      lapack::products_of_rows(found.data(), count, problem.table, k, p, out + first * k);
    }
  });
}

}  // namespace fastfid::coordinates
