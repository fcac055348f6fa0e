// SPDX-License-Identifier: BSD-3-Clause
// Configurations from JSON: which methods run when, the errors that are logged, and hostile
// input. Runs on SPDK unchanged.
#include "bdev_fixture.hpp"

#include <algorithm>

namespace bdev_test {
namespace {

std::string config(const std::string& entries, const std::string& subsystem = "bdev") {
  return R"({"subsystems":[{"subsystem":")" + subsystem + R"(","config":[)" + entries + "]}]}";
}

/// What a failing method logs, with the blanks taken out.
std::string error_response(const std::string& json, bool stop_on_error = true) {
  logged.clear();
  const int rc = load(json, stop_on_error);
  EXPECT_EQ(rc, stop_on_error ? -EINVAL : 0) << json;
  const std::size_t at = logged.find("error response:\n{\n");
  if (at == std::string::npos) {
    return "none: " + logged;
  }
  std::string text = logged.substr(at + 16);
  text.erase(text.find('}') + 1);
  std::erase_if(text, [](char c) { return c == '\n'; });
  while (text.find("  ") != std::string::npos) {
    text.erase(text.find("  "), 2);
  }
  return text;
}

constexpr const char* internal_error =
    R"({"code": -32603,"message": "spdk_json_decode_object failed"})";

TEST(json_config, whole_configurations) {
  EXPECT_EQ(load("{}"), 0);
  EXPECT_EQ(load("[]"), -EINVAL);
  EXPECT_EQ(load("7"), -EINVAL);
  EXPECT_EQ(load("null"), -EINVAL);
  EXPECT_EQ(load(R"({"other":1})"), 0);
  EXPECT_EQ(load(R"({"subsystems":[]})"), 0);
  EXPECT_EQ(load(R"({"subsystems":{}})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":null})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[],"subsystems":[]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[7]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[{}]})"), 0);  // an empty first element hides all
  EXPECT_EQ(load(R"({"subsystems":[{"config":[]}]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[{"subsystem":"bdev"}]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[{"subsystem":1,"config":[]}]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[{"subsystem":"bdev","config":{}}]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[{"subsystem":"bdev","config":[],"more":1}]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[{"subsystem":"bdev","config":null}]})"), 0);
  EXPECT_EQ(load(R"({"subsystems":[{"subsystem":"nosuch","config":[]}]})"), 0);
  EXPECT_EQ(load("/* a */ {\"subsystems\": // b\n []}"), 0);
  EXPECT_EQ(load(R"({"subsystems":[]} and more)"), 0);
}

TEST(json_config, errors_of_the_text_come_before_the_call_returns) {
  std::string json = "{\"subsystems\":";
  int rc = 1;
  const auto done = [](int r, void* ctx) { *static_cast<int*>(ctx) = r; };
  spdk_subsystem_load_config(json.data(), static_cast<ssize_t>(json.size()), done, &rc, true);
  EXPECT_EQ(rc, -EINVAL);
  rc = 1;
  spdk_subsystem_load_config(nullptr, 0, done, &rc, true);
  EXPECT_EQ(rc, -EINVAL);
  rc = 1;
  json = R"({"subsystems":[]})";
  spdk_subsystem_load_config(json.data(), static_cast<ssize_t>(json.size()), done, &rc, true);
  EXPECT_EQ(rc, 1);
  EXPECT_TRUE(threads::poll_until([&] { return rc != 1; }));
  EXPECT_EQ(rc, 0);
}

TEST(json_config, entries) {
  EXPECT_EQ(load(config("7")), -EINVAL);
  EXPECT_EQ(load(config("{}")), 0);
  EXPECT_EQ(load(config("{},7")), 0);
  EXPECT_EQ(load(config("[],7")), 0);
  EXPECT_EQ(load(config("\"\",7")), 0);
  EXPECT_EQ(load(config("null")), -EINVAL);
  EXPECT_EQ(load(config(R"({"params":{}})")), -EINVAL);
  EXPECT_EQ(load(config(R"({"method":1})")), -EINVAL);
  EXPECT_EQ(load(config(R"({"method":"bdev_wait_for_examine","params":[]})")), -EINVAL);
  EXPECT_EQ(load(config(R"({"method":"bdev_wait_for_examine","params":null})")), -EINVAL);
  EXPECT_EQ(load(config(R"({"method":"bdev_wait_for_examine","more":1})")), -EINVAL);
  EXPECT_EQ(load(config(R"({"method":"bdev_wait_for_examine"})")), 0);
  EXPECT_EQ(error_response(config(R"({"method":"bdev_wait_for_examine","params":{}})")),
            R"({"code": -32602,"message": "bdev_wait_for_examine requires no parameters"})");
}

