#include "filter/passes/options.h"

#include <cstdio>

#include "filter/passes/inputs.h"
#include "io/keep_apart.h"
#include "report/words.h"

namespace ds::filter {

void complete(FilterOptions& o) {
  const InputFiles found = find_inputs(o.inputs.empty() ? std::vector<std::string>{"-"} : o.inputs);
  o.inputs = found.paths;
  if (const auto note = folder_note(found); !note.empty()) o.notes.push_back(note);
  o.resources.fields = o.worker.fields;
  o.input.transcode = o.worker.transcode;
  o.input.text_lines = o.worker.text_lines;
  keep_apart({"-"}, o.inputs);  // whatever the command, it says something there
  check_formats(plan_files(o.inputs, o.shard, o.n_shards), o.input);
}

std::string progress_text(const Progress& p, double elapsed_s) {
  char text[160];
  std::snprintf(text, sizeof text, "%s  %.1f MB/s  %.1f %% kept", p.doing,
                static_cast<double>(p.content_bytes) / 1e6 / elapsed_s,
                p.read ? 100.0 * static_cast<double>(p.kept) / static_cast<double>(p.read) : 0.0);
  if (!p.total_bytes || !p.bytes) return text;
  const double share = static_cast<double>(p.bytes) / static_cast<double>(p.total_bytes);
  return text + ("  " + std::to_string(static_cast<int>(100 * share)) + " %  ") + time_left(elapsed_s, share);
}

}  // namespace ds::filter
