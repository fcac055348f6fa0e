// SPDX-License-Identifier: BSD-3-Clause
// spdk_subsystem_load_config(): the methods of a configuration, one after the other, those
// that the present state allows. Errors are logged in SPDK's words, as users parse them.
#include "json_value.hpp"
#include "rpc.hpp"
#include "spdk/init.h"
#include "spdk/log.h"
#include "spdk/rpc.h"
#include "spdk/thread.h"

#include <nlohmann/json.hpp>

#include <cassert>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spdk_lite {
namespace {

using kind = json_value::kind;

/// The members that an object must and may have; none else, and none twice.
class object_reader {
 public:
  explicit object_reader(const json_value& object) : object_(object) {}

  const json_value* find(std::string_view name) {
    const json_value* found = nullptr;
    for (const json_value::member& m : object_.members) {
      if (m.name == name) {
        ok_ = ok_ && found == nullptr;
        found = &m.value;
        ++taken_;
      }
    }
    return found;
  }
  [[nodiscard]] bool complete() const {
    return ok_ && object_.is(kind::object) && taken_ == object_.members.size();
  }

 private:
  const json_value& object_;
  std::size_t taken_ = 0;
  bool ok_ = true;
};

/// How many elements SPDK sees: none if the first one is empty itself.
std::size_t element_count(const json_value& array) {
  if (array.items.empty()) {
    return 0;
  }
  const json_value& first = array.items.front();
  const bool has_content = !first.text.empty() || !first.items.empty() || !first.members.empty();
  const bool is_scalar = first.is(kind::null) || first.is(kind::boolean);
  return has_content || is_scalar ? array.items.size() : 0;
}

struct call {
  std::string method;
  const json_value* params = nullptr;  ///< or NULL
};

std::optional<call> read_call(const json_value& entry) {
  object_reader reader(entry);
  const json_value* method = reader.find("method");
  const json_value* params = reader.find("params");
  if (!reader.complete() || method == nullptr || !method->is(kind::string) ||
      method->text.find('\0') != std::string::npos ||
      (params != nullptr && !params->is(kind::object))) {
    return std::nullopt;
  }
  return call{method->text, params};
}

void log_error(const rpc_error& error) {
  const std::string message =
      nlohmann::json(error.message).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  SPDK_ERRLOG("error response:\n{\n  \"code\": %d,\n  \"message\": %s\n}\n", error.code,
              message.c_str());
}

class loader {
 public:
  loader(json_value config, spdk_subsystem_init_fn cb, void* cb_arg, bool stop_on_error)
      : config_(std::move(config)), cb_(cb), cb_arg_(cb_arg), stop_on_error_(stop_on_error) {}

  /// False if the configuration as a whole cannot be used.
  bool find_subsystems();
  static void start(std::unique_ptr<loader> self) { self.release()->later(next_subsystem); }

 private:
  enum class verdict { run, skip, stop };

  static void next_subsystem(void* arg) { static_cast<loader*>(arg)->load_subsystem(); }
  static void next_entry(void* arg) { static_cast<loader*>(arg)->load_entry(); }
  static void next_in_batch(void* arg) { static_cast<loader*>(arg)->run_batch(); }

  /// By message, so that the stack does not grow with the configuration.
  void later(spdk_msg_fn step) { spdk_thread_send_msg(spdk_thread_get_app_thread(), step, this); }

  void finish(int rc) {
    const spdk_subsystem_init_fn cb = cb_;
    void* arg = cb_arg_;
    delete this;
    cb(rc, arg);
  }
  void fail(const char* message, int rc = -EINVAL) {
    SPDK_ERRLOG("%s\n", message);
    finish(rc);
  }

  void load_subsystem();
  void load_entry();
  void load_batch(const json_value& batch);
  void run_batch();
  bool add_to_batch(const json_value& element, std::uint32_t& states);
  verdict judge(const call& c);
  void run(const call& c, spdk_msg_fn then);
  void answered(const std::optional<rpc_error>& error, spdk_msg_fn then);

  json_value config_;
  spdk_subsystem_init_fn cb_;
  void* cb_arg_;
  bool stop_on_error_;
  const json_value* subsystems_ = nullptr;
  const json_value* entries_ = nullptr;
  std::string subsystem_;
  std::size_t subsystem_index_ = 0;
  std::size_t entry_index_ = 0;