TEST(json_config, unknown_methods) {
  logged.clear();
  EXPECT_EQ(load(config(R"({"method":"bdev_nosuch"})")), -ENOENT);
  EXPECT_NE(logged.find("Method 'bdev_nosuch' was not found"), std::string::npos);
  EXPECT_EQ(load(config(R"({"method":"bdev_nosuch"})"), false), 0);
  logged.clear();
  EXPECT_EQ(load(config(R"({"method":"bdev_nosuch"})", "nosuch")), 0);
  EXPECT_NE(logged.find("Skipping method 'bdev_nosuch' because its subsystem 'nosuch' is not "
                        "linked into this application."),
            std::string::npos);
  EXPECT_TRUE(spdk_subsystem_exists("bdev"));
  EXPECT_TRUE(spdk_subsystem_exists("iobuf"));
  EXPECT_FALSE(spdk_subsystem_exists("nosuch"));
}

TEST(json_config, methods_of_the_other_state_are_skipped) {
  EXPECT_EQ(load(config(R"({"method":"bdev_set_options","params":{"nonsense":1}})")), 0);
  std::uint32_t states = 0;
  EXPECT_EQ(spdk_rpc_get_method_state_mask("bdev_set_options", &states), 0);
  EXPECT_EQ(states, static_cast<std::uint32_t>(SPDK_RPC_STARTUP));
  EXPECT_EQ(spdk_rpc_get_method_state_mask("bdev_malloc_create", &states), 0);
  EXPECT_EQ(states, static_cast<std::uint32_t>(SPDK_RPC_RUNTIME));
  EXPECT_EQ(spdk_rpc_get_method_state_mask("nosuch", &states), -ENOENT);
  EXPECT_EQ(spdk_rpc_is_method_allowed("bdev_malloc_create", SPDK_RPC_RUNTIME), 0);
  EXPECT_EQ(spdk_rpc_is_method_allowed("bdev_malloc_create", SPDK_RPC_STARTUP), -EPERM);
  EXPECT_EQ(spdk_rpc_is_method_allowed("nosuch", SPDK_RPC_STARTUP), -ENOENT);
  EXPECT_EQ(spdk_rpc_get_state(), static_cast<std::uint32_t>(SPDK_RPC_RUNTIME));
}

TEST(json_config, methods_of_the_state_startup) {
  spdk_rpc_set_state(SPDK_RPC_STARTUP);
  const std::string set = R"({"method":"bdev_set_options","params":)";
  EXPECT_EQ(error_response(config(set + R"({"nonsense":1}})")),
            R"({"code": -32602,"message": "Invalid parameters"})");
  EXPECT_EQ(error_response(config(set + R"({"bdev_io_cache_size":100}})")),
            R"({"code": -32602,"message": "Pool size 160 too small for cache size 100"})");
  EXPECT_EQ(load(config(R"({"method":"bdev_set_options"})")), 0);
  const std::string iobuf = R"({"method":"iobuf_set_options","params":)";
  EXPECT_EQ(error_response(config(iobuf + R"({"small_pool_count":1}})", "iobuf")),
            R"({"code": -22,"message": "Invalid argument"})");
  EXPECT_EQ(error_response(config(iobuf + R"({"small_pool_count":"1"}})", "iobuf")),
            R"({"code": -32602,"message": "spdk_json_decode_object failed"})");
  EXPECT_EQ(load(config(R"({"method":"bdev_malloc_create","params":{}})")), 0);  // skipped
  spdk_rpc_set_state(SPDK_RPC_RUNTIME);
}

