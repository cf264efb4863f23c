// Moments as the library's interface has it: a handle on its Impl.
#include <stdexcept>
#include <string>
#include <utility>

#include "moments.hpp"

namespace fastfid {
namespace {

void require_count(Index n, Index least, const char* name) {
  if (n < least)
    throw std::invalid_argument(std::string(name) + " must be at least " + std::to_string(least) + ", got " +
                                std::to_string(n));
}

}  // namespace

Moments::Moments(Impl impl) : impl_(std::make_unique<Impl>(std::move(impl))) {}
Moments::Moments(Index dims) : Moments(Impl(dims)) {}
Moments::Moments(const Moments& other) : Moments(Impl(*other.impl_)) {}
Moments::Moments(Moments&& other) noexcept = default;
Moments& Moments::operator=(const Moments& other) { return *this = Moments(other); }
Moments& Moments::operator=(Moments&& other) noexcept = default;
Moments::~Moments() = default;

void Moments::update(const float* rows, Index n) {
  require_count(n, 0, "the number of rows");
  impl_->update(rows, n);
}

void Moments::update(const double* rows, Index n) {
  require_count(n, 0, "the number of rows");
  impl_->update(rows, n);
}

void Moments::merge(const Moments& other) { impl_->merge(*other.impl_); }

Index Moments::dims() const { return impl_->dims(); }
Index Moments::count() const { return impl_->count(); }
Index Moments::folded() const { return impl_->folded(); }
Index Moments::pending() const { return impl_->pending(); }
bool Moments::has_rows() const { return impl_->has_rows(); }

bool Moments::rows_are_float() const { return impl_->rows_are_float(); }
const float* Moments::rows_float() const { return impl_->rows_float(); }
const double* Moments::rows_double() const { return impl_->rows_double(); }

void Moments::mean(double* mu) const { impl_->mean(mu); }
void Moments::covariance(double* sigma) const { impl_->covariance(sigma); }

Moments Moments::from_moments(Index n, const double* mu, const double* sigma, Index dims) {
  require_count(n, 1, "the number of rows");
  return Moments(Impl::from_moments(n, mu, sigma, dims));
}

void Moments::state(double* shift, double* offset, double* m2) const { impl_->state(shift, offset, m2); }

Moments Moments::from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const float* rows, Index pending) {
  require_count(pending, 0, "the number of pending rows");
  return Moments(Impl::from_state(dims, folded, shift, offset, m2, rows, pending));
}

Moments Moments::from_state(Index dims, Index folded, const double* shift, const double* offset,
                            const double* m2, const double* rows, Index pending) {
  require_count(pending, 0, "the number of pending rows");
  return Moments(Impl::from_state(dims, folded, shift, offset, m2, rows, pending));
}

}  // namespace fastfid
