// uint8 RGB (height, width, 3) -> float32 planes (3, out_height, out_width): in the network's range [-1, 1] by the
// kernels of the modes (resize_*), in 0...255 by those for other networks (interpolate_*), which are scaled later.
//
// One kernel per protocol, each in the arithmetic of the tool that it reproduces; the compiler must not contract
// a product and a sum into one rounding. If the sizes are equal, only the scaling changes the values. Each file opens with
// its formulas, its dtypes and its difference from the tool:
//
//   resize_bilinear.cpp     pytorch and tensorflow: two source pixels per axis, for any ratio
//   resize_antialiased.cpp  clean, torchmetrics and torch's bicubic: a filter that widens as the image shrinks
//   resize_nearest.cpp      keras: the nearest pixel of a smoothed image
//   resize_windows.hpp      the weighted sum of a window of the source, for the last two
#pragma once

#include <cstdint>

#include "lapack.hpp"

namespace fastfid {

struct Image {
  const std::uint8_t* pixels;  // (height, width, 3)
  Index height;
  Index width;
};

struct Planes {
  float* values;  // (3, height, width)
  Index height;
  Index width;
};

void resize_pytorch(const Image& image, const Planes& out);
void resize_tensorflow(const Image& image, const Planes& out);
void resize_clean(const Image& image, const Planes& out);
void resize_keras(const Image& image, const Planes& out);
void resize_torchmetrics(const Image& image, const Planes& out);
void interpolate_tensorflow(const Image& image, const Planes& out);
void interpolate_torch_bicubic(const Image& image, const Planes& out);

}  // namespace fastfid
