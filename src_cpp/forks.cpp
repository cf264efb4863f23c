#include "forks.hpp"

namespace fastfid::forks {
namespace {

std::shared_mutex* mutex = new std::shared_mutex;  // never destroyed: threads may outlive main

}  // namespace

Working::Working() : lock_(*mutex) {}

void before() { mutex->lock(); }

void after_in_parent() { mutex->unlock(); }

// A new one: the old one counts the parent's waiting threads among its holders.
void after_in_child() { mutex = new std::shared_mutex; }

}  // namespace fastfid::forks
