// The library as another program sees it: its headers only, its errors, and values that are known.
#include <cmath>
#include <complex>
#include <cstdint>
#include <fastfid/distance.hpp>
#include <fastfid/errors.hpp>
#include <fastfid/kernels.hpp>
#include <fastfid/neighbours.hpp>
#include <fastfid/resize.hpp>
#include <fastfid/sqrtm.hpp>
#include <fastfid/threads.hpp>
#include <fastfid/version.hpp>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "checks.hpp"

using namespace fastfid;

namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::vector<double> kMu1 = {0, 0}, kMu2 = {1, 0}, kSigma1 = {1, 0, 0, 4}, kSigma2 = {4, 0, 0, 1};

Gaussian gaussian(const std::vector<double>& mu, const std::vector<double>& sigma) {
  Gaussian g;
  g.mu = mu.data();
  g.sigma = sigma.data();
  g.d = static_cast<Index>(mu.size());
  return g;
}

double error_of(const Distance& distance, double expected) { return std::abs(distance.value - expected); }

void distances_that_are_known() {
  for (const Method method : {Method::automatic, Method::schur}) {
    const Distance distance = frechet_distance(gaussian(kMu1, kSigma1), gaussian(kMu2, kSigma2), method);
    CHECK(error_of(distance, 3) < 1e-12 && std::abs(distance.mean_term - 1) < 1e-12);
    CHECK((method == Method::automatic) == (distance.rank1 == 2 && distance.error_estimate < 1e-12));
  }
  const double x[] = {0, 2}, y[] = {1, 3};
  const float narrow_x[] = {0, 2}, narrow_y[] = {1, 3};
  CHECK(error_of(frechet_distance(Rows<double>{x, 2, 1}, Rows<double>{y, 2, 1}), 1) < 1e-12);
  CHECK(error_of(frechet_distance(Rows<float>{narrow_x, 2, 1}, Rows<float>{narrow_y, 2, 1}), 1) < 1e-12);
  Gaussian rows;  // without a mean: it is taken of the rows
  rows.rows = x;
  rows.n = 2;
  rows.d = 1;
  const std::vector<double> mu = {2}, sigma = {2};
  CHECK(error_of(frechet_distance(rows, gaussian(mu, sigma)), 1) < 1e-12);
}

void a_covariance_that_rounding_made_asymmetric() {
  std::vector<double> nearly = {1, 0.5, 0.5 + 1e-9, 4};
  const Distance distance = frechet_distance(gaussian(kMu1, nearly), gaussian(kMu1, nearly));
  CHECK(distance.value == 0);
  nearly[2] = 0.6;
  CHECK_THROWS(std::invalid_argument, frechet_distance(gaussian(kMu1, nearly), gaussian(kMu1, kSigma1)));
}

void distances_that_are_refused() {
  const Gaussian good = gaussian(kMu1, kSigma1);
  const auto refused = [&](const std::vector<double>& mu, const std::vector<double>& sigma) {
    CHECK_THROWS(std::invalid_argument, frechet_distance(gaussian(mu, sigma), good));
    CHECK_THROWS(std::invalid_argument, frechet_distance(good, gaussian(mu, sigma)));
  };
  refused({0}, {1});
  refused({0, kNaN}, kSigma1);
  refused(kMu1, {1, 0, 0, kNaN});
  refused(kMu1, {1, 0, 0, -1});
  refused(kMu1, {1, 3, 3, 1});
  CHECK_THROWS(IndefiniteError, frechet_distance(good, gaussian(kMu1, {1, 3, 3, 1})));
  CHECK_THROWS(std::invalid_argument, frechet_distance(Gaussian(), good));
  CHECK_THROWS(std::invalid_argument, frechet_distance(good, good, Method::schur, kNaN));
  CHECK_THROWS(OverflowError, frechet_distance(good, gaussian({1e200, 0}, kSigma1)));
  const double x[] = {0, 2, kNaN};
  CHECK_THROWS(std::invalid_argument, frechet_distance(Rows<double>{x, 3, 1}, Rows<double>{x, 2, 1}));
  CHECK_THROWS(std::invalid_argument, frechet_distance(Rows<double>{x, 1, 1}, Rows<double>{x, 2, 1}));
  CHECK_THROWS(std::invalid_argument, frechet_distance(Rows<double>{x, 0, 0}, Rows<double>{x, 0, 0}));
  CHECK_THROWS(std::invalid_argument, frechet_distance(Rows<double>{x, -2, 1}, Rows<double>{x, 2, 1}));
}

