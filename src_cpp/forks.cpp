#include "forks.hpp"

namespace fastfid::forks {
namespace {

std::shared_mutex* mutex = new std::shared_mutex;  // never destroyed, since threads may outlive main

}  // namespace

Working::Working() : lock_(*mutex) {}

void before() { mutex->lock(); }

void after_in_parent() { mutex->unlock(); }

// A new mutex, because the old one also counts the waiting threads of the parent.
void after_in_child() { mutex = new std::shared_mutex; }

}  // namespace fastfid::forks
