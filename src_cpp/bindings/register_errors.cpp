// Translates exceptions of the core to those of the package.
#include <exception>

#include "fastfid/errors.hpp"
#include "register.hpp"

namespace fastfid::bindings {
namespace {

namespace py = pybind11;

void set(const char* name, const std::exception& error) {
  py::set_error(py::module_::import("fastfid.errors").attr(name), error.what());
}

}  // namespace

void register_errors() {
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const LinAlgError& error) {
      set("LinAlgError", error);
    } catch (const OverflowError& error) {
      set("InputError", error);
    } catch (const IndefiniteError& error) {
      set("InputError", error);
    }
  });
}

}  // namespace fastfid::bindings
