// SPDX-License-Identifier: BSD-3-Clause
// Creation and deletion of devices at run time.
#include "devices.hpp"

#include <spdk_io/bdev_options.hpp>

#include <unistd.h>
#include <atomic>

namespace spdk_io_test {
namespace {

using sio::create_bdev;
using sio::delete_bdev;

TEST(bdev_options, each_kind_comes_and_goes_again) {
  for_each_kind({kind::malloc, kind::null, kind::uring, kind::aio}, [](kind k) {
    temp_folder folder;
    for (int round = 0; round < 3; ++round) {
      create_device(k, folder, "d0", 1 << 20, 4096);
      EXPECT_EQ(must(sio::bdev::find("d0")).size(), 1u << 20);
      EXPECT_EQ(must(sio::bdev::find("d0")).block_size(), 4096u);
      must(run(delete_bdev("d0")));
      EXPECT_FALSE(sio::bdev::find("d0"));
    }
    EXPECT_TRUE(sio::list_bdevs().empty());
  });
}

// The options are views: they are gone when the task runs.
TEST(bdev_options, options_are_copied_and_the_name_comes_back) {
  temp_folder folder;
  auto task = [&] {
    std::string name = "a name that is too long for the small string";
    std::string file = folder.file("f", 4096);
    auto made = create_bdev(sio::aio_bdev{.name = name, .file = file});
    std::ranges::fill(name, 'x');
    std::ranges::fill(file, 'y');
    return made;
  }();
  EXPECT_EQ(must(run(std::move(task))), "a name that is too long for the small string");
  EXPECT_EQ(must(run(create_bdev(sio::null_bdev{.name = "n \"0\" \\ é", .size = 512}))),
            "n \"0\" \\ é");
  EXPECT_TRUE(sio::bdev::find("n \"0\" \\ é"));
}

TEST(bdev_options, the_block_size_of_a_file_is_chosen) {
  temp_folder folder;
  auto made = [&](const std::string& name, std::uint64_t size, std::uint32_t asked) {
    const auto file = folder.file(name, size);
    must(run(create_bdev(sio::uring_bdev{.name = name, .file = file, .block_size = asked})));
    return must(sio::bdev::find(name)).block_size();
  };
  EXPECT_EQ(made("u0", 8192, 0), 4096u);
  EXPECT_EQ(made("u1", 8192 + 512, 0), 512u);
  EXPECT_EQ(made("u2", 8192, 512), 512u);
  must(run(create_bdev(sio::aio_bdev{.name = "a0", .file = folder.file("a0", 1024)})));
  EXPECT_EQ(must(sio::bdev::find("a0")).block_size(), 512u);
}

TEST(bdev_options, a_taken_name_is_refused_whatever_the_kind) {
  temp_folder folder;
  const auto file = folder.file("f", 8192);
  must(run(create_bdev(sio::null_bdev{.name = "d0", .size = 512})));
  auto refused = [](sio::result<std::string> r, std::string_view module) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::file_exists);
    EXPECT_EQ(r.error().what(), sio::operation_kind::create_bdev);
    EXPECT_EQ(r.error().message(), "creation of \"d0\" (" + std::string(module) +
                                       "): a device of that name exists already");
  };
  refused(run(create_bdev(sio::null_bdev{.name = "d0", .size = 512})), "null");
  refused(run(create_bdev(sio::malloc_bdev{.name = "d0", .size = 512})), "malloc");
  refused(run(create_bdev(sio::uring_bdev{.name = "d0", .file = file})), "uring");
  refused(run(create_bdev(sio::aio_bdev{.name = "d0", .file = file})), "aio");
  EXPECT_EQ(sio::list_bdevs().size(), 1u);
  EXPECT_EQ(must(sio::bdev::find("d0")).product(), "Null disk");
}

