// SPDX-License-Identifier: BSD-3-Clause
// main() of a fuzzer where there is no libFuzzer: runs the files that are named, and all in the
// folders that are, each once. What is found ends the process after the name of its file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::filesystem::path> inputs(int argc, char** argv) {
  std::vector<std::filesystem::path> all;
  for (int i = 1; i < argc; ++i) {
    const std::filesystem::path each = std::filesystem::absolute(argv[i]);
    if (std::filesystem::is_directory(each)) {
      for (const auto& file : std::filesystem::directory_iterator(each)) all.push_back(file.path());
    } else {
      all.push_back(each);
    }
  }
  std::ranges::sort(all);
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const auto all = inputs(argc, argv);
  for (const auto& path : all) {
    std::printf("%s\n", path.filename().c_str());
    std::fflush(stdout);
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> text{std::istreambuf_iterator<char>(in), {}};
    if (!in) {
      std::fprintf(stderr, "cannot read %s\n", path.c_str());
      return 1;
    }
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  }
  std::printf("%zu inputs replayed\n", all.size());
  return all.empty() ? 1 : 0;
}
