// Lines of a record file, in one set and through everything that reads a set.
#include "bench/eval/drift.h"
#include "bench/records/embedded.h"
#include "bench/render/html_report.h"
#include "core/error.h"
#include "report/html.h"

using namespace ds;
using namespace ds::bench;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  RecordSet set;
  RecordReader reader(set);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    try {
      reader.add(text.substr(begin, end - begin), "fuzz");
    } catch (const Error&) {
    }
    begin = end + 1;
  }
  stats_text(set, summarize(set, {}), {});
  if (report::unescape_html(report::escape_html(text)) != text) __builtin_trap();
  if (set.requests.size() + set.items.size() < 50) report_html(set, {}, "fuzz");
  return 0;
}
