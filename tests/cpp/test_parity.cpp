// Prints what the library computes from numbers that parity.py makes, too: a name and the values of each result.
#include <complex>
#include <cstdint>
#include <cstdio>
#include <fastfid/distance.hpp>
#include <fastfid/kernels.hpp>
#include <fastfid/neighbours.hpp>
#include <fastfid/resize.hpp>
#include <fastfid/sqrtm.hpp>
#include <fastfid/threads.hpp>
#include <string>
#include <vector>

using namespace fastfid;

namespace {

// Value i of a stream, in [-1/2, 1/2): splitmix64, whose values do not depend on each other.
std::uint64_t bits(std::uint64_t stream, std::uint64_t i) {
  std::uint64_t z = (stream << 32) + (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

template <class T>
std::vector<T> drawn(std::uint64_t stream, Index count) {
  std::vector<T> values(count);
  for (Index i = 0; i < count; ++i)
    values[i] =
        static_cast<T>(static_cast<double>(bits(stream, i) >> 11) / static_cast<double>(1ull << 53) - 0.5);
  return values;
}

template <class T>
void show(const std::string& name, const std::vector<T>& values) {
  std::printf("%s", name.c_str());
  for (const T& value : values) std::printf(" %a", static_cast<double>(value));
  std::printf("\n");
}

void show(const std::string& name, const Distance& d) {
  show(name, std::vector<double>{d.value, d.mean_term, d.trace_term, d.error_estimate,
                                 static_cast<double>(d.rank1), static_cast<double>(d.rank2), d.offset});
}

template <class T>
void of_rows(const std::string& type) {
  constexpr Index d = 33, many = 700, few = 20;
  const auto x = drawn<T>(1, many * d), y = drawn<T>(2, few * d);
  const Rows<T> all{x.data(), many, d}, some{y.data(), few, d};
  show(type + " distance", frechet_distance(all, some));
  show(type + " distance of few", frechet_distance(some, Rows<T>{x.data(), few, d}));
  show(type + " distance by schur", frechet_distance(all, some, Method::schur, 1e-6));

  Moments moments(d), merged(d);
  moments.update(x.data(), many);
  merged.update(y.data(), few);
  merged.merge(moments);
  std::vector<double> mu(d), sigma(d * d);
  merged.mean(mu.data());
  merged.covariance(sigma.data());
  show(type + " mean", mu);
  show(type + " covariance", sigma);

  std::vector<std::int64_t> indices(many * 3), in_y(many), in_x(few);
  std::vector<double> distances(many * 3), nearest_y(few), rows(many), columns(few), radii(many, 4.0);
  nearest(all, all, 3, true, indices.data(), distances.data());
  show(type + " indices", indices);
  show(type + " distances", distances);
  balls(all, some, radii.data(), radii.data(), false, in_y.data(), in_x.data(), nearest_y.data());
  show(type + " in_y", in_y);
  show(type + " in_x", in_x);
  show(type + " nearest_y", nearest_y);
  const double squares = polynomial_sums(all, some, false, rows.data(), columns.data());
  rows.push_back(squares);
  show(type + " polynomial rows", rows);
  show(type + " polynomial columns", columns);
  gaussian_sums(all, some, 1.5, rows.data(), columns.data());
  rows.pop_back();
  show(type + " gaussian rows", rows);
  show(type + " gaussian columns", columns);
}

void roots() {
  constexpr Index n = 70;
  const auto a = drawn<double>(3, n * n), b = drawn<double>(4, n * n);
  std::vector<double> definite = a;  // large enough on its diagonal to have a real root
  for (Index i = 0; i < n; ++i) definite[i * n + i] += n;
  show("real root", std::get<std::vector<double>>(sqrtm(definite.data(), n)));
  std::vector<std::complex<double>> complex(n * n);
  for (Index i = 0; i < n * n; ++i) complex[i] = {a[i], b[i]};
  const auto root = std::get<std::vector<std::complex<double>>>(sqrtm(complex.data(), n));
  std::vector<double> parts;
  for (const auto& entry : root) parts.insert(parts.end(), {entry.real(), entry.imag()});
  show("complex root", parts);
}

void images() {
  std::vector<std::uint8_t> pixels(17 * 11 * 3);
  for (Index i = 0; i < static_cast<Index>(pixels.size()); ++i)
    pixels[i] = static_cast<std::uint8_t>(bits(5, i) >> 56);
  const std::pair<const char*, void (*)(const Image&, const Planes&)> kernels[] = {
      {"resize_pytorch", resize_pytorch},
      {"resize_tensorflow", resize_tensorflow},
      {"resize_clean", resize_clean},
      {"resize_keras", resize_keras},
      {"resize_torchmetrics", resize_torchmetrics},
      {"interpolate_tensorflow", interpolate_tensorflow},
      {"interpolate_torch_bicubic", interpolate_torch_bicubic}};
  for (const auto& [name, resize] : kernels) {
    std::vector<float> planes(3 * 9 * 23);
    resize({pixels.data(), 17, 11}, {planes.data(), 9, 23});
    show(name, planes);
  }
}

}  // namespace

int main() {
  set_num_threads(1);
  of_rows<float>("float");
  of_rows<double>("double");
  roots();
  images();
}