TEST(bdev_options, files_that_cannot_be_opened_are_named) {
  temp_folder folder;
  const std::string missing = folder.path("missing");
  auto uring = run(create_bdev(sio::uring_bdev{.name = "u0", .file = missing}));
  ASSERT_FALSE(uring);
  EXPECT_TRUE(uring.error() == std::errc::no_such_file_or_directory);
  EXPECT_EQ(uring.error().message(), "creation of \"u0\" (uring): cannot open \"" + missing +
                                         "\": No such file or directory");
  auto aio = run(create_bdev(sio::aio_bdev{.name = "a0", .file = missing, .read_only = true}));
  EXPECT_EQ(message_of(aio),
            "creation of \"a0\" (aio): cannot open \"" + missing + "\": No such file or directory");
  auto of_folder = run(create_bdev(sio::aio_bdev{.name = "a0", .file = folder.path("")}));
  ASSERT_FALSE(of_folder);
  EXPECT_TRUE(of_folder.error() == std::errc::is_a_directory) << of_folder.error();
  EXPECT_TRUE(sio::list_bdevs().empty());
}

TEST(bdev_options, an_unwritable_file_needs_read_only) {
  if (::geteuid() == 0 && ::seteuid(65534) != 0) {
    GTEST_SKIP() << "root may write every file, and this process cannot become somebody else";
  }
  struct restore {
    ~restore() { (void)::seteuid(::getuid()); }
  } root_again;
  temp_folder folder;  // made by whoever may read it
  const auto file = folder.file("f", 8192);
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  auto writable = run(create_bdev(sio::uring_bdev{.name = "u0", .file = file}));
  ASSERT_FALSE(writable);
  EXPECT_TRUE(writable.error() == std::errc::permission_denied);
  EXPECT_EQ(writable.error().message(),
            "creation of \"u0\" (uring): cannot open \"" + file + "\": Permission denied");
  EXPECT_FALSE(run(create_bdev(sio::aio_bdev{.name = "a0", .file = file})));
  must(run(create_bdev(sio::aio_bdev{.name = "a0", .file = file, .read_only = true})));
  auto disk = must(sio::bdev_desc::open("a0"));
  auto buffer = must(sio::dma_buffer::zeroed(4096));
  must(run(disk.read(buffer, 0)));
  auto wrote = run(disk.write(buffer, 0));
  EXPECT_EQ(message_of(wrote),
            "write of 4096 bytes at 0 to a0: internal device error (NVMe 0/06h)");
}

TEST(bdev_options, sizes_and_names_that_cannot_be_are_refused) {
  auto text = [](auto options) { return message_of(run(create_bdev(options))); };
  EXPECT_EQ(text(sio::malloc_bdev{.name = "m0", .size = 1000}),
            "creation of \"m0\" (malloc): size 1000 must be a multiple, above 0, of block_size "
            "512");
  EXPECT_EQ(text(sio::malloc_bdev{.name = "m0", .size = 0}),
            "creation of \"m0\" (malloc): size 0 must be a multiple, above 0, of block_size 512");
  EXPECT_EQ(text(sio::null_bdev{.name = "n0", .size = 4096, .block_size = 0}),
            "creation of \"n0\" (null): size 4096 must be a multiple, above 0, of block_size 0");
  // What only SPDK knows is told in its words.
  for (const auto& r :
       {run(create_bdev(sio::malloc_bdev{.name = "m0", .size = 1000, .block_size = 1000})),
        run(create_bdev(sio::null_bdev{.name = "m0", .size = 1000, .block_size = 1000}))}) {
    ASSERT_FALSE(r);
    EXPECT_TRUE(r.error() == std::errc::invalid_argument) << r.error();
    EXPECT_NE(r.error().message().find("512"), std::string::npos) << r.error();
  }
  temp_folder folder;
  const auto file = folder.file("f", 8192);
  auto odd = run(create_bdev(sio::uring_bdev{.name = "u0", .file = file, .block_size = 1000}));
  ASSERT_FALSE(odd);
  EXPECT_TRUE(odd.error() == std::errc::invalid_argument) << odd.error();
  auto odd_aio = run(create_bdev(sio::aio_bdev{.name = "a0", .file = file, .block_size = 1000}));
  ASSERT_FALSE(odd_aio);
  EXPECT_TRUE(odd_aio.error() == std::errc::invalid_argument) << odd_aio.error();
  EXPECT_TRUE(sio::list_bdevs().empty());

  auto with_name = [](std::string_view name) {
    return message_of(run(create_bdev(sio::null_bdev{.name = name, .size = 512})));
  };
  EXPECT_EQ(with_name(""),
            "creation of \"\" (null): the name must have 1 to 255 characters and no NUL");
  EXPECT_TRUE(with_name(std::string_view("a\0b", 3)).ends_with("no NUL"));
  EXPECT_TRUE(with_name(std::string(256, 'n')).ends_with("no NUL"));
  EXPECT_EQ(with_name(std::string(255, 'n')), "success");
}

