// The core with random and hostile input: sizes of one and odd sizes, ranks of zero and one, rows that repeat, values
// that are huge, denormal, infinite or no numbers. Memory and undefined behaviour are watched by the sanitizers (preset
// `sanitize`); here, each result is finite and what it must be, or there is an exception.
//
//   test_fuzz [cases [seed]]
//
// The seed is printed, and new in every run. A case depends only on it and on its number.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "coordinates.hpp"
#include "covariance.hpp"
#include "fastfid/kernels.hpp"
#include "fastfid/moments.hpp"
#include "fastfid/neighbours.hpp"
#include "fastfid/resize.hpp"
#include "frechet.hpp"
#include "pairs.hpp"
#include "schur.hpp"
#include "sqrtm.hpp"

using namespace fastfid;
using lapack::Complex;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();

class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t kind, std::uint64_t number) {
    std::seed_seq all{seed & 0xffffffffu, seed >> 32, kind, number};
    engine_.seed(all);
  }
  Index below(Index n) { return static_cast<Index>(engine_() % static_cast<std::uint64_t>(n)); }
  bool one_in(Index n) { return below(n) == 0; }
  double normal() { return normal_(engine_); }
  // A size: often 1, seldom large.
  Index size(Index most) { return one_in(4) ? 1 : 1 + below(one_in(3) ? most : std::min<Index>(most, 6)); }
  double scale() {
    constexpr double scales[] = {1, 1, 1, 1e-320, 1e-200, 1e-150, 1e-30, 1e-8, 1e8, 1e30, 1e76, 1e150, 1e300};
    return scales[below(std::size(scales))];
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

// Columns of a given rank, some of which repeat, with dimensions that are constant, on any scale; a few values may be NaN
// or infinite.
MatrixXd columns(Random& random, Index d, Index n, bool finite = false) {
  const Index rank = random.one_in(3) ? random.below(std::min(d, n) + 1) : std::min(d, n);
  MatrixXd left(d, rank), right(rank, n);
  for (double& value : left.reshaped()) value = random.normal();
  for (double& value : right.reshaped()) value = random.normal();
  MatrixXd out = rank == 0 ? MatrixXd::Zero(d, n) : MatrixXd(left * right);
  if (random.one_in(4)) out.col(random.below(n)) = out.col(random.below(n));
  if (random.one_in(4)) out.row(random.below(d)).setConstant(random.normal());
  if (random.one_in(4)) out.array() += 1e6 * random.normal();
  if (random.one_in(6)) out.row(random.below(d)) *= random.scale();
  out *= random.scale();
  if (!finite && random.one_in(8)) {
    constexpr double odd[] = {kNan, kInf, -kInf, 1e308, 5e-324, -0.0};
    out(random.below(d), random.below(n)) = odd[random.below(std::size(odd))];
  }
  return out;
}

MatrixXd covariance(const MatrixXd& x) {
  const MatrixXd centred = x.colwise() - x.rowwise().mean();
  const MatrixXd s = centred * centred.transpose() / static_cast<double>(std::max<Index>(1, x.cols() - 1));
  return (s + s.transpose()) / 2;
}

// Calls `run`; true if it returned. Exceptions of the standard library, and so of the core, are refusals.
template <class Run>
bool returned(const Run& run) {
  try {
    run();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

void fuzz_resize(Random& random) {
  using Kernel = void (*)(const Image&, const Planes&);
  constexpr Kernel kernels[] = {
      resize_pytorch,         resize_tensorflow,        resize_clean, resize_keras, resize_torchmetrics,
      interpolate_tensorflow, interpolate_torch_bicubic};
  const bool tall = random.one_in(4), wide = random.one_in(4);
  const Index h = random.size(tall ? 700 : 40), w = random.size(wide ? 700 : 40);
  const Index out_h = random.size(40), out_w = random.size(40);
  std::vector<std::uint8_t> pixels(3 * h * w);
  for (auto& pixel : pixels) pixel = static_cast<std::uint8_t>(random.below(256));
  const Index which = random.below(std::size(kernels));
  const float most = which < 5 ? 1.00001f : 400.0f;  // a bicubic filter overshoots 0...255
  std::vector<float> out(3 * out_h * out_w, 1e30f);
  kernels[which]({pixels.data(), h, w}, {out.data(), out_h, out_w});
  for (const float value : out) CHECK(std::abs(value) <= most);
}

struct Both {
  VectorXd mu;
  MatrixXd sigma;
};

Both read(const Moments& moments) {
  Both both{VectorXd(moments.dims()), MatrixXd(moments.dims(), moments.dims())};
  moments.mean(both.mu.data());
  moments.covariance(both.sigma.data());
  return both;
}

bool same_bits(const MatrixXd& a, const MatrixXd& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), sizeof(double) * a.size()) == 0;
}

void fuzz_moments(Random& random) {
  const bool many = random.one_in(20);  // more than a block
  const Index d = random.size(many ? 3 : 20), n = many ? 500 + random.below(800) : 1 + random.below(40);
  const MatrixXd x = columns(random, d, n);
  const bool narrow = random.one_in(2);
  const Eigen::MatrixXf narrowed = x.cast<float>();
  Moments whole(d), parts(d), other(d);
  const auto add = [&](Moments& to, Index first, Index count) {
    if (narrow)
      to.update(narrowed.data() + first * d, count);
    else
      to.update(x.data() + first * d, count);
  };
  add(whole, 0, n);
  const Index half = random.below(n + 1);
  for (Index at = 0; at < n;) {
    const Index count = 1 + random.below(n - at);
    add(parts, at, count);
    at += count;
  }
  CHECK(parts.count() == n && whole.count() == n);
  if (n >= 2) {
    const bool is = returned([&] { read(whole); });
    CHECK(returned([&] { read(parts); }) == is);
    if (is)
      CHECK(same_bits(read(whole).mu, read(parts).mu) && same_bits(read(whole).sigma, read(parts).sigma));
  }
  add(other, 0, half);
  Moments rest(d);
  add(rest, half, n - half);
  returned([&] { other.merge(rest); });
  // A state that comes back has the same bits; one that was damaged is refused, or has a covariance of that size.
  const Index packed = d * (d + 1) / 2;
  VectorXd shift = VectorXd::Zero(d), offset = VectorXd::Zero(d), m2 = VectorXd::Zero(packed);
  if (whole.folded() > 0) whole.state(shift.data(), offset.data(), m2.data());
  const auto restored = [&] {
    return whole.rows_are_float() ? Moments::from_state(d, whole.folded(), shift.data(), offset.data(),
                                                        m2.data(), whole.rows_float(), whole.pending())
                                  : Moments::from_state(d, whole.folded(), shift.data(), offset.data(),
                                                        m2.data(), whole.rows_double(), whole.pending());
  };
  returned([&] {
    const Moments again = restored();
    if (n >= 2 && returned([&] { read(whole); })) CHECK(same_bits(read(again).sigma, read(whole).sigma));
  });
  m2[random.below(packed)] = random.one_in(2) ? kNan : -1e300;
  returned([&] { CHECK(restored().count() == n); });
}

Gaussian gaussian(const MatrixXd& rows, const MatrixXd& sigma, bool of_rows) {
  Gaussian g;
  g.d = rows.rows();
  if (of_rows) {
    g.rows = rows.data();
    g.n = rows.cols();
  } else {
    g.sigma = sigma.data();
  }
  return g;
}

void fuzz_frechet(Random& random) {
  const Index d = random.size(14), n = 2 + random.below(20), m = 2 + random.below(20);
  const MatrixXd x = columns(random, d, n), y = random.one_in(5) && n == m ? x : columns(random, d, m);
  MatrixXd sx = covariance(x), sy = covariance(y);
  if (random.one_in(10))
    sx(random.below(d), random.below(d)) += random.normal();  // neither symmetric nor definite
  const Gaussian a = gaussian(x, sx, random.one_in(2)), b = gaussian(y, sy, random.one_in(2));
  const bool finite = x.allFinite() && y.allFinite() && sx.allFinite() && sy.allFinite();
  std::vector<TraceRoot> found;  // GCC warns of values that it cannot see set
  const bool is = returned([&] { found.push_back(trace_root(a, b)); });
  CHECK(returned([&] { found.push_back(trace_root(b, a)); }) == is);
  if (is && finite) {
    const TraceRoot &one = found.at(0), &other = found.at(1);
    CHECK(std::isfinite(one.value) && one.value >= 0 && one.error >= 0);
    CHECK(one.value == other.value && one.exponent == other.exponent);
    CHECK(one.rank1 >= 0 && one.rank1 <= d && one.rank2 >= 0 && one.rank2 <= d);
    CHECK(one.rank1 == other.rank2 && one.rank2 == other.rank1);
  }
  SchurTrace schur;
  if (returned([&] { schur = trace_root_schur(sx.data(), sy.data(), d, 1e-6); }) && finite)
    CHECK(std::isfinite(schur.value));
  const Matrix seen = look_at(sx.data(), d);
  CHECK(seen.finite == sx.allFinite());
}

void fuzz_sqrtm(Random& random) {
  const Index d = random.size(14);
  MatrixXd a = columns(random, d, d);
  if (random.one_in(4)) a = a.triangularView<Eigen::StrictlyUpper>().toDenseMatrix();  // nilpotent
  if (random.one_in(4)) a = (a - a.transpose()).eval();  // imaginary eigenvalues
  MatrixRoot root;
  if (returned([&] { root = sqrtm(a); })) {
    CHECK(a.allFinite());
    const MatrixXcd r = std::holds_alternative<MatrixXd>(root)
                            ? MatrixXcd(std::get<MatrixXd>(root).cast<Complex>())
                            : std::get<MatrixXcd>(root);
    CHECK(r.allFinite());
    const double norm = r.norm();
    const double largest = a.cwiseAbs().maxCoeff();  // 1e308 beside 1 takes a double beyond its digits
    if (largest > 1e-100 && largest < 1e100)
      CHECK_MOST((r * r - a).cwiseAbs().maxCoeff(), 1e3 * d * 2.3e-16 * norm * norm);
  }
  returned([&] { sqrtm_as_scipy(a); });
  MatrixXcd c = a.cast<Complex>() * Complex(random.normal(), random.normal());
  returned([&] { sqrtm(std::move(c)); });
}

template <class T>
void fuzz_pairs(Random& random) {
  const Index d = random.size(40), n = 1 + random.below(random.one_in(10) ? 300 : 12);
  const bool same = random.one_in(2);
  const MatrixXd wide = columns(random, d, n);
  using Columns = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  const Columns x = wide.cast<T>();
  const Index m = same ? n : 1 + random.below(12);
  const Columns y = same ? x : Columns(columns(random, d, m).template cast<T>());
  const Rows<T> rows_x{x.data(), n, d}, rows_y{same ? x.data() : y.data(), m, d};
  const bool finite = x.allFinite() && y.allFinite();
  const Index k = 1 + random.below(3);
  if (returned([&] { pairs::require_neighbours(m, k, same); })) {
    std::vector<std::int64_t> indices(n * k);
    std::vector<double> found(n * k);
    if (returned([&] { nearest(rows_x, rows_y, k, same, indices.data(), found.data()); })) {
      CHECK(finite);
      for (Index i = 0; i < n; ++i) {
        double before = 0;
        for (Index c = 0; c < k; ++c) {
          const Index j = indices[i * k + c];
          CHECK(j >= 0 && j < m && !(same && i == j));
          const double exact = squared_distance(rows_x[i], rows_y[j], d);
          CHECK(found[i * k + c] == exact && exact >= before);
          before = exact;
        }
        for (Index j = 0; j < m; ++j)  // none of the others is nearer
          if (!(same && i == j) && std::find(&indices[i * k], &indices[i * k] + k, j) == &indices[i * k] + k)
            CHECK(squared_distance(rows_x[i], rows_y[j], d) >= before);
      }
    }
  }
  std::vector<double> radii_x(n), radii_y(m), nearest_y(m), sums_x(n), sums_y(m);
  std::vector<std::int64_t> in_y(n), in_x(m);
  for (double& radius : radii_x) radius = std::abs(random.normal()) * random.scale();
  for (double& radius : radii_y)
    radius = random.one_in(9) ? kInf : std::abs(random.normal()) * random.scale();
  const bool strict = random.one_in(2);
  if (returned([&] {
        balls(rows_x, rows_y, radii_x.data(), radii_y.data(), strict, in_y.data(), in_x.data(),
              nearest_y.data());
      })) {
    for (Index i = 0; i < n; ++i) {
      Index count = 0;
      for (Index j = 0; j < m; ++j) {
        const double distance = squared_distance(rows_x[i], rows_y[j], d);
        count += strict ? distance < radii_y[j] : distance <= radii_y[j];
      }
      CHECK(in_y[i] == count);
    }
  }
  double squares = 0;
  if (returned([&] { squares = polynomial_sums(rows_x, rows_y, same, sums_x.data(), sums_y.data()); }) &&
      finite)
    CHECK(std::isfinite(squares));
  const double sigma = random.one_in(9) ? 0.0 : std::abs(random.normal()) * random.scale();
  if (returned([&] { gaussian_sums(rows_x, rows_y, sigma, sums_x.data(), sums_y.data()); }))
    for (const double sum : sums_x) CHECK(sum >= 0 && sum <= static_cast<double>(m) * (1 + 1e-4));
}

void fuzz_coordinates(Random& random) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Index n = 1 + random.below(300), d = random.size(20), p = random.size(20), k = random.size(5);
  const RowMajor rows = columns(random, n, d), directions = columns(random, p, d),
                 table = columns(random, k, p);
  const VectorXd mean = columns(random, d, 1);
  RowMajor out(n, k);
  coordinates::squares({rows.data(), mean.data(), directions.data(), table.data(), n, d, p, k}, out.data());
}

