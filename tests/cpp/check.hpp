// The checks of the tests of the core within, and their random matrices.
#pragma once

#include <cstdint>
#include <random>

#include "checks.hpp"
#include "lapack.hpp"

namespace fastfid::test {

// Standard normal entries from a fixed seed.
inline MatrixXd normal(Index rows, Index cols, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> draw;
  return MatrixXd::NullaryExpr(rows, cols, [&] { return draw(engine); });
}

}  // namespace fastfid::test
