#include "pairs.hpp"

#include <stdexcept>

namespace fastfid::pairs {
namespace {

constexpr Index kPass = 256;  // rows that a worker takes at a time in the passes before the products

// The order of the sums is fixed, and nothing is fused (-ffp-contract=off), so wider instructions give the same bits.
// ThreadSanitizer crashes on the choice between them, which is made before it starts.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__)
#define FASTFID_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#define FASTFID_INLINE inline __attribute__((always_inline))
#else
#define FASTFID_WIDE
#define FASTFID_INLINE inline
#endif

template <class T>
FASTFID_INLINE double distance_in_lanes(const T* a, const T* b, Index d) {
  constexpr Index kLanes = 16;
  double sums[kLanes] = {};
  Index k = 0;
  for (; k + kLanes <= d; k += kLanes)
    for (Index l = 0; l < kLanes; ++l) {
      const double difference = static_cast<double>(a[k + l]) - static_cast<double>(b[k + l]);
      sums[l] += difference * difference;
    }
  for (Index l = 0; k + l < d; ++l) {
    const double difference = static_cast<double>(a[k + l]) - static_cast<double>(b[k + l]);
    sums[l] += difference * difference;
  }
  for (Index half = kLanes / 2; half > 0; half /= 2)
    for (Index l = 0; l < half; ++l) sums[l] += sums[l + half];
  return sums[0];
}

// Calls work(first, count) for blocks of up to kPass rows, in any order and in all threads.
template <class Work>
void for_each_block(Index n, const Work& work) {
  const Index blocks = (n + kPass - 1) / kPass;
  std::atomic<Index> next{0};
  threads::run(static_cast<int>(std::min<Index>(threads::get(), blocks)), [&](const threads::Stop& stop) {
    for (Index block; !stop() && (block = next++) < blocks;)
      work(block * kPass, std::min(kPass, n - block * kPass));
  });
}

template <class T>
using Row = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;

// The sum of the rows (d), and their largest absolute entry.
template <class T>
VectorXd sum_of(const Rows<T>& rows, double& most) {
  const Index blocks = (rows.n + kPass - 1) / kPass;
  MatrixXd sums = MatrixXd::Zero(rows.d, blocks);
  VectorXd largest = VectorXd::Zero(blocks);
  for_each_block(rows.n, [&](Index first, Index count) {
    const Index block = first / kPass;
    for (Index i = first; i < first + count; ++i) {
      const Row<T> row(rows[i], rows.d);
      sums.col(block).array() += row.template cast<double>();
      largest[block] = std::max<double>(largest[block], row.abs().maxCoeff());
    }
  });
  most = std::max(most, largest.maxCoeff());
  VectorXd sum = sums.col(0);
  for (Index block = 1; block < blocks; ++block) sum += sums.col(block);
  return sum;
}

template <class T>
std::vector<double> norms_of(const Frame<T>& frame, const Rows<T>& rows) {
  std::vector<double> norms(rows.n);
  for_each_block(rows.n, [&](Index first, Index count) {
    std::vector<T> centred(rows.d);
    for (Index i = first; i < first + count; ++i) {
      frame.centred(rows, i, 1, centred.data());
      norms[i] = Row<T>(centred.data(), rows.d).template cast<double>().square().sum();
    }
  });
  return norms;
}

// The power of two that brings a largest entry near 1, within what T can hold.
float scale_of(double largest, float) {
  if (!(largest > 0)) return 1;
  return std::ldexp(1.0F, -std::clamp(std::ilogb(largest), -120, 126));
}
double scale_of(double, double) { return 1; }  // the distances themselves are doubles and have no more room

}  // namespace

FASTFID_WIDE double squared_distance(const float* a, const float* b, Index d) {
  return distance_in_lanes(a, b, d);
}
FASTFID_WIDE double squared_distance(const double* a, const double* b, Index d) {
  return distance_in_lanes(a, b, d);
}

template <class T>
void Frame<T>::centred(const Rows<T>& rows, Index first, Index count, T* out) const {
  const Row<T> c(centre.data(), rows.d);
  for (Index i = 0; i < count; ++i)
    Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(out + i * rows.d, rows.d) =
        Row<T>(rows[first + i], rows.d) * scale - c;
}

template <class T>
Frame<T>::Frame(Rows<T> x_, Rows<T> y_) : x(x_), y(y_) {
  if (x.d != y.d || x.d < 1 || x.n < 1 || y.n < 1)
    throw std::invalid_argument("pairs need rows of the same dims, at least one a side");
  const bool same = x.data == y.data && x.n == y.n;
  double largest = 0;
  VectorXd sum = sum_of(x, largest);
  sum += same ? sum : sum_of(y, largest);
  if (!sum.allFinite()) throw OverflowError("rows of features must be finite");
  scale = scale_of(largest, T());
  square = static_cast<double>(scale) * static_cast<double>(scale);
  sum *= static_cast<double>(scale) / static_cast<double>(x.n + y.n);
  centre.resize(x.d);
  for (Index k = 0; k < x.d; ++k) centre[k] = static_cast<T>(sum[k]);
  norms_x = norms_of(*this, x);
  norms_y = same ? norms_x : norms_of(*this, y);
  for (const auto* norms : {&norms_x, &norms_y})
    if (!(*std::max_element(norms->begin(), norms->end()) <= std::numeric_limits<double>::max() / 16))
      throw OverflowError("rows of features are too far apart: their squared distances overflow float64");
  constexpr double u = std::numeric_limits<T>::epsilon() / 2, v = std::numeric_limits<double>::epsilon() / 2;
  const double e = static_cast<double>(x.d + 8) * (u + 3 * v);
  epsilon = e < 0.5 ? e / (1 - e) : 1e30;  // longer rows than that are all decided in double
  slack = 128 * static_cast<double>(x.d) * static_cast<double>(std::numeric_limits<T>::min());
}

template struct Frame<float>;
template struct Frame<double>;

}  // namespace fastfid::pairs
