// uint8 RGB (height, width, 3) -> float32 planes (3, height, width): in the network's range [-1, 1] by the kernels of the
// modes (resize_*), in 0...255 by those for other networks (interpolate_*), which are scaled later.
//
// One kernel per protocol, in the arithmetic of the tool that it reproduces. If the sizes are equal, only the scaling changes
// the values. All throw std::invalid_argument if a side is not positive.
#pragma once

#include <cstdint>

#include "fastfid/config.hpp"

namespace fastfid {

/// An image, not owned.
struct Image {
  const std::uint8_t* pixels;  ///< (height, width, 3), red first
  Index height;
  Index width;
};

/// Where the result goes; the sizes are those wanted, 299 x 299 for the FID's network.
struct Planes {
  float* values;  ///< (3, height, width)
  Index height;
  Index width;
};

FASTFID_API void resize_pytorch(const Image& image, const Planes& out);       ///< pytorch-fid
FASTFID_API void resize_tensorflow(const Image& image, const Planes& out);    ///< TTUR, torch-fidelity, ADM
FASTFID_API void resize_clean(const Image& image, const Planes& out);         ///< clean-fid
FASTFID_API void resize_keras(const Image& image, const Planes& out);         ///< scikit-image's nearest
FASTFID_API void resize_torchmetrics(const Image& image, const Planes& out);  ///< torchmetrics 1.8

FASTFID_API void interpolate_tensorflow(const Image& image, const Planes& out);     ///< bilinear
FASTFID_API void interpolate_torch_bicubic(const Image& image, const Planes& out);  ///< overshoots 0...255

}  // namespace fastfid
