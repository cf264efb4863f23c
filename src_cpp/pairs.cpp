#include "pairs.hpp"

#include <stdexcept>

#include "sizes.hpp"

namespace fastfid::pairs {
namespace {

constexpr Index kPass = 256;  // rows that a worker takes at a time in the passes before the products
constexpr double kFar = 4;    // times the median distance from the median

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

// The largest absolute entry of the rows; infinity if one is not finite.
template <class T>
double largest_of(const Rows<T>& rows) {
  VectorXd largest = VectorXd::Zero((rows.n + kPass - 1) / kPass);
  for_each_block(rows.n, [&](Index first, Index count) {
    const Row<T> entries(rows[first], count * rows.d);
    const T most = entries.abs().template maxCoeff<Eigen::PropagateNaN>();
    largest[first / kPass] = std::isfinite(most) ? most : std::numeric_limits<double>::infinity();
  });
  return largest.maxCoeff();
}

// The median of each entry over the rows of x and y, or over kSample of them at even steps.
template <class T>
std::vector<T> medians_of(const Rows<T>& x, const Rows<T>& y) {
  constexpr Index kSample = 64;
  const Index all = x.n + y.n, count = std::min(all, kSample);
  std::vector<T> medians(x.d);
  for_each_block(x.d, [&](Index first, Index entries) {
    std::vector<T> values(entries * count);
    for (Index s = 0; s < count; ++s) {
      const Index i = s * all / count;
      const T* row = (i < x.n ? x[i] : y[i - x.n]) + first;
      for (Index k = 0; k < entries; ++k) values[k * count + s] = row[k];
    }
    for (Index k = 0; k < entries; ++k) {
      T *of_entry = &values[k * count], *middle = of_entry + count / 2;
      std::nth_element(of_entry, middle, of_entry + count);
      medians[first + k] = *middle;
    }
  });
  return medians;
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

// Adds the rows with norms up to `most` to `sum` (d); returns their number.
template <class T>
Index add_near(const Rows<T>& rows, const std::vector<double>& norms, double most, VectorXd& sum) {
  const Index blocks = (rows.n + kPass - 1) / kPass;
  MatrixXd sums = MatrixXd::Zero(rows.d, blocks);
  for_each_block(rows.n, [&](Index first, Index count) {
    for (Index i = first; i < first + count; ++i)
      if (norms[i] <= most)
        sums.col(first / kPass).array() += Row<T>(rows[i], rows.d).template cast<double>();
  });
  for (Index block = 0; block < blocks; ++block) sum += sums.col(block);
  return std::count_if(norms.begin(), norms.end(), [&](double norm) { return norm <= most; });
}

// The power of two that brings a largest entry near 1, within what T can hold.
float scale_of(double largest, float) {
  if (!(largest > 0)) return 1;
  return std::ldexp(1.0F, -std::clamp(std::ilogb(largest), -120, 126));
}
double scale_of(double, double) { return 1; }  // the distances themselves are doubles and have no more room

}  // namespace

template <class T>
void Frame<T>::centred(const Rows<T>& rows, Index first, Index count, T* out) const {
  const Row<T> c(centre.data(), rows.d);
  for (Index i = 0; i < count; ++i)
    Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(out + i * rows.d, rows.d) =
        Row<T>(rows[first + i], rows.d) * scale - c;
}

template <class T>
void Frame<T>::move_to_mean(bool same) {
  const std::vector<double> from_x = norms_of(*this, x), from_y = same ? from_x : norms_of(*this, y);
  std::vector<double> norms = from_x;
  if (!same) norms.insert(norms.end(), from_y.begin(), from_y.end());
  const auto middle = norms.begin() + static_cast<std::ptrdiff_t>(norms.size() / 2);
  std::nth_element(norms.begin(), middle, norms.end());
  const double most = kFar * kFar * *middle;
  VectorXd sum = VectorXd::Zero(x.d);
  Index count = add_near(x, from_x, most, sum);
  if (!same) count += add_near(y, from_y, most, sum);
  sum *= static_cast<double>(scale) / static_cast<double>(count);
  for (Index k = 0; k < x.d; ++k) centre[k] = static_cast<T>(sum[k]);
}

template <class T>
Frame<T>::Frame(Rows<T> x_, Rows<T> y_) : x(x_), y(y_) {
  require_size(x.d, "the dims", 1);
  if (x.d != y.d || x.n < 1 || y.n < 1)
    throw std::invalid_argument("pairs need rows of the same dims, at least one a side");
  const bool same = x.data == y.data && x.n == y.n;
  const double largest = same ? largest_of(x) : std::max(largest_of(x), largest_of(y));
  if (!std::isfinite(largest)) throw OverflowError("rows of features must be finite");
  scale = scale_of(largest, T());
  square = static_cast<double>(scale) * static_cast<double>(scale);
  centre = medians_of(x, y);
  for (T& entry : centre) entry *= scale;
  move_to_mean(same);
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

namespace fastfid {

FASTFID_WIDE double squared_distance(const float* a, const float* b, Index d) {
  return pairs::distance_in_lanes(a, b, d);
}
FASTFID_WIDE double squared_distance(const double* a, const double* b, Index d) {
  return pairs::distance_in_lanes(a, b, d);
}

}  // namespace fastfid
