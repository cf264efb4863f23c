#include "fastfid/resize.hpp"

#include <cmath>
#include <vector>

#include "check.hpp"

using namespace fastfid;

namespace {

using Kernel = void (*)(const Image&, const Planes&);
using Pixels = std::vector<std::uint8_t>;

constexpr Kernel kernels[] = {resize_pytorch, resize_tensorflow, resize_clean, resize_keras,
                              resize_torchmetrics};

// The kernel's output (3, out_height, out_width), with a guard behind it that must stay as it is.
std::vector<float> run(Kernel kernel, const Pixels& pixels, Index height, Index width, Index out_height,
                       Index out_width) {
  std::vector<float> out(3 * out_height * out_width + 8, 1e30f);
  kernel({pixels.data(), height, width}, {out.data(), out_height, out_width});
  for (std::size_t i = out.size() - 8; i < out.size(); ++i) CHECK(out[i] == 1e30f);
  out.resize(out.size() - 8);
  return out;
}

Pixels noise(Index height, Index width) {
  std::mt19937 engine(static_cast<unsigned>(height * 1000 + width));
  Pixels pixels(3 * height * width);
  for (auto& p : pixels) p = static_cast<std::uint8_t>(engine());
  return pixels;
}

Pixels grey(const Pixels& values) {
  Pixels pixels;
  for (const auto v : values) pixels.insert(pixels.end(), 3, v);
  return pixels;
}

float pytorch_range(int v) { return 2.0f * (static_cast<float>(v) / 255.0f) - 1.0f; }
float tensorflow_range(int v) { return (static_cast<float>(v) - 128.0f) / 128.0f; }

void identity_at_equal_sizes() {
  for (const Index h : {1, 5, 299})
    for (const Index w : {1, 8, 299}) {
      const Pixels pixels = noise(h, w);
      const auto p = run(resize_pytorch, pixels, h, w, h, w), t = run(resize_tensorflow, pixels, h, w, h, w);
      bool equal = true;
      for (Index c = 0; c < 3; ++c)
        for (Index i = 0; i < h * w; ++i) {
          equal &= p[c * h * w + i] == pytorch_range(pixels[3 * i + c]);
          equal &= t[c * h * w + i] == tensorflow_range(pixels[3 * i + c]);
        }
      CHECK(equal);
    }
}

void by_hand() {
  // One row of two pixels, 0 and 200, to four. Half-pixel centres: weights 0, 1/4, 3/4, 1 of the second.
  const Pixels two = grey({0, 200});
  const auto p = run(resize_pytorch, two, 1, 2, 1, 4);
  const float half_pixel[] = {0, 50, 150, 200};
  for (int i = 0; i < 4; ++i) CHECK_MOST(std::abs(p[i] - (2 * half_pixel[i] / 255 - 1)), 1e-6);
  // TensorFlow 1: src = 0, 1/2, 1, 3/2, the last beyond the edge.
  const auto t = run(resize_tensorflow, two, 1, 2, 1, 4);
  const float corner[] = {0, 100, 200, 200};
  for (int i = 0; i < 4; ++i) CHECK(t[i] == (corner[i] - 128) / 128);
  // Down: four pixels to two. Half-pixel takes the means, TensorFlow 1 every other one.
  const Pixels four = grey({0, 40, 80, 240});
  const auto pd = run(resize_pytorch, four, 1, 4, 1, 2), td = run(resize_tensorflow, four, 1, 4, 1, 2);
  CHECK_MOST(std::abs(pd[0] - (2 * 20.0 / 255 - 1)), 1e-6);
  CHECK_MOST(std::abs(pd[1] - (2 * 160.0 / 255 - 1)), 1e-6);
  CHECK(td[0] == tensorflow_range(0) && td[1] == tensorflow_range(80));
}

// The kernels that stay in 0...255.
void pixels_by_hand() {
  const Pixels two = grey({0, 200});
  const float corner[] = {0, 100, 200, 200};
  const auto t = run(interpolate_tensorflow, two, 1, 2, 1, 4);
  for (int i = 0; i < 4; ++i) CHECK(t[i] == corner[i]);
  // Keys' cubic, with the weights of windowed_by_hand below; it is not clipped.
  const float cubic[] = {-9, 102 * 29 / 140.0f, 102 * 111 / 140.0f, 111};
  const auto b = run(interpolate_torch_bicubic, grey({0, 102}), 1, 2, 1, 4);
  for (int i = 0; i < 4; ++i) CHECK_MOST(std::abs(b[i] - cubic[i]), 2e-5);
  // Down by 2 it is twice as wide.
  const auto d = run(interpolate_torch_bicubic, grey({0, 0, 121, 0}), 4, 1, 2, 1);
  CHECK_MOST(std::abs(d[0] - 29 / 2.0f), 2e-5);
  CHECK_MOST(std::abs(d[1] - 111 / 2.0f), 2e-5);
  for (const Kernel kernel : {interpolate_tensorflow, interpolate_torch_bicubic})
    for (const Index h : {1, 2, 2000})
      for (const Index w : {1, 3, 2000}) {
        const Pixels pixels = noise(h, w);
        const auto same = run(kernel, pixels, h, w, h, w);
        bool equal = true;
        for (Index c = 0; c < 3; ++c)
          for (Index i = 0; i < h * w; ++i) equal &= same[c * h * w + i] == pixels[3 * i + c];
        CHECK(equal);
        for (const float x : run(kernel, pixels, h, w, 299, 5)) CHECK(x >= -100 && x <= 355);
      }
}

void constants_stay() {
  for (const int v : {0, 1, 127, 255})
    for (const Index size : {1, 2, 31, 400}) {
      const Pixels pixels(3 * size * size, static_cast<std::uint8_t>(v));
      for (const float x : run(resize_pytorch, pixels, size, size, 29, 31))
        CHECK_MOST(std::abs(x - pytorch_range(v)), 3e-7);
      for (const float x : run(resize_tensorflow, pixels, size, size, 29, 31))
        CHECK(x == tensorflow_range(v));
    }
}

// A flip of the rows and columns against each other: the two axes are the same code.
void axes_are_alike() {
  const Index h = 13, w = 7;
  const Pixels pixels = noise(h, w);
  Pixels turned(pixels.size());
  for (Index y = 0; y < h; ++y)
    for (Index x = 0; x < w; ++x)
      for (Index c = 0; c < 3; ++c) turned[3 * (x * h + y) + c] = pixels[3 * (y * w + x) + c];
  for (const Kernel kernel : kernels) {
    const auto a = run(kernel, pixels, h, w, 20, 30), b = run(kernel, turned, w, h, 30, 20);
    float worst = 0;
    for (Index c = 0; c < 3; ++c)
      for (Index y = 0; y < 20; ++y)
        for (Index x = 0; x < 30; ++x)
          worst = std::max(worst, std::abs(a[(c * 20 + y) * 30 + x] - b[(c * 30 + x) * 20 + y]));
    CHECK_MOST(worst, 5e-7);
  }
}

// ---- clean, keras, torchmetrics: windows of the source, wider as the image shrinks.

constexpr Kernel windowed[] = {resize_clean, resize_keras, resize_torchmetrics};

float keras_range(int v) { return static_cast<float>(v) / 127.5f - 1.0f; }
float range_of(Kernel kernel, int v) { return kernel == resize_keras ? keras_range(v) : tensorflow_range(v); }

void windowed_identity_at_equal_sizes() {
  for (const Kernel kernel : windowed)
    for (const Index h : {1, 5, 299})
      for (const Index w : {1, 8, 299}) {
        const Pixels pixels = noise(h, w);
        const auto out = run(kernel, pixels, h, w, h, w);
        bool equal = true;
        for (Index c = 0; c < 3; ++c)
          for (Index i = 0; i < h * w; ++i)
            equal &= out[c * h * w + i] == range_of(kernel, pixels[3 * i + c]);
        CHECK(equal);
      }
}

// What one row or one column of grey pixels becomes, in 0...255.
void check_line(Kernel kernel, const Pixels& values, const std::vector<double>& expected, double bound) {
  const Index in = static_cast<Index>(values.size()), out = static_cast<Index>(expected.size());
  const auto row = run(kernel, grey(values), 1, in, 1, out),
             column = run(kernel, grey(values), in, 1, out, 1);
  const double unit = kernel == resize_keras ? 127.5 : 128;
  for (Index i = 0; i < 3 * out; ++i) {
    CHECK_MOST(std::abs(row[i] - (expected[i % out] / unit - 1)), bound / unit);
    CHECK(row[i] == column[i]);
  }
}

void windowed_by_hand() {
  // Keys' cubic at 1/4, 3/4, 5/4 is 111, 29, -9 (of 128): at the outer pixels the weights of two pixels are
  // (111, -9) / 102, between them (111, 29) / 140. The result may leave the source's range, not 0...255.
  check_line(resize_clean, {0, 102}, {0, 102 * 29 / 140.0, 102 * 111 / 140.0, 111}, 2e-5);
  check_line(resize_clean, {0, 255}, {0, 255 * 29 / 140.0, 255 * 111 / 140.0, 255}, 2e-5);
  // Down by 2 it is twice as wide.
  check_line(resize_clean, {0, 0, 121, 0}, {29 / 2.0, 111 / 2.0}, 2e-5);
  // Up, the nearest pixel; down by 3, a Gaussian of sigma 1 and radius 4 about pixels 1 and 4.
  check_line(resize_keras, {0, 200}, {0, 0, 200, 200}, 2e-5);
  double g[5], total = -1;
  for (int k = 0; k < 5; ++k) total += 2 * (g[k] = std::exp(-k * k / 2.0));
  check_line(resize_keras, {0, 0, 0, 0, 0, 102}, {102 * g[4] / total, 102 * g[1] / total}, 2e-5);
  check_line(resize_keras, {0, 0, 0, 0, 102, 0}, {102 * g[3] / total, 102 * (g[0] + g[2]) / total}, 2e-5);
  // Half-pixel bilinear up; down by 4, a triangle of half-width 4: (5, 7, 7, 5, 3, 1) / 28.
  check_line(resize_torchmetrics, {0, 200}, {0, 50, 150, 200}, 2e-5);
  check_line(resize_torchmetrics, {0, 0, 0, 0, 28, 0, 0, 0}, {3, 5}, 2e-5);
  check_line(resize_torchmetrics, {0, 0, 0, 0, 0, 0, 0, 28}, {0, 5}, 2e-5);
}

void windowed_constants_stay() {
  for (const Kernel kernel : windowed)
    for (const int v : {0, 1, 127, 255})
      for (const Index size : {1, 2, 31, 400}) {
        const Pixels pixels(3 * size * size, static_cast<std::uint8_t>(v));
        for (const float x : run(kernel, pixels, size, size, 29, 31))
          CHECK_MOST(std::abs(x - range_of(kernel, v)), kernel == resize_torchmetrics ? 1e-6 : 0);
      }
}

// Extreme shapes read no pixel outside the image and write none outside the planes (AddressSanitizer looks).
void extreme_shapes() {
  for (const Kernel kernel : kernels)
    for (const Index h : {1, 2, 2000})
      for (const Index w : {1, 3, 2000})
        for (const Index out : {1, 3, 299})
          for (const float x : run(kernel, noise(h, w), h, w, out, 5)) CHECK(x >= -1.0f && x <= 1.0f);
}

}  // namespace

int main() {
  identity_at_equal_sizes();
  by_hand();
  pixels_by_hand();
  constants_stay();
  axes_are_alike();
  windowed_identity_at_equal_sizes();
  windowed_by_hand();
  windowed_constants_stay();
  extreme_shapes();
  return test::result();
}
