#include "resize.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace fastfid {
namespace {

// For each output index, the two source indices and the weight of the second.
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

template <class Protocol>
class Bilinear {
 public:
  Bilinear(const Image& image, const Planes& out)
      : image_(image),
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

  // The resized source row; never evicts the row `keep`, which the caller needs at the same time.
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

// One output of an axis: the sum of weights[j] * source[first + j].
template <class Weight>
struct Window {
  Index first = 0;
  std::vector<Weight> weights;
  std::size_t plain = 0;  // number of terms before those that are added with one rounding (torchmetrics)
};

template <class Weight>
using Windows = std::vector<Window<Weight>>;  // (out)

// Removes the zeros at both ends, which change no sum. An axis of equal sizes then has one weight per output.
void trim(Window<double>& window) {
  auto& w = window.weights;
  const auto used = [](double x) { return x != 0; };
  w.erase(std::find_if(w.rbegin(), w.rend(), used).base(), w.end());
  const auto zeros = std::find_if(w.begin(), w.end(), used) - w.begin();
  w.erase(w.begin(), w.begin() + zeros);
  window.first += zeros;
}

struct Float64 {
  using Weight = double;
  using Sum = double;
  static double add(double sum, double x, double w) { return sum + x * w; }
  static double add_fused(double sum, double x, double w) { return add(sum, x, w); }
};

struct Clean : Float64 {
  static float scale(float x) { return (std::min(std::max(x, 0.0f), 255.0f) - 128.0f) / 128.0f; }

  // Keys' cubic with a = -1/2, written as in Pillow.
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

struct Keras : Float64 {
  static float scale(float x) { return x / 127.5f - 1.0f; }

  // Mirrored as ... c b a b c d c b a ..., without repeating the edge pixel.
  static Index mirror(Index j, Index in) {
    if (in == 1) return 0;
    const Index period = 2 * (in - 1), k = std::abs(j) % period;
    return std::min(k, period - k);
  }

  // If the image shrinks, the Gaussian around the nearest pixel, mirrored back into the image.
  static Windows<double> windows(Index in, Index out) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double sigma = std::max(0.0, (scale - 1) / 2);
    const Index radius = static_cast<Index>(4 * sigma + 0.5);
    std::vector<double> gaussian(2 * radius + 1, 1.0);
    double total = 1;
    for (Index k = 1; k <= radius; ++k) {
      const double w = std::exp(-0.5 / (sigma * sigma) * static_cast<double>(k * k));
      gaussian[radius - k] = gaussian[radius + k] = w;
      total += 2 * w;
    }
    Windows<double> windows(out);
    for (Index i = 0; i < out; ++i) {
      const double center = (static_cast<double>(i) + 0.5) * scale - 0.5;
      const Index nearest = std::clamp<Index>(static_cast<Index>(std::floor(center + 0.5)), 0, in - 1);
      const Index first = std::max<Index>(nearest - radius, 0), last = std::min(nearest + radius, in - 1);
      windows[i].first = first;
      windows[i].weights.assign(last - first + 1, 0.0);
      for (Index k = -radius; k <= radius; ++k)
        windows[i].weights[mirror(nearest + k, in) - first] += gaussian[k + radius] / total;
    }
    return windows;
  }
};

struct TorchMetrics {
  using Weight = float;
  using Sum = float;
  static float add(float sum, float x, float w) { return sum + x * w; }
  // fma(x, w, sum) without a library call. The product is exact in float64, and the sum is rounded to float64 and then
  // to float32, which differs from a single rounding in about one of 2^28 sums.
  static float add_fused(float sum, float x, float w) {
    return static_cast<float>(static_cast<double>(sum) + static_cast<double>(x) * static_cast<double>(w));
  }
  static float scale(float x) { return (x - 128.0f) / 128.0f; }

  // As in torch, positions are float32 except for the halves, which are float64 literals there.
  static Windows<float> windows(Index in, Index out) {
    const float scale = static_cast<float>(in) / static_cast<float>(out);
    const float support = std::max(scale, 1.0f);
    const double inverse = static_cast<float>(1.0 / static_cast<double>(support));
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
        window.weights.push_back(std::max(1.0f - std::abs(static_cast<float>(offset * inverse)), 0.0f));
        total += window.weights.back();
      }
      for (float& w : window.weights) w /= total;
      window.plain = 1 + (window.weights.size() - 1) / 4 * 4;
    }
    return windows;
  }
};

// A resize by windows, one axis after the other, with float32 between them. Along the width four rows are resized at a
// time, so that one weight is used for twelve lanes. The image itself is never stored in float.
template <class Protocol>
class Windowed {
 public:
  Windowed(const Image& image, const Planes& out)
      : image_(image),
        out_(out),
        columns_(Protocol::windows(image.width, out.width)),
        rows_(Protocol::windows(image.height, out.height)),
        strip_(lanes * image.width),
        sums_(3 * std::max(image.width, out.width)) {}

