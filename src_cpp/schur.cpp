#include "schur.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <variant>

#include "scaling.hpp"
#include "sqrtm.hpp"

namespace fastfid {
namespace {

constexpr double kImaginary = 1e-3;   // pytorch-fid's tolerance for the imaginary part of the diagonal
constexpr double kMostOffset = 1e-5;  // relative to the largest variance

struct Attempt {
  std::optional<SchurTrace> trace;
  std::string problem;
};

Attempt attempt(const Eigen::Map<const MatrixXd>& s1, const Eigen::Map<const MatrixXd>& s2, double offset) {
  MatrixXd a = s1, b = s2;
  a.diagonal().array() += offset;
  b.diagonal().array() += offset;
  const int half = (scale_down(a) + scale_down(b)) / 2;
  MatrixXd product(a.rows(), a.cols());
  lapack::gemm(CblasNoTrans, CblasNoTrans, 1.0, a, b, 0.0, product);
  try {
    const MatrixRoot root = sqrtm_as_scipy(std::move(product));
    if (const auto* real = std::get_if<MatrixXd>(&root)) return {SchurTrace{real->trace(), half, offset}, ""};
    const auto& complex = std::get<MatrixXcd>(root);
    const double imaginary = std::ldexp(complex.diagonal().imag().cwiseAbs().maxCoeff(), half);
    if (imaginary <= kImaginary) return {SchurTrace{complex.real().trace(), half, offset}, ""};
    return {std::nullopt, "has an imaginary component of " + std::to_string(imaginary) + " on its diagonal"};
  } catch (const LinAlgError& error) {
    return {std::nullopt, std::string("cannot be computed: ") + error.what()};
  }
}

}  // namespace

SchurTrace trace_root_schur(const double* s1, const double* s2, Index d, double eps) {
  const Eigen::Map<const MatrixXd> a(s1, d, d), b(s2, d, d);
  const double most = kMostOffset * std::max(a.diagonal().maxCoeff(), b.diagonal().maxCoeff());
  double offset = 0;
  Attempt last = attempt(a, b, offset);
  for (double next = eps; !last.trace && next > offset; next = next * 10 <= most ? next * 10 : offset) {
    offset = next;
    last = attempt(a, b, offset);
  }
  if (last.trace) return *last.trace;
  throw LinAlgError("the square root of sigma1 sigma2 " + last.problem +
                    (offset > 0 ? ", with " + std::to_string(offset) + " added to both diagonals" : ""));
}

}  // namespace fastfid