struct Fuzzer {
  const char* name;
  void (*run)(Random&);
};

constexpr Fuzzer fuzzers[] = {{"resize", fuzz_resize},
                              {"moments", fuzz_moments},
                              {"frechet", fuzz_frechet},
                              {"sqrtm", fuzz_sqrtm},
                              {"pairs of float", fuzz_pairs<float>},
                              {"pairs of double", fuzz_pairs<double>},
                              {"coordinates", fuzz_coordinates}};

}  // namespace

int main(int argc, char** argv) {
  const long cases = argc > 1 ? std::atol(argv[1]) : 1000;
  const char* given = argc > 2 ? argv[2] : std::getenv("FASTFID_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::printf("test_fuzz %ld %llu\n", cases, static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::uint64_t kind = 0;
  for (const Fuzzer& fuzzer : fuzzers) {
    ++kind;
    for (long number = 0; number < cases; ++number) {
      Random random(seed, kind, static_cast<std::uint64_t>(number));
      const int before = test::failures();
      fuzzer.run(random);
      if (test::failures() > before)
        std::fprintf(stderr, "... in %s, case %ld of seed %llu\n", fuzzer.name, number,
                     static_cast<unsigned long long>(seed));
      if (test::failures() > 50) return test::result();
    }
    std::printf("%s: %ld cases\n", fuzzer.name, cases);
    std::fflush(stdout);
  }
  return test::result();
}