  std::vector<call> batch_;
  std::size_t batch_index_ = 0;
  std::optional<rpc_error> batch_error_;
};

bool loader::find_subsystems() {
  if (!config_.is(kind::object)) {
    SPDK_ERRLOG("the configuration is not a JSON object\n");
    return false;
  }
  for (const json_value::member& m : config_.members) {
    if (m.name != "subsystems") {
      continue;
    }
    if (subsystems_ != nullptr) {
      SPDK_ERRLOG("the configuration has 'subsystems' twice\n");
      return false;
    }
    if (!m.value.is(kind::array)) {
      SPDK_ERRLOG("'subsystems' is not an array\n");
      return false;
    }
    subsystems_ = &m.value;
  }
  if (subsystems_ == nullptr) {
    SPDK_WARNLOG("the configuration has no 'subsystems'\n");
  } else if (element_count(*subsystems_) == 0) {
    SPDK_NOTICELOG("the configuration lists no subsystems\n");
  }
  return true;
}

void loader::load_subsystem() {
  if (subsystems_ == nullptr || subsystem_index_ >= element_count(*subsystems_)) {
    finish(0);
    return;
  }
  object_reader reader(subsystems_->items[subsystem_index_]);
  const json_value* name = reader.find("subsystem");
  entries_ = reader.find("config");
  if (!reader.complete() || name == nullptr || !name->is(kind::string) || entries_ == nullptr ||
      !(entries_->is(kind::array) || entries_->is(kind::null))) {
    fail("a subsystem takes a name 'subsystem' and an array 'config'");
    return;
  }
  subsystem_ = name->text;
  entry_index_ = 0;
  load_entry();
}

void loader::load_entry() {
  if (entry_index_ >= element_count(*entries_)) {
    ++subsystem_index_;
    later(next_subsystem);
    return;
  }
  const json_value& entry = entries_->items[entry_index_++];
  if (entry.is(kind::array)) {
    load_batch(entry);
    return;
  }
  const std::optional<call> c = read_call(entry);
  if (!c) {
    fail("a config entry takes a string 'method' and an object 'params'");
    return;
  }
  switch (judge(*c)) {
    case verdict::run: run(*c, next_entry); break;
    case verdict::skip: later(next_entry); break;
    case verdict::stop:
      SPDK_ERRLOG("Method '%s' was not found\n", c->method.c_str());
      finish(-ENOENT);
      break;
  }
}

loader::verdict loader::judge(const call& c) {
  constexpr std::uint32_t both = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
  std::uint32_t states = 0;
  if (spdk_rpc_get_method_state_mask(c.method.c_str(), &states) != 0) {
    if (!stop_on_error_) {
      return verdict::skip;
    }
    if (spdk_subsystem_exists(subsystem_.c_str())) {
      return verdict::stop;
    }
    // A configuration may come from a program with more subsystems than this one.
    SPDK_NOTICELOG(
        "Skipping method '%s' because its subsystem '%s' is not linked into this "
        "application.\n",
        c.method.c_str(), subsystem_.c_str());
    return verdict::skip;
  }
  const std::uint32_t now = spdk_rpc_get_state();
  const bool allowed = (states & now) == now;
  const bool ran_at_startup = (states & both) == both && now == SPDK_RPC_RUNTIME;
  return allowed && !ran_at_startup ? verdict::run : verdict::skip;
}

void loader::run(const call& c, spdk_msg_fn then) {
  rpc_call(c.method, new rpc_request([this, then](const std::optional<rpc_error>& error) {
             answered(error, then);
           }),
           c.params);
}

void loader::answered(const std::optional<rpc_error>& error, spdk_msg_fn then) {
  if (then == next_in_batch) {
    batch_error_ = batch_error_ ? batch_error_ : error;
    later(then);
    return;
  }
  if (error) {
    log_error(*error);
  }
  if (error && stop_on_error_) {
    finish(-EINVAL);
  } else {
    later(then);
  }
}

// --- batches: an array of calls, judged as one and answered by the first error ---

/// False if the batch is to be given up.
bool loader::add_to_batch(const json_value& element, std::uint32_t& states) {
  const std::optional<call> c = read_call(element);
  if (!c) {
    SPDK_ERRLOG("%s\n", element.is(kind::object)
                            ? "a batch entry takes a string 'method' and an object 'params'"
                            : "a batch element is not an object");
    return !stop_on_error_;
  }
  std::uint32_t of_method = 0;
  if (spdk_rpc_get_method_state_mask(c->method.c_str(), &of_method) != 0) {
    if (stop_on_error_ && !spdk_subsystem_exists(subsystem_.c_str())) {
      SPDK_NOTICELOG(
          "Skipping batch method '%s' because its subsystem '%s' is not linked into "
          "this application.\n",
          c->method.c_str(), subsystem_.c_str());
      return true;
    }
    return !stop_on_error_;
  }
  states &= of_method;
  batch_.push_back(*c);
  return true;
}

void loader::load_batch(const json_value& batch) {
  std::uint32_t states = SPDK_RPC_STARTUP | SPDK_RPC_RUNTIME;
  batch_.clear();
  batch_index_ = 0;
  batch_error_.reset();
  for (const json_value& element : batch.items) {
    if (!add_to_batch(element, states)) {
      fail("the batch has no valid method");
      return;
    }
  }
  if (!batch.items.empty() && batch_.empty()) {
    fail("the batch has no valid method");
    return;
  }
  if (states == 0) {
    fail("the methods of the batch need different states");
    return;
  }
  const bool at_startup = spdk_rpc_get_state() == SPDK_RPC_STARTUP;
  if (batch_.empty() || at_startup != ((states & SPDK_RPC_STARTUP) != 0)) {
    later(next_entry);  // not for this state
    return;
  }
  run_batch();
}

void loader::run_batch() {
  if (batch_index_ < batch_.size()) {
    run(batch_[batch_index_++], next_in_batch);
    return;
  }
  answered(batch_error_, next_entry);
}

}  // namespace
}  // namespace spdk_lite

using namespace spdk_lite;

void spdk_subsystem_load_config(void* json, ssize_t json_size, spdk_subsystem_init_fn cb_fn,
                                void* cb_arg, bool stop_on_error) {
  assert(spdk_thread_is_app_thread(nullptr));
  if (json == nullptr || json_size <= 0) {
    SPDK_ERRLOG("there is no configuration text\n");
    cb_fn(-EINVAL, cb_arg);
    return;
  }
  std::string error;
  const std::string_view text(static_cast<const char*>(json), static_cast<std::size_t>(json_size));
  std::optional<json_value> config = json_parse(text, error);
  if (!config) {
    SPDK_ERRLOG("the configuration is not valid JSON: %s\n", error.c_str());
    cb_fn(-EINVAL, cb_arg);
    return;
  }
  auto self = std::make_unique<loader>(std::move(*config), cb_fn, cb_arg, stop_on_error);
  if (!self->find_subsystems()) {
    cb_fn(-EINVAL, cb_arg);
    return;
  }
  loader::start(std::move(self));
}
