// Filters that are stretched by max(s, 1), so that an image that shrinks is smoothed: clean, torchmetrics, torch's
// bicubic.
//
// uint8 -> weights and sums in float64 (clean) or float32 (the others) -> float32. s = in / out:
//
//   clean        Pillow's bicubic (a = -1/2) in mode "F", clipped to 0...255, then (x - 128) / 128. Columns first
//                if the height shrinks by more than twice what the width does, as in Pillow 13; bit-equal to
//                it if it was compiled without contraction (x86-64). Pillow 12 and before always takes rows
//                first: 2.4e-7.
//                libImaging/Resample.c; Parmar, Zhang, Zhu, "On Aliased Resizing", CVPR 2022.
//   torchmetrics torch's interpolate(antialias=True), bilinear, then (x - 128) / 128; rows first. As torch's
//                wheels are compiled for AVX2 and AVX-512, a window is summed in fours with two roundings a
//                term, and what is left over with one (FMA); bit-equal to torch 2.13, where a CPU without FMA
//                differs by 3.6e-7.
//                aten/src/ATen/native/cpu/UpSampleKernel.cpp, HelperInterpBase.
//   torch bicubic  torch's interpolate(antialias=True), bicubic (a = -1/2), neither clipped nor scaled: beside an
//                edge it leaves 0...255. Sums and source as for torchmetrics; bit-equal to torch 2.13 as well.
#include <algorithm>
#include <cmath>

#include "resize.hpp"
#include "resize_windows.hpp"

namespace fastfid {
namespace {

// Leaves out the zeros at both ends, which change no sum: an axis of equal sizes costs one weight an output.
void trim(Window<double>& window) {
  auto& w = window.weights;
  const auto used = [](double x) { return x != 0; };
  w.erase(std::find_if(w.rbegin(), w.rend(), used).base(), w.end());
  const auto zeros = std::find_if(w.begin(), w.end(), used) - w.begin();
  w.erase(w.begin(), w.begin() + zeros);
  window.first += zeros;
}

struct Clean : Float64 {
  static float scale(float x) { return (std::min(std::max(x, 0.0f), 255.0f) - 128.0f) / 128.0f; }

  // Keys' cubic with a = -1/2, as Pillow writes it.
  static double filter(double x) {
    x = std::abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * -0.5;
    return 0;
  }

  static Windows<double> windows(Index in, Index out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double stretch = std::max(scale, 1.0), support = 2 * stretch, inverse = 1 / stretch;
    Windows<double> windows(out);
    for (Index i = 0; i < out; ++i) {
      Window<double>& window = windows[i];
      const double center = (static_cast<double>(i) + 0.5) * scale;
      window.first = std::max<Index>(static_cast<Index>(center - support + 0.5), 0);
      const Index last = std::min(static_cast<Index>(center + support + 0.5), in);
      double total = 0;
      for (Index j = window.first; j < last; ++j) {
        window.weights.push_back(filter((static_cast<double>(j) - center + 0.5) * inverse));
        total += window.weights.back();
      }
      for (double& w : window.weights) w /= total;
      trim(window);
    }
    return windows;
  }
};

template <class Filter>
struct Torch {
  using Weight = float;
  using Sum = float;
  static float add(float sum, float x, float w) { return sum + x * w; }
  // fma(x, w, sum) without a library call: the product is exact in float64, the sum rounded there and again
  // to float32, which differs from one rounding once in some 2^28 sums.
  static float add_fused(float sum, float x, float w) {
    return static_cast<float>(static_cast<double>(sum) + static_cast<double>(x) * static_cast<double>(w));
  }
  static float scale(float x) { return Filter::scale(x); }

  // torch's own mixture: positions in float32 but for the halves, which are float64 literals there.
  static Windows<float> windows(Index in, Index out) {
    const float scale = static_cast<float>(in) / static_cast<float>(out);
    const float stretch = std::max(scale, 1.0f), support = Filter::radius * stretch;
    const double inverse = static_cast<float>(1.0 / static_cast<double>(stretch));
    const Index most = 2 * static_cast<Index>(std::ceil(support)) + 1;
    const auto round = [](float x) { return static_cast<Index>(static_cast<double>(x) + 0.5); };
    Windows<float> windows(out);
    for (Index i = 0; i < out; ++i) {
      Window<float>& window = windows[i];
      const auto center = static_cast<float>(static_cast<double>(scale) * (static_cast<double>(i) + 0.5));
      window.first = std::max<Index>(round(center - support), 0);
      const Index last = std::min({round(center + support), in, window.first + most});
      float total = 0;
      for (Index j = window.first; j < last; ++j) {
        const double offset = static_cast<double>(static_cast<float>(j) - center) + 0.5;
        window.weights.push_back(Filter::weight(std::abs(static_cast<float>(offset * inverse))));
        total += window.weights.back();
      }
      for (float& w : window.weights) w /= total;
      window.plain = 1 + (window.weights.size() - 1) / 4 * 4;
    }
    return windows;
  }
};

struct Triangle {
  static constexpr float radius = 1;
  static float weight(float x) { return std::max(1.0f - x, 0.0f); }
  static float scale(float x) { return (x - 128.0f) / 128.0f; }
};

// Keys' cubic with a = -1/2, with the roundings of torch's wheels.
struct Cubic {
  static constexpr float radius = 2;
  static float weight(float x) {
    if (x < 1) return std::fma(std::fma(1.5f, x, -2.5f) * x, x, 1.0f);
    if (x < 2) return std::fma(std::fma(std::fma(-0.5f, x, 2.5f), x, -4.0f), x, 2.0f);
    return 0;
  }
  static float scale(float x) { return x; }
};

}  // namespace

void resize_clean(const Image& image, const Planes& out) {
  const Index fewer_rows = image.height - out.height, fewer_columns = image.width - out.width;
  Windowed<Clean> resize(image, out);
  if (fewer_rows > 0 && fewer_rows > 2 * fewer_columns)
    resize.columns_first();
  else
    resize.rows_first();
}

void resize_torchmetrics(const Image& image, const Planes& out) {
  Windowed<Torch<Triangle>>(image, out).rows_first();
}

void interpolate_torch_bicubic(const Image& image, const Planes& out) {
  Windowed<Torch<Cubic>>(image, out).rows_first();
}

}  // namespace fastfid
