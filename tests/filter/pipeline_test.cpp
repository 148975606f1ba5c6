// Both passes inside this process, so that ThreadSanitizer sees them; what they do is tested from outside.
#include "filter/passes/pipeline.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "filter/stages/profile.h"

using namespace ds;
using namespace ds::filter;

namespace {

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

}  // namespace

TEST_CASE("both passes give the same bytes and counts on one thread and on several") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("ds-filter-pipeline-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string demo = contents(DS_SOURCE_DIR "/data/filter/demo-raw.jsonl"), at = folder.string() + "/";
  for (const char* name : {"a.jsonl", "b.jsonl"}) std::ofstream(at + name, std::ios::binary) << demo << demo;
  const auto pass = [&](int threads, const std::string& name) {
    FilterOptions o;
    o.inputs = {at + "a.jsonl", at + "b.jsonl"};
    o.output = at + name + ".zst";
    o.rejects = at + name + ".rejects";
    o.bad_lines = at + name + ".bad.gz";
    o.threads = threads;
    o.input.batch_bytes = 1 << 14;  // many stretches
    return run(default_profile(), o);
  };
  const Report one = pass(1, "one"), five = pass(5, "five");
  CHECK(one.conserved);
  CHECK(five.conserved);
  CHECK(one.statistics.kept > 50);
  CHECK(one.statistics.kept == five.statistics.kept);
  CHECK(one.statistics.dropped == five.statistics.dropped);
  CHECK(one.n_clusters == five.n_clusters);
  for (const char* end : {".zst", ".rejects", ".bad.gz"})
    CHECK(contents(at + "one" + end) == contents(at + "five" + end));
  std::filesystem::remove_all(folder);
}
