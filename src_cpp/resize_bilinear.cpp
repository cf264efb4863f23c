// Bilinear between two source pixels per axis, for any ratio: pytorch and tensorflow.
//
// uint8 -> float32 weights and sums -> float32. x in 0...255, s = in / out in float32, along rows first:
//
//   pytorch      x / 255, then half-pixel centres: src = max(0, fma(s, i + 0.5, -0.5)), a (1 - w) + b w; then
//                2 x - 1. torch's upsample_bilinear2d on a CPU with FMA contracts its sums: a few ulp from it,
//                below 1e-6.
//   tensorflow   as TensorFlow 1 had it, without half-pixel centres: src = i s, a + (b - a) w; then
//                (x - 128) / 128, or left in 0...255 (interpolate_tensorflow). Bit-equal to torch-fidelity.
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "resize.hpp"

namespace fastfid {
namespace {

// For each output index the two source indices and the weight of the second.
struct Taps {
  std::vector<Index> low, high;
  std::vector<float> weight;
};

template <class Position>
Taps make_taps(Index in, Index out, Position position) {
  Taps taps{std::vector<Index>(out), std::vector<Index>(out), std::vector<float>(out)};
  const float scale = static_cast<float>(static_cast<double>(in) / static_cast<double>(out));
  for (Index i = 0; i < out; ++i) {
    const float src = position(scale, static_cast<float>(i));
    taps.low[i] = std::min(static_cast<Index>(src), in - 1);
    taps.high[i] = std::min(taps.low[i] + 1, in - 1);
    taps.weight[i] = std::min(src - static_cast<float>(taps.low[i]), 1.0f);
  }
  return taps;
}

struct PyTorch {
  static float position(float scale, float i) { return std::max(0.0f, std::fma(scale, i + 0.5f, -0.5f)); }
  static float decode(int value) { return static_cast<float>(value) / 255.0f; }
  static float blend(float a, float b, float w) { return a * (1.0f - w) + b * w; }
  static float scale(float x) { return 2.0f * x - 1.0f; }
};

struct TensorFlow {
  static float position(float scale, float i) { return i * scale; }
  static float decode(int value) { return static_cast<float>(value); }
  static float blend(float a, float b, float w) { return a + (b - a) * w; }
  static float scale(float x) { return (x - 128.0f) / 128.0f; }
};

struct TensorFlowPixels : TensorFlow {
  static float scale(float x) { return x; }
};

template <class Protocol>
class Bilinear {
 public:
  Bilinear(const Image& image, const Planes& out)
      : image_(checked(image, out)),
        out_(out),
        columns_(make_taps(image.width, out.width, Protocol::position)),
        rows_(make_taps(image.height, out.height, Protocol::position)) {
    for (int v = 0; v < 256; ++v) decoded_[v] = Protocol::decode(v);
    for (auto& row : cache_) row.values.resize(3 * out.width);
  }

  void run() {
    for (Index y = 0; y < out_.height; ++y) {
      const float* low = row(rows_.low[y], rows_.high[y]);
      const float* high = row(rows_.high[y], rows_.low[y]);
      const float w = rows_.weight[y];
      for (Index c = 0; c < 3; ++c) {
        const float *a = low + c * out_.width, *b = high + c * out_.width;
        float* to = out_.values + (c * out_.height + y) * out_.width;
        for (Index x = 0; x < out_.width; ++x) to[x] = Protocol::scale(Protocol::blend(a[x], b[x], w));
      }
    }
  }

 private:
  struct CachedRow {
    Index source = -1;
    std::vector<float> values;  // (3, out width): one source row, resized along its width
  };

  // The resized source row; never evicts the row `keep`, which the caller needs beside it.
  const float* row(Index source, Index keep) {
    for (const auto& cached : cache_)
      if (cached.source == source) return cached.values.data();
    CachedRow& slot = cache_[0].source == keep ? cache_[1] : cache_[0];
    slot.source = source;
    const std::uint8_t* pixels = image_.pixels + source * image_.width * 3;
    for (Index c = 0; c < 3; ++c)
      for (Index x = 0; x < out_.width; ++x)
        slot.values[c * out_.width + x] =
            Protocol::blend(decoded_[pixels[3 * columns_.low[x] + c]],
                            decoded_[pixels[3 * columns_.high[x] + c]], columns_.weight[x]);
    return slot.values.data();
  }

  Image image_;
  Planes out_;
  Taps columns_, rows_;
  std::array<float, 256> decoded_;
  std::array<CachedRow, 2> cache_;
};

}  // namespace

void resize_pytorch(const Image& image, const Planes& out) { Bilinear<PyTorch>(image, out).run(); }
void resize_tensorflow(const Image& image, const Planes& out) { Bilinear<TensorFlow>(image, out).run(); }
void interpolate_tensorflow(const Image& image, const Planes& out) {
  Bilinear<TensorFlowPixels>(image, out).run();
}

}  // namespace fastfid
