// uint8 RGB (height, width, 3) -> float32 planes (3, out_height, out_width) in the network's range [-1, 1].
//
// One kernel per protocol, each in the arithmetic of the tool that it reproduces; float32 weights and sums,
// no contraction, and the identity (but for the scaling) where the sizes are equal.
//
//   pytorch      x / 255, then bilinear with half-pixel centres: src = max(0, fma(s, i + 0.5, -0.5)), s = in
//   / out in
//                float32, a w0 + b w1 along rows, then along columns; then 2 x - 1. torch's
//                upsample_bilinear2d on a CPU with FMA contracts its sums, hence a difference of a few ulp,
//                below 1e-6.
//   tensorflow   bilinear as TensorFlow 1 had it (no half-pixel centres): src = i * s, a + (b - a) w; then
//                (x - 128) / 128. Bit-equal to torch-fidelity.
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

}  // namespace fastfid