TEST(bdev_options, malformed_uuids_and_too_large_ram_disks_are_refused) {
  auto r = run(create_bdev(sio::null_bdev{.name = "n0", .size = 512, .uuid = "not one"}));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error().message().starts_with("creation of \"n0\" (null): ")) << r.error();
  EXPECT_TRUE(sio::list_bdevs().empty());

  r = run(create_bdev(sio::malloc_bdev{.name = "m0", .size = std::uint64_t{1} << 40}));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::not_enough_memory) << r.error();
  EXPECT_TRUE(sio::list_bdevs().empty());
  must(run(create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
}

TEST(bdev_options, deletion_waits_until_the_handles_are_dropped) {
  auto disk = open_malloc("m0");
  auto second_handle = disk;
  auto channel = must(disk.channel());
  sio::task_scope scope;
  sio::result<void> deleted = std::unexpected(sio::error());
  auto body = [&]() -> sio::task<void> { deleted = co_await delete_bdev("m0"); };
  EXPECT_FALSE(disk.removed());
  scope.spawn(body());
  poll_until([&] { return disk.removed(); });
  EXPECT_TRUE(second_handle.removed());
  EXPECT_FALSE(disk.closed());
  EXPECT_FALSE(sio::bdev_desc::open("m0"));  // nobody new

  auto still_open = [&](const char* what) {
    poll_times(200);
    EXPECT_EQ(scope.running(), 1u) << "deleted while there was " << what;
  };
  still_open("everything");
  disk = sio::bdev_desc();
  still_open("a second handle and a channel");
  second_handle = sio::bdev_desc();
  still_open("a channel");
  channel = sio::io_channel();
  poll_until([&] { return scope.running() == 0; });
  EXPECT_TRUE(deleted) << message_of(deleted);
  EXPECT_TRUE(sio::list_bdevs().empty());
  must(run(create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20})));
}

