// What the resize kernels share. Each file opens with its formulas, its dtypes and its difference from the tool; the compiler
// must not contract a product and a sum into one rounding:
//
//   resize_bilinear.cpp     pytorch and tensorflow: two source pixels per axis, for any ratio
//   resize_antialiased.cpp  clean, torchmetrics and torch's bicubic: a filter that widens as the image shrinks
//   resize_nearest.cpp      keras: the nearest pixel of a smoothed image
//   resize_windows.hpp      the weighted sum of a window of the source, for the last two
#pragma once

#include "fastfid/resize.hpp"
#include "sizes.hpp"

namespace fastfid {

inline const Image& checked(const Image& image, const Planes& out) {
  require_size(image.height, "the height of the image", 1);
  require_size(image.width, "the width of the image", 1);
  require_size(out.height, "the height of the planes", 1);
  require_size(out.width, "the width of the planes", 1);
  return image;
}

}  // namespace fastfid
