// uint8 RGB (height, width, 3) -> float32 planes (3, out_height, out_width) in the network's range [-1, 1].
//
// One kernel per mode, each with the arithmetic of the tool that it reproduces. The compiler must not contract. If the
// sizes are equal, only the scaling changes the values. x is in 0...255, s = in / out.
//
// Kernels with two source pixels per axis, for any ratio; float32 weights and sums:
//
//   pytorch      x / 255, then bilinear with half-pixel centres: src = max(0, fma(s, i + 0.5, -0.5)), s in
//                float32, a w0 + b w1 along rows, then along columns; then 2 x - 1. torch's
//                upsample_bilinear2d on a CPU with FMA contracts its sums, hence a difference of a few ulp,
//                below 1e-6.
//   tensorflow   bilinear as in TensorFlow 1 (no half-pixel centres): src = i * s, a + (b - a) w; then
//                (x - 128) / 128. Bit-equal to torch-fidelity.
//
// Kernels with a window of source pixels per axis, which is wider if the image shrinks; float32 between the two passes:
//
//   clean        Pillow's bicubic (a = -1/2) stretched by max(s, 1), in mode "F": weights and sums in float64,
//                clipped to 0...255, then (x - 128) / 128. Columns first if the height shrinks by more
//                than twice as much as the width, as in Pillow 13. Bit-equal to a Pillow 13 that was compiled
//                without contraction (x86-64). Pillow up to 12 always does rows first, a difference of 2.4e-7.
//                libImaging/Resample.c; Parmar, Zhang, Zhu, "On Aliased Resizing", CVPR 2022.
//   keras        the nearest source pixel, floor((i + 1/2) s - 1/2 + 1/2) in float64, of the image that
//                scikit-image's resize(order=0) smooths first along each axis that shrinks: a Gaussian of
//                sigma (s - 1) / 2, cut at int(4 sigma + 1/2) pixels, mirrored about the outermost pixels;
//                weights and sums in float64, columns first; then x / 127.5 - 1. Bit-equal except for the order
//                of a float64 sum, which changes one float32 in about 1e8 by an ulp (1.2e-7).
//                skimage/transform/_warps.py 0.26, scipy/ndimage/_filters.py 1.17.
//   torchmetrics bilinear stretched by max(s, 1): torch's interpolate(antialias=True); weights and sums in
//                float32, then (x - 128) / 128. torch's wheels are compiled for AVX2 and AVX-512, so a window
//                is summed in groups of four with two roundings per term, and the rest with one (FMA).
//                Bit-equal to torch 2.13; torch on a CPU without FMA differs by 3.6e-7.
//                aten/src/ATen/native/cpu/UpSampleKernel.cpp, HelperInterpBase.
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

}  // namespace fastfid
