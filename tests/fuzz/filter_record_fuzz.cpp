// Any line through parsing, all five stages, masking and the reject writer. What is kept or rejected must
// parse again.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "filter/passes/worker.h"
#include "filter/stages/profile.h"

using namespace ds;
using namespace ds::filter;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Profile profile = [] {
    Profile p = default_profile();
    p.rules[rule_index("s1.min_chars")].threshold[0] = p.rules[rule_index("s1.min_chars")].threshold[1] = 1;
    return p;
  }();
  static const auto stages = load_stages(profile, {});
  static const auto workers = [] {
    std::vector<std::unique_ptr<Worker>> out;  // all combinations of the three flags
    for (int flags = 0; flags < 8; ++flags) {
      WorkerOptions options;
      options.score_all = flags & 1;
      options.transcode = flags & 2;
      options.text_lines = flags & 4;
      out.push_back(std::make_unique<Worker>(profile, stages, options));
    }
    return out;
  }();
  Worker& worker = *workers[size % 8];
  std::string bytes(reinterpret_cast<const char*>(data), size);
  for (char& c : bytes)
    if (c == '\n') c = ' ';
  bytes.resize(size + kRecordPadding);
  LineBatch batch;
  const InputLine line{0, size, 0, 1};
  JudgedLine out;
  worker.judge(std::string_view(bytes).substr(0, size), line, batch, "fuzz", 0, out);
  if (out.blank || !out.own) return 0;
  if (size % 8 >= 4 && out.fate == Fate::kKept) return 0;  // a text line, no JSON
  FieldReader reader{RecordFields{}};
  FieldRecord record;
  const size_t length = out.text.size();
  std::string copy = out.text;
  copy.resize(length + kRecordPadding);
  reader.parse(std::string_view(copy).substr(0, length), record);
  if (!record.ok) std::abort();
  return 0;
}
