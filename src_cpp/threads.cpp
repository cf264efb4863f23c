#include "threads.hpp"

#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "lapack.hpp"

namespace fastfid::threads {
namespace {

struct State {
  std::mutex mutex;
  int wanted = lapack::get_num_threads();
  int holders = 0;
};

State& state() {
  static State* the_only = new State;  // never destroyed, since threads may outlive main
  return *the_only;
}

}  // namespace

void set(int n) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  s.wanted = n;
  if (s.holders == 0) lapack::set_num_threads(n);
}

int get() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  return s.wanted;
}

OneInBlas::OneInBlas() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (s.holders++ == 0) lapack::set_num_threads(1);
}

OneInBlas::~OneInBlas() {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  if (--s.holders == 0) lapack::set_num_threads(s.wanted);
}

void run(int count, const std::function<void(const Stop&)>& work) {
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::exception_ptr first;
  const Stop stopped = [&] { return stop.load(std::memory_order_relaxed); };
  const auto guarded = [&] {
    try {
      work(stopped);
    } catch (...) {
      stop = true;
      const std::lock_guard lock(mutex);
      if (!first) first = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  try {
    others.reserve(count > 1 ? count - 1 : 0);
    for (int i = 1; i < count; ++i) others.emplace_back(guarded);
  } catch (const std::system_error&) {
    // The system gives no more threads; those that run do the work.
  }
  guarded();
  for (std::thread& other : others) other.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace fastfid::threads

namespace fastfid {

void set_num_threads(int n) {
  if (n < 1) throw std::invalid_argument("the number of threads must be positive, got " + std::to_string(n));
  threads::set(n);
}

int num_threads() { return threads::get(); }

}  // namespace fastfid
