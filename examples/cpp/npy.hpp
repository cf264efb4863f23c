// Reads arrays from .npy files: little-endian, C order, of the type that is asked for.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace npy {

inline const char* descr_of(float) { return "<f4"; }
inline const char* descr_of(double) { return "<f8"; }
inline const char* descr_of(std::uint8_t) { return "|u1"; }

// An open file whose header has been read.
class File {
 public:
  explicit File(const std::string& path) : path_(path), in_(path, std::ios::binary) {
    char start[8];
    if (!in_.read(start, 8) || std::memcmp(start, "\x93NUMPY", 6) != 0) fail("is not a .npy file");
    unsigned char size[4] = {};
    if (!in_.read(reinterpret_cast<char*>(size), start[6] == 1 ? 2 : 4)) fail("ends in its header");
    std::string header(size[0] + size[1] * 256u + size[2] * 65536u, ' ');
    if (size[3] != 0 || !in_.read(header.data(), static_cast<std::streamsize>(header.size())))
      fail("ends in its header");
    if (header.find("'fortran_order': False") == std::string::npos) fail("is not in C order");
    descr = between(header, "'descr': '", "'");
    std::string sizes = between(header, "'shape': (", ")");
    for (std::size_t at = 0; (at = sizes.find_first_of("0123456789", at)) != std::string::npos;) {
      std::size_t digits = 0;
      shape.push_back(std::stoll(sizes.substr(at), &digits));
      at += digits;
    }
  }

  template <class T>
  bool holds() const {
    return descr == descr_of(T());
  }

  template <class T>
  std::vector<T> read() {
    if (!holds<T>()) fail("has values of type " + descr + ", not " + descr_of(T()));
    std::uint64_t count = 1;
    for (const auto n : shape) {
      if (n != 0 && count > std::numeric_limits<std::int32_t>::max() / static_cast<std::uint64_t>(n))
        fail("has more than 2^31 values");
      count *= static_cast<std::uint64_t>(n);
    }
    std::vector<T> values(count);
    const auto bytes = static_cast<std::streamsize>(count * sizeof(T));
    if (!in_.read(reinterpret_cast<char*>(values.data()), bytes))
      fail("has fewer values than its header says");
    if (in_.peek() != std::char_traits<char>::eof()) fail("has more values than its header says");
    return values;
  }

  [[noreturn]] void fail(const std::string& what) const { throw std::runtime_error(path_ + " " + what); }

  std::string descr;
  std::vector<long long> shape;

 private:
  std::string between(const std::string& text, const std::string& before, const char* after) const {
    const auto at = text.find(before);
    const auto end = at == std::string::npos ? at : text.find(after, at + before.size());
    if (end == std::string::npos) fail("has a header that is not understood");
    return text.substr(at + before.size(), end - at - before.size());
  }

  std::string path_;
  std::ifstream in_;
};

}  // namespace npy
