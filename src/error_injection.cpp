// SPDX-License-Identifier: BSD-3-Clause
// Errors put into error devices.
#include <spdk_io/error_injection.hpp>

#include "device_call.hpp"

#include <spdk/rpc.h>

namespace spdk_io::inline SPDK_IO_ABI {
namespace {

std::string_view text_of(inject_on on) {
  switch (on) {
    case inject_on::all: return "all";
    case inject_on::read: return "read";
    case inject_on::write: return "write";
    case inject_on::unmap: return "unmap";
    case inject_on::flush: return "flush";
  }
  return "";
}

std::string_view text_of(inject_how how) {
  switch (how) {
    case inject_how::failure: return "failure";
    case inject_how::nvme_failure: return "nvme_failure";
    case inject_how::no_memory: return "nomem";
    case inject_how::pending: return "pending";
    case inject_how::corrupt_data: return "corrupt_data";
  }
  return "";
}

error refused(std::errc code, std::string_view what, std::string_view why) {
  return detail::device_error(operation_kind::change_bdev, code, what, why);
}

result<void> check_device(const std::string& name, std::string_view what) {
  auto device = detail::find_device(name);
  if (!device) {
    return std::unexpected(refused(std::errc::no_such_device, what, detail::no_such_device()));
  }
  if (!detail::is_of_module(device, "error")) {
    return std::unexpected(
        refused(std::errc::not_supported, what,
                "it is not an error device (create_bdev(error_bdev{…}) makes one)"));
  }
  return {};
}

detail::device_call call_of(std::string_view method, const std::string& name, std::string params,
                            std::string_view doing) {
  auto what = detail::concat(doing, " \"", name.substr(0, 256), "\"");
  return {.kind = operation_kind::change_bdev,
          .what = what,
          .method = std::string(method),
          .params = std::move(params),
          .valid = {},
          .check = [name, what] { return check_device(name, what); }};
}

result<void> check_error(const injected_error& e, std::string_view what) {
  if (e.how == inject_how::nvme_failure && e.status == nvme_status{}) {
    return std::unexpected(
        refused(std::errc::invalid_argument, what, "nvme_failure needs a status, not {0, 0}"));
  }
  if (e.how == inject_how::corrupt_data && e.corrupt_value == 0) {
    return std::unexpected(
        refused(std::errc::invalid_argument, what, "a corrupt_value of 0 changes nothing"));
  }
  return {};
}

detail::device_call injection(const std::string& name, const injected_error& e) {
  auto params = detail::parameters(name)
                    .text("io_type", text_of(e.on))
                    .text("error_type", text_of(e.how))
                    .number("num", e.count)
                    .number_unless_zero("queue_depth", e.queue_depth);
  if (e.how == inject_how::nvme_failure) {
    params.number("nvme_sct", e.status.type).number("nvme_sc", e.status.code);
  }
  if (e.how == inject_how::corrupt_data) {
    params.number("corrupt_offset", e.corrupt_offset).number("corrupt_value", e.corrupt_value);
  }
  auto call = call_of("bdev_error_inject_error", name, params.str(), "injection of errors into");
  call.valid = check_error(e, call.what);
  return call;
}

// Releases before v26.05 do not know the word.
bool is_unknown(const error& e) { return e.message().find("decode_object") != std::string::npos; }

task<result<void>> inject(std::string name, injected_error e) {
  auto call = injection(name, e);
  auto what = call.what;
  auto done = co_await detail::run_device_call(std::move(call));
  if (!done && e.how == inject_how::nvme_failure && is_unknown(done.error())) {
    co_return std::unexpected(refused(std::errc::not_supported, what,
                                      "this release of SPDK cannot inject an NVMe status"));
  }
  co_return done;
}

task<result<void>> resume(std::string name) {
  auto call = call_of("bdev_error_resume_pending", name, detail::parameters(name).str(),
                      "resuming what is pending in");
  std::uint32_t states = 0;
  if (spdk_rpc_get_method_state_mask(call.method.c_str(), &states) != 0) {
    call.valid = std::unexpected(refused(
        std::errc::not_supported, call.what,
        "this release of SPDK cannot do that (a reset of the device ends what is pending)"));
  }
  auto done = co_await detail::run_device_call(std::move(call));
  co_return done;
}

}  // namespace

task<result<void>> inject_error(std::string_view name, injected_error error) {
  return inject(std::string(name), error);
}

task<result<void>> clear_errors(std::string_view name) {
  auto params = detail::parameters(name).text("io_type", "clear").text("error_type", "failure");
  return detail::run_device_call(call_of("bdev_error_inject_error", std::string(name), params.str(),
                                         "clearing the errors of"));
}

task<result<void>> resume_pending(std::string_view name) { return resume(std::string(name)); }

}  // namespace spdk_io::inline SPDK_IO_ABI
