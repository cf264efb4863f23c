// The nearest source pixel of a smoothed image: keras.
//
// uint8 -> weights and sums in float64 -> float32. s = in / out:
//
//   keras        the source pixel floor((i + 1/2) s - 1/2 + 1/2), in float64, of the image that scikit-image's
//                resize(order=0) smooths first along each axis that shrinks: a Gaussian of sigma (s - 1) / 2, cut
//                at int(4 sigma + 1/2) pixels, mirrored about the outermost pixels; columns first; then
//                x / 127.5 - 1. Bit-equal but for the order of a float64 sum, which moves one float32 in about
//                1e8 by an ulp (1.2e-7).
//                skimage/transform/_warps.py 0.26, scipy/ndimage/_filters.py 1.17.
#include <algorithm>
#include <cmath>
#include <vector>

#include "resize.hpp"
#include "resize_windows.hpp"

namespace fastfid {
namespace {

struct Keras : Float64 {
  static float scale(float x) { return x / 127.5f - 1.0f; }

  // ... c b a b c d c b a ...: the edge pixel is not repeated.
  static Index mirror(Index j, Index in) {
    if (in == 1) return 0;
    const Index period = 2 * (in - 1), k = std::abs(j) % period;
    return std::min(k, period - k);
  }

  // Where the image shrinks, the Gaussian about the nearest pixel, folded back into the image.
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

}  // namespace

void resize_keras(const Image& image, const Planes& out) { Windowed<Keras>(image, out).columns_first(); }

}  // namespace fastfid