void moments_are_values() {
  const double rows[] = {0, 1, 2, 5, 7, 1};
  Moments a(2);
  CHECK(a.dims() == 2 && a.count() == 0 && a.has_rows());
  a.update(rows, 2);
  Moments copy = a;
  copy.update(rows + 4, 1);
  CHECK(a.count() == 2 && copy.count() == 3 && a.has_rows() && !copy.has_rows());
  Moments moved = std::move(copy), other(2);
  other = a;
  other.merge(moved);
  CHECK(moved.count() == 3 && other.count() == 5 && a.count() == 2);
  double mu[2], sigma[4];
  moved.mean(mu);
  moved.covariance(sigma);
  CHECK(std::abs(mu[0] - 3) < 1e-15 && std::abs(sigma[0] - 13) < 1e-14 && sigma[1] == sigma[2]);
  CHECK_THROWS(std::invalid_argument, Moments(0));
  CHECK_THROWS(std::invalid_argument, Moments(-1));
  CHECK_THROWS(std::invalid_argument, a.merge(Moments(3)));
  CHECK_THROWS(std::invalid_argument, a.update(rows, -1));
  CHECK_THROWS(std::invalid_argument, Moments(2).covariance(sigma));
}

void roots() {
  const double a[] = {5, 4, 4, 5};
  const auto root = std::get<std::vector<double>>(sqrtm(a, 2));
  CHECK(std::abs(root[0] - 2) < 1e-14 && std::abs(root[1] - 1) < 1e-14);
  const double negative[] = {-4, 0, 0, 1};
  const auto complex = std::get<std::vector<std::complex<double>>>(sqrtm(negative, 2));
  CHECK(std::abs(complex[0] - std::complex<double>(0, 2)) < 1e-14);
  const double nilpotent[] = {0, 1, 0, 0};
  CHECK_THROWS(LinAlgError, sqrtm(nilpotent, 2));
  CHECK_THROWS(std::invalid_argument, sqrtm(a, -1));
  CHECK(std::get<std::vector<double>>(sqrtm(a, 0)).empty());
}

void pairs() {
  const float x[] = {0, 1, 5}, y[] = {4, 0};
  std::int64_t indices[3], in_y[3], in_x[2];
  double distances[3], nearest_y[2], rows[3], columns[2];
  nearest({x, 3, 1}, {y, 2, 1}, 1, false, indices, distances);
  CHECK(indices[0] == 1 && indices[2] == 0 && distances[1] == 1);
  const double radii[] = {1, 1, 1};
  balls({x, 3, 1}, {y, 2, 1}, radii, radii, true, in_y, in_x, nearest_y);
  CHECK(in_y[0] == 1 && in_y[1] == 0 && in_x[0] == 0 && nearest_y[0] == 1);
  CHECK(polynomial_sums({x, 3, 1}, {y, 2, 1}, false, rows, columns) > 0 && rows[0] == 2 && columns[1] == 3);
  gaussian_sums({x, 3, 1}, {y, 2, 1}, 1, rows, columns);
  CHECK(std::abs(rows[0] - 1 - std::exp(-8)) < 1e-5);
  CHECK_THROWS(std::invalid_argument, nearest({x, 3, 1}, {y, 2, 1}, 3, false, indices, distances));
  CHECK_THROWS(std::invalid_argument, nearest({x, 0, 1}, {y, 2, 1}, 1, false, indices, distances));
  CHECK_THROWS(std::invalid_argument, gaussian_sums({x, 3, 1}, {y, 2, 1}, 0, rows, columns));
  const float bad[] = {0, std::numeric_limits<float>::infinity()};
  CHECK_THROWS(OverflowError, nearest({x, 3, 1}, {bad, 2, 1}, 1, false, indices, distances));
}

void images() {
  const std::uint8_t pixels[] = {0, 128, 255};
  float planes[12];
  for (const auto resize :
       {resize_pytorch, resize_tensorflow, resize_clean, resize_keras, resize_torchmetrics}) {
    resize({pixels, 1, 1}, {planes, 2, 2});
    CHECK(planes[0] <= -1 + 1e-2 && planes[3] == planes[0] && planes[11] > 0.99);
    CHECK_THROWS(std::invalid_argument, resize({pixels, 0, 1}, {planes, 2, 2}));
    CHECK_THROWS(std::invalid_argument, resize({pixels, 1, 1}, {planes, 2, -2}));
  }
}

void the_rest() {
  CHECK(std::string(version()) == FASTFID_VERSION);
  set_num_threads(1);
  CHECK(num_threads() == 1);
  CHECK_THROWS(std::invalid_argument, set_num_threads(0));
}

}  // namespace

int main() {
  distances_that_are_known();
  a_covariance_that_rounding_made_asymmetric();
  distances_that_are_refused();
  moments_are_values();
  roots();
  pairs();
  images();
  the_rest();
  return test::result();
}