TEST(bdev_options, deletion_of_what_is_not_there) {
  must(run(create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
  auto r = run(delete_bdev("nope"));
  ASSERT_FALSE(r);
  EXPECT_TRUE(r.error() == std::errc::no_such_device);
  EXPECT_EQ(r.error().what(), sio::operation_kind::delete_bdev);
  EXPECT_EQ(r.error().message(), "deletion of \"nope\": no such device (known: n0)");
  EXPECT_FALSE(run(delete_bdev(std::string_view("n0\0x", 4))));
  EXPECT_FALSE(run(delete_bdev("")));
  must(run(delete_bdev("n0")));
  EXPECT_EQ(message_of(run(delete_bdev("n0"))), "deletion of \"n0\": no such device (known: none)");
}

TEST(bdev_options, a_second_deletion_is_refused_while_the_first_waits) {
  auto disk = open_malloc("m0");
  sio::task_scope scope;
  scope.spawn(delete_bdev("m0"));
  poll_until([&] { return disk.removed(); });
  auto again = run(delete_bdev("m0"));
  ASSERT_FALSE(again);
  EXPECT_TRUE(again.error() == std::errc::device_or_resource_busy ||
              again.error() == std::errc::no_such_device)
      << again.error();
  EXPECT_EQ(scope.running(), 1u);
  disk = sio::bdev_desc();
  EXPECT_TRUE(run(scope.join()));
}

TEST(bdev_options, any_attached_thread_creates_and_deletes) {
  must(run(sio::init_subsystems()));
  std::atomic<bool> done = false;
  auto other = must(sio::thread::spawn("other", [&](sio::thread& t) -> sio::task<void> {
    auto made = co_await create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20});
    EXPECT_TRUE(made) << message_of(made);
    EXPECT_EQ(must(sio::thread::current()).name(), t.name());
    auto again = co_await create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20});
    EXPECT_FALSE(again);
    {
      auto disk = must(sio::bdev_desc::open("m0"));
      auto buffer = must(sio::dma_buffer::zeroed(512));
      auto wrote = co_await disk.write(buffer, 0);
      EXPECT_TRUE(wrote) << message_of(wrote);
    }
    auto deleted = co_await delete_bdev("m0");
    EXPECT_TRUE(deleted) << message_of(deleted);
    auto unknown = co_await delete_bdev("m0");
    EXPECT_FALSE(unknown);
    done = true;
  }));
  poll_until([&] { return done.load(); });
}

TEST(bdev_options, many_at_once_take_turns) {
  sio::task_scope scope;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "n" + std::to_string(i);
    scope.spawn(create_bdev(sio::null_bdev{.name = name, .size = 512}));
  }
  must(run(scope.join()));
  EXPECT_EQ(sio::list_bdevs().size(), 20u);
  for (int i = 0; i < 20; ++i) scope.spawn(delete_bdev("n" + std::to_string(i)));
  must(run(scope.join()));
  EXPECT_TRUE(sio::list_bdevs().empty());
}

// One of them fails, in the middle: each learns of its own failure.
TEST(bdev_options, a_failure_among_many_stays_with_its_call) {
  sio::result<std::string> good1, bad, good2;
  auto body = [&]() -> sio::task<void> {
    auto all = co_await sio::when_all(
        create_bdev(sio::null_bdev{.name = "n0", .size = 512}),
        create_bdev(sio::null_bdev{.name = "n1", .size = 1000, .block_size = 1000}),
        create_bdev(sio::null_bdev{.name = "n2", .size = 512}));
    good1 = std::get<0>(all);
    bad = std::get<1>(all);
    good2 = std::get<2>(all);
  };
  run(body());
  EXPECT_TRUE(good1) << message_of(good1);
  EXPECT_TRUE(good2) << message_of(good2);
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().message().starts_with("creation of \"n1\" (null): ")) << bad.error();
}

TEST(bdev_options, destroying_a_creation_waits_for_its_end) {
  must(run(sio::init_subsystems()));
  {
    sio::task_scope scope;
    scope.spawn(create_bdev(sio::malloc_bdev{.name = "m0", .size = 1 << 20}));
    EXPECT_EQ(scope.running(), 1u);
  }
  // The turn was passed on: others still can.
  must(run(create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
  {
    sio::task_scope scope;
    scope.spawn(create_bdev(sio::malloc_bdev{.name = "m1", .size = 1 << 20}));
    scope.spawn(create_bdev(sio::malloc_bdev{.name = "m2", .size = 1 << 20}));
    main_thread().poll();
  }
  {
    sio::task_scope scope;
    scope.spawn(delete_bdev("n0"));
    main_thread().poll();
  }
  EXPECT_FALSE(sio::bdev::find("n0"));
  must(run(create_bdev(sio::null_bdev{.name = "n0", .size = 512})));
}

}  // namespace
}  // namespace spdk_io_test