std::string malloc_error(const std::string& params) {
  return error_response(config(R"({"method":"bdev_malloc_create","params":)" + params + "}"));
}

TEST(json_config, parameters_are_taken_strictly) {
  EXPECT_EQ(error_response(config(R"({"method":"bdev_malloc_create"})")), internal_error);
  for (const char* params :
       {R"({})", R"({"num_blocks":8})", R"({"block_size":512})",
        R"({"num_blocks":8,"block_size":512,"unknown":1})",
        R"({"num_blocks":8,"block_size":512,"block_size":512})",
        R"({"num_blocks":"8","block_size":512})", R"({"num_blocks":-8,"block_size":512})",
        R"({"num_blocks":8.5,"block_size":512})", R"({"num_blocks":8,"block_size":4294967296})",
        R"({"num_blocks":18446744073709551616,"block_size":512})",
        R"({"num_blocks":1e300,"block_size":512})", R"({"num_blocks":1e-1,"block_size":512})",
        R"({"num_blocks":8,"block_size":512,"name":7})",
        R"({"num_blocks":8,"block_size":512,"name":null})",
        R"({"num_blocks":8,"block_size":512,"name":"a\u0000b"})",
        R"({"num_blocks":8,"block_size":512,"uuid":"nonsense"})",
        R"({"num_blocks":8,"block_size":512,"md_interleave":1})",
        R"({"num_blocks":[8],"block_size":512})", R"({"num_blocks":{},"block_size":512})"}) {
    EXPECT_EQ(malloc_error(params), internal_error) << params;
  }
  // Integers may be written with a fraction or an exponent.
  EXPECT_EQ(call("bdev_malloc_create", R"({"name":"e","num_blocks":8e0,"block_size":5.12e2})"), 0);
  EXPECT_EQ(spdk_bdev_get_num_blocks(spdk_bdev_get_by_name("e")), 8U);
  EXPECT_EQ(remove("malloc", "e"), 0);
}

TEST(json_config, values_out_of_range) {
  const char* invalid = R"({"code": -22,"message": "Invalid argument"})";
  EXPECT_EQ(malloc_error(R"({"num_blocks":0,"block_size":512})"), invalid);
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":513})"), invalid);
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":512,"physical_block_size":100})"),
            invalid);
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":512,"md_size":7})"), invalid);
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":512,"numa_id":77})"), invalid);
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":512,"name":""})"), invalid);
  EXPECT_EQ(malloc_error(R"({"num_blocks":1099511627776,"block_size":512})"),
            R"({"code": -12,"message": "Cannot allocate memory"})");
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":0})"),
            R"({"code": -12,"message": "Cannot allocate memory"})");
  EXPECT_EQ(malloc_error(R"({"num_blocks":8,"block_size":512,"name":"first"})"),
            R"({"code": -17,"message": "File exists"})");
}

TEST(json_config, errors_do_not_stop_unless_they_are_to) {
  const std::string bad = R"({"method":"bdev_malloc_delete","params":{"name":"nosuch"}})";
  const std::string good =
      R"({"method":"bdev_malloc_create","params":{"name":"good","num_blocks":8,"block_size":512}})";
  EXPECT_EQ(error_response(config(bad + "," + good)),
            R"({"code": -19,"message": "No such device"})");
  EXPECT_EQ(spdk_bdev_get_by_name("good"), nullptr);
  EXPECT_EQ(error_response(config(bad + "," + good), false),
            R"({"code": -19,"message": "No such device"})");
  EXPECT_NE(spdk_bdev_get_by_name("good"), nullptr);
  EXPECT_EQ(error_response(config(R"({"method":"bdev_null_delete","params":{"name":"good"}})")),
            R"({"code": -19,"message": "No such device"})");  // it is another module's
  EXPECT_EQ(remove("malloc", "good"), 0);
}

