// Records that share the steps of one scheduler, and what waits for its turn to be written.
#include "infer/batch.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <regex>

#include "core/json_value.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::infer;

namespace {

struct Answered {
  std::string out;  // without the folder's name
  RecordCounts counts;
};
Answered answer(const Engine& engine, const std::string& records, const BatchOptions& with) {
  const test::TempFolder folder;
  const std::string path = folder / "out";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  OutputStream out(fd, path);
  BatchOptions options = with;
  options.job.input = folder.write("in", records);
  options.job.output = &out;
  Answered a;
  a.counts = run_batch(engine, options);
  ::close(fd);
  a.out = std::regex_replace(test::slurp(path), std::regex(folder.path()), "");
  return a;
}

std::unique_ptr<const Engine> engine_of(int64_t max_sequences) {
  EngineOptions options;
  options.ctx = 512;
  options.max_sequences = max_sequences;
  return Engine::load(DS_SOURCE_DIR "/tests/golden/arch/deepseek_v3", options);
}

}  // namespace

TEST_CASE("what waits for an earlier answer is bounded, and changes nothing") {
  // The first answer is long; behind it come short ones, bad records and lines that are none.
  std::string records = "{\"input_ids\":[5,6,7],\"max_tokens\":200}\n";
  for (int i = 0; i < 30; ++i)
    records += i % 3 == 0   ? "{\"input_ids\":[" + std::to_string(i) + "],\"max_tokens\":3,\"seed\":4}\n"
               : i % 3 == 1 ? "{\"input_ids\":[99999]}\n"
                            : "no record\n";
  const auto alone = engine_of(1), together = engine_of(4);
  const Answered want = answer(*alone, records, {});
  CHECK(want.counts.n_read == 31);
  CHECK(want.counts.n_failed == 20);
  for (const int64_t most : {int64_t{1}, int64_t{10'000}, int64_t{64} << 20}) {
    CAPTURE(most);
    BatchOptions options;
    options.most_held_bytes = most;
    const Answered got = answer(*together, records, options);
    CHECK(got.out == want.out);
    CHECK(got.counts.n_failed == 20);
  }
}

TEST_CASE("asked to stop, a batch has written a whole prefix, and says how much of the input that is") {
  std::string records;
  for (int i = 0; i < 12; ++i)
    records +=
        "{\"input_ids\":[" + std::to_string(i + 1) + "],\"max_tokens\":" + std::to_string(40 - i) + "}\n";
  const auto engine = engine_of(4);
  const std::string want = answer(*engine, records, {}).out;
  for (const bool unordered : {false, true}) {
    BatchOptions options;
    options.unordered = unordered;
    int64_t n_written = 0;
    options.job.on_written = [&](const RecordCounts& counts) { n_written = counts.n_written; };
    options.job.stop_requested = [&] { return n_written >= 3; };
    const Answered got = answer(*engine, records, options);
    CHECK(got.counts.interrupted);
    CHECK(got.counts.n_read == got.counts.n_written);
    CHECK(got.counts.n_written >= 3);
    CHECK(got.counts.n_written < 12);
    if (!unordered) CHECK(want.starts_with(got.out));
  }
}
