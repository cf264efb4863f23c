// A resize in which every output of an axis is a weighted sum of a window of the source.
//
//   out[i] = sum_j weights[i][j] * source[first[i] + j]
//
// uint8 -> sums of Protocol::Sum, in the order of j from zero -> float32, one axis after the other, with float32
// between the two. A protocol gives the windows of an axis, the sum's arithmetic and the range of its output;
// its file gives the formulas and what the result is equal to.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "resize.hpp"

namespace fastfid {

// One output of an axis: the sum of weights[j] * source[first + j].
template <class Weight>
struct Window {
  Index first = 0;
  std::vector<Weight> weights;
  std::size_t plain = 0;  // how many terms come before those that are added with one rounding (torchmetrics)
};

template <class Weight>
using Windows = std::vector<Window<Weight>>;  // (out)

struct Float64 {
  using Weight = double;
  using Sum = double;
  static double add(double sum, double x, double w) { return sum + x * w; }
  static double add_fused(double sum, double x, double w) { return add(sum, x, w); }
};

// A resize by windows, one axis after the other, float32 between them. Four rows at a time go along the
// width, so that one weight serves twelve lanes; the image itself is never held in float.
template <class Protocol>
class Windowed {
 public:
  Windowed(const Image& image, const Planes& out)
      : image_(checked(image, out)),
        out_(out),
        columns_(Protocol::windows(image.width, out.width)),
        rows_(Protocol::windows(image.height, out.height)),
        strip_(lanes * image.width),
        sums_(3 * std::max(image.width, out.width)) {}

  // Along the width, then along the height. A ring holds the source rows that the next output needs.
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

  // One row (width, 3) into place r of the strip.
  template <class Value>
  void load(Index r, const Value* row) {
    for (Index i = 0; i < 3 * image_.width; ++i) strip_[i * group + r] = static_cast<float>(row[i]);
  }

  // The strip, resized along its width, to to(channel, place in the group).
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

  // The window's sum of rows of n values, into sums_.
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

}  // namespace fastfid
