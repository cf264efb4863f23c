#include "fastfid/version.hpp"

namespace fastfid {

const char* version() noexcept { return FASTFID_VERSION; }

}  // namespace fastfid