TEST(json_config, names_and_uuids) {
  const std::string uuid = "11111111-2222-3333-4444-555555555555";
  EXPECT_EQ(
      call("bdev_malloc_create", R"({"num_blocks":8,"block_size":512,"uuid":")" + uuid + "\"}"), 0);
  EXPECT_NE(spdk_bdev_get_by_name("Malloc0"), nullptr);
  EXPECT_EQ(malloc_error(R"({"name":"b","num_blocks":8,"block_size":512,"uuid":")" + uuid + "\"}"),
            R"({"code": -17,"message": "File exists"})");
  EXPECT_EQ(remove("malloc", uuid), 0);  // by its other name
  EXPECT_EQ(spdk_bdev_get_by_name("Malloc0"), nullptr);
  const std::string name(10'000, 'x');
  EXPECT_EQ(create_null(name), 0);
  EXPECT_STREQ(spdk_bdev_get_name(spdk_bdev_get_by_name(name.c_str())), name.c_str());
  EXPECT_EQ(remove("null", name), 0);
  EXPECT_EQ(create_null("caf\xc3\xa9 \\u00e9 \\\"q\\\""), 0);
  EXPECT_NE(spdk_bdev_get_by_name("caf\xc3\xa9 \xc3\xa9 \"q\""), nullptr);
  EXPECT_EQ(remove("null", "caf\xc3\xa9 \xc3\xa9 \\\"q\\\""), 0);
}

TEST(json_config, batches) {
  const std::string a =
      R"({"method":"bdev_null_create","params":{"name":"a","num_blocks":8,"block_size":512}})";
  const std::string b =
      R"({"method":"bdev_null_create","params":{"name":"b","num_blocks":8,"block_size":512}})";
  EXPECT_EQ(load(config("[" + a + "," + b + "]")), 0);
  EXPECT_NE(spdk_bdev_get_by_name("a"), nullptr);
  EXPECT_NE(spdk_bdev_get_by_name("b"), nullptr);
  EXPECT_EQ(error_response(config("[" + a + "]")), R"({"code": -17,"message": "File exists"})");
  EXPECT_EQ(load(config("[]")), 0);
  EXPECT_EQ(load(config("[7]")), -EINVAL);
  EXPECT_EQ(load(config(R"([{"method":"nosuch"}])")), -EINVAL);
  EXPECT_EQ(load(config(R"([{"method":"bdev_set_options"},)" + a + "]")), -EINVAL);
  EXPECT_EQ(load(config(R"([{"method":"bdev_set_options"}])")), 0);
  EXPECT_EQ(remove("null", "a"), 0);
  EXPECT_EQ(remove("null", "b"), 0);
}

TEST(json_config, hostile_text) {
  EXPECT_EQ(load(std::string(100'000, '[')), -EINVAL);
  EXPECT_EQ(load(std::string(100'000, '[') + std::string(100'000, ']')), -EINVAL);
  std::string deep = R"({"subsystems":[],"x":)";
  EXPECT_EQ(load(deep + std::string(63, '[') + std::string(63, ']') + "}"), 0);
  EXPECT_EQ(load(deep + std::string(64, '[') + std::string(64, ']') + "}"), -EINVAL);
  EXPECT_EQ(load(std::string("{\"subsystems\":\0[]}", 18)), -EINVAL);
  EXPECT_EQ(load(std::string("\0\0\0", 3)), -EINVAL);
  EXPECT_EQ(load("\xff\xfe"), -EINVAL);
  EXPECT_EQ(load("{\"subsystems\":[],\"a\":\"\xc3\x28\"}"), -EINVAL);
  EXPECT_EQ(load("{\"subsystems\":[],\"a\":\"\n\"}"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[,]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[],})"), -EINVAL);
  EXPECT_EQ(load(R"({'subsystems':[]})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[],"a":01})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[],"a":"\ud800"})"), -EINVAL);
  EXPECT_EQ(load(R"({"subsystems":[],"a":)" + std::string(300, '9') + "}"), 0);
  // Beyond a double's range: SPDK does not mind, the stand-in calls it an error.
  EXPECT_LE(load(R"({"subsystems":[],"a":1e99999})"), 0);
  EXPECT_EQ(load(" "), -EINVAL);
}

}  // namespace
}  // namespace bdev_test
