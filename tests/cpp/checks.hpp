// CHECK reports a false condition with its place; main ends with `return result();`.
#pragma once

#include <cstdio>

namespace fastfid::test {

inline int& failures() {
  static int count = 0;
  return count;
}

// The exit code of a test's main.
inline int result() {
  if (failures() > 0) std::fprintf(stderr, "%d checks failed\n", failures());
  return failures() > 0 ? 1 : 0;
}

inline void check(bool ok, const char* file, int line, const char* condition) {
  if (ok) return;
  ++failures();
  std::fprintf(stderr, "%s:%d: %s\n", file, line, condition);
}

// Like CHECK(value <= bound), and says what the value was; a NaN fails.
inline void check_most(double value, double bound, const char* file, int line, const char* expression) {
  if (value <= bound) return;
  ++failures();
  std::fprintf(stderr, "%s:%d: %s is %.3g, at most %.3g allowed\n", file, line, expression, value, bound);
}

}  // namespace fastfid::test

#define CHECK(condition) fastfid::test::check(static_cast<bool>(condition), __FILE__, __LINE__, #condition)
#define CHECK_MOST(value, bound) fastfid::test::check_most(value, bound, __FILE__, __LINE__, #value)
#define CHECK_THROWS(exception, ...)                                                          \
  do {                                                                                        \
    bool thrown = false;                                                                      \
    try {                                                                                     \
      static_cast<void>(__VA_ARGS__);                                                         \
    } catch (const exception&) {                                                              \
      thrown = true;                                                                          \
    }                                                                                         \
    fastfid::test::check(thrown, __FILE__, __LINE__, #__VA_ARGS__ " must throw " #exception); \
  } while (false)
