// The FID between two .npy files of features (n, d), float32 or float64:  fid a.npy b.npy
#include <cstdio>
#include <exception>
#include <fastfid/distance.hpp>

#include "npy.hpp"

namespace {

template <class T>
void add(fastfid::Moments& moments, npy::File& file) {
  const std::vector<T> rows = file.read<T>();
  moments.update(rows.data(), file.shape[0]);
}

fastfid::Moments moments_of(const char* path) {
  npy::File file(path);
  if (file.shape.size() != 2) file.fail("must have two dimensions, (n, d)");
  fastfid::Moments moments(file.shape[1]);
  if (file.holds<float>())
    add<float>(moments, file);
  else
    add<double>(moments, file);
  return moments;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "usage: fid a.npy b.npy\n");
    return 2;
  }
  try {
    const fastfid::Distance fid =
        fastfid::frechet_distance(moments_of(arguments[1]), moments_of(arguments[2]));
    std::printf("FID:  %.17g\n", fid.value);
    std::fprintf(stderr, "known to %.1g\n", fid.error_estimate);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fid: %s\n", error.what());
    return 1;
  }
}