  // Along the width, then along the height. A ring buffer holds the source rows that the next output needs.
  void rows_first() {
    std::size_t longest = 1;
    for (const auto& window : rows_) longest = std::max(longest, window.weights.size());
    const Index slots = static_cast<Index>(longest) + group - 1, width = 3 * out_.width;
    std::vector<float> ring(slots * width);
    const auto slot = [&](Index y) { return ring.data() + y % slots * width; };
    Index next = 0;
    for (Index y = 0; y < out_.height; ++y) {
      const auto& window = rows_[y];
      for (; next < window.first + static_cast<Index>(window.weights.size()); next += group) {
        for (Index r = 0; r < group; ++r) load(r, source(std::min(next + r, image_.height - 1)));
        along_width([&](Index c, Index r) { return slot(next + r) + c * out_.width; });
      }
      along_height(window, width, slot);
      for (Index c = 0; c < 3; ++c)
        for (Index x = 0; x < out_.width; ++x)
          target(c, y)[x] = Protocol::scale(static_cast<float>(sums_[c * out_.width + x]));
    }
  }

  // Along the height, then along the width.
  void columns_first() {
    for (Index y = 0; y < out_.height; y += group) {
      const auto row = [&](Index r) { return std::min(y + r, out_.height - 1); };
      for (Index r = 0; r < group; ++r) {
        along_height(rows_[row(r)], 3 * image_.width, [this](Index i) { return source(i); });
        load(r, sums_.data());
      }
      along_width([&](Index c, Index r) { return target(c, row(r)); });
    }
    for (float *x = out_.values, *end = x + 3 * out_.height * out_.width; x != end; ++x)
      *x = Protocol::scale(*x);
  }

 private:
  using Weight = typename Protocol::Weight;
  using Sum = typename Protocol::Sum;
  static constexpr Index group = 4, lanes = 3 * group;

  const std::uint8_t* source(Index y) const { return image_.pixels + y * image_.width * 3; }
  float* target(Index c, Index y) const { return out_.values + (c * out_.height + y) * out_.width; }

  // Copies one row (width, 3) to place r of the strip.
  template <class Value>
  void load(Index r, const Value* row) {
    for (Index i = 0; i < 3 * image_.width; ++i) strip_[i * group + r] = static_cast<float>(row[i]);
  }

  // Resizes the strip along its width and writes to to(channel, place in the group).
  template <class To>
  void along_width(To to) {
    std::array<float*, lanes> targets;
    for (Index l = 0; l < lanes; ++l) targets[l] = to(l / group, l % group);
    for (Index x = 0; x < out_.width; ++x) {
      const auto& window = columns_[x];
      const float* from = strip_.data() + window.first * lanes;
      std::array<Sum, lanes> sums{};
      for (std::size_t j = 0; j < window.weights.size(); ++j, from += lanes) {
        const Weight w = window.weights[j];
        if (j < window.plain)
          for (Index l = 0; l < lanes; ++l) sums[l] = Protocol::add(sums[l], from[l], w);
        else
          for (Index l = 0; l < lanes; ++l) sums[l] = Protocol::add_fused(sums[l], from[l], w);
      }
      for (Index l = 0; l < lanes; ++l) targets[l][x] = static_cast<float>(sums[l]);
    }
  }

  // Writes the window's weighted sum of rows of n values into sums_.
  template <class Row>
  void along_height(const Window<Weight>& window, Index n, Row row) {
    Sum* const sums = sums_.data();
    std::fill_n(sums, n, Sum(0));
    for (std::size_t j = 0; j < window.weights.size(); ++j) {
      const auto* from = row(window.first + static_cast<Index>(j));
      const Weight w = window.weights[j];
      if (j < window.plain)
        for (Index i = 0; i < n; ++i) sums[i] = Protocol::add(sums[i], from[i], w);
      else
        for (Index i = 0; i < n; ++i) sums[i] = Protocol::add_fused(sums[i], from[i], w);
    }
  }

  Image image_;
  Planes out_;
  Windows<Weight> columns_, rows_;
  std::vector<float> strip_;  // (width, 3, group)
  std::vector<Sum> sums_;
};

}  // namespace

void resize_pytorch(const Image& image, const Planes& out) { Bilinear<PyTorch>(image, out).run(); }
void resize_tensorflow(const Image& image, const Planes& out) { Bilinear<TensorFlow>(image, out).run(); }

void resize_clean(const Image& image, const Planes& out) {
  const Index fewer_rows = image.height - out.height, fewer_columns = image.width - out.width;
  Windowed<Clean> resize(image, out);
  if (fewer_rows > 0 && fewer_rows > 2 * fewer_columns)
    resize.columns_first();
  else
    resize.rows_first();
}

void resize_keras(const Image& image, const Planes& out) { Windowed<Keras>(image, out).columns_first(); }
void resize_torchmetrics(const Image& image, const Planes& out) {
  Windowed<TorchMetrics>(image, out).rows_first();
}

}  // namespace fastfid
