// The FID between two .npy files of images, uint8 (n, height, width, 3), as pytorch-fid has it, by an exported network:
//
//   fastfid models export inception-v3 inception.onnx
//   network_fid inception.onnx a.npy b.npy
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fastfid/distance.hpp>
#include <fastfid/resize.hpp>
#include <filesystem>

#include "npy.hpp"

namespace {

constexpr std::int64_t kBatch = 16, kSide = 299, kPlanes = 3 * kSide * kSide;

// The features of some images, (count, d), in `features`; returns d.
std::int64_t run(Ort::Session& session, std::vector<float>& planes, std::int64_t count,
                 std::vector<float>& features) {
  const std::int64_t shape[] = {count, 3, kSide, kSide};
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto input = Ort::Value::CreateTensor<float>(memory, planes.data(),
                                                     static_cast<std::size_t>(count * kPlanes), shape, 4);
  const char *in = "images", *out = "features";
  const auto results = session.Run(Ort::RunOptions(), &in, &input, 1, &out, 1);
  const auto found = results[0].GetTensorTypeAndShapeInfo().GetShape();
  if (found.size() != 2 || found[0] != count) throw std::runtime_error("the network has no features (n, d)");
  const float* values = results[0].GetTensorData<float>();
  features.assign(values, values + count * found[1]);
  return found[1];
}

fastfid::Moments moments_of(Ort::Session& session, const char* path) {
  npy::File file(path);
  if (file.shape.size() != 4 || file.shape[3] != 3) file.fail("must have images (n, height, width, 3)");
  const auto pixels = file.read<std::uint8_t>();
  const std::int64_t n = file.shape[0], height = file.shape[1], width = file.shape[2];
  std::vector<fastfid::Moments> moments;  // one, once the dims are known
  std::vector<float> planes(kBatch * kPlanes), features;
  for (std::int64_t first = 0; first < n; first += kBatch) {
    const std::int64_t count = std::min(kBatch, n - first);
    for (std::int64_t i = 0; i < count; ++i)
      fastfid::resize_pytorch({pixels.data() + (first + i) * height * width * 3, height, width},
                              {planes.data() + i * kPlanes, kSide, kSide});
    const std::int64_t dims = run(session, planes, count, features);
    if (moments.empty()) moments.emplace_back(dims);
    moments[0].update(features.data(), count);
  }
  if (moments.empty()) file.fail("has no images");
  return moments[0];
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: network_fid network.onnx a.npy b.npy\n");
    return 2;
  }
  try {
    Ort::Env environment(ORT_LOGGING_LEVEL_WARNING, "network_fid");
    environment.DisableTelemetryEvents();
    Ort::Session session(environment, std::filesystem::path(arguments[1]).c_str(), Ort::SessionOptions());
    const auto a = moments_of(session, arguments[2]), b = moments_of(session, arguments[3]);
    std::printf("FID:  %.17g\n", fastfid::frechet_distance(a, b).value);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "network_fid: %s\n", error.what());
    return 1;
  }
}
