#include "bench/eval/eval.h"

#include <algorithm>
#include <map>

#include "bench/eval/answers.h"
#include "bench/eval/tally.h"
#include "bench/records/redact.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/json_value.h"
#include "io/files.h"

namespace ds::bench {
namespace {

Json header(const EvalOptions& o, Json target) {
  const TargetOptions& t = o.target.options;
  Json out{{"type", "header"},
           {"schema", kSchema},
           {"env", capture_environment(o.build, t.isa == "auto" ? isa_name(best_isa()) : t.isa, t.threads)},
           {"target", std::move(target)},
           {"set", o.set},
           {"extractor", kExtractorVersion},
           {"max_tokens", o.ask.max_tokens},
           {"argv", redacted(o.argv)}};
  if (o.ask.shard.n > 1) out["shard"] = std::to_string(o.ask.shard.idx) + "/" + std::to_string(o.ask.shard.n);
  return out;
}

// Answers of an earlier, interrupted evaluation of the same set by the same target; a failed one is asked
// again.
std::vector<ItemRecord> answered(const std::string& path, const RunHeader& now) {
  const RecordSet old = read_records({path});
  for (const RunHeader& before : old.headers) {
    // The same questions are the same set, whatever their file is called.
    std::vector<std::string> members{"set_digest", "target", "extractor", "max_tokens"};
    if (before.set_digest.empty()) members.push_back("set");
    if (const auto differences = header_differences(before, now, members); !differences.empty())
      throw Error(ErrorKind::kBadData, "these answers come from another " + differences[0], path,
                  "resume with the same options, or start anew");
  }
  std::vector<ItemRecord> out;
  for (const auto& i : old.items)
    if (i.error.empty()) out.push_back(i);
  return out;
}

}  // namespace

EvalResult run_eval(const EvalOptions& o) {
  EvalResult result;
  std::vector<ItemRecord> items;
  const auto keep = [&](const ItemRecord& i) {
    items.push_back(i);
    o.write_line(dump(to_json(i)));
  };
  bool complete = true;
  if (o.set == "ppl" || o.set == "kld") {
    if (o.target.model.empty())
      throw Error(ErrorKind::kUsage, "this set needs logits, so a model folder", "--set " + o.set,
                  "commands and servers do not give them");
    if (!o.resume_path.empty() || o.ask.shard.n > 1)
      throw Error(ErrorKind::kUsage, "one pass over one text: neither --resume nor --shard", "--set " + o.set,
                  "--text-tokens bounds it");
    if (o.set == "kld" && o.perplexity.baseline.empty() && o.perplexity.write_baseline.empty())
      throw Error(ErrorKind::kUsage, "no baseline", "--set kld",
                  "make one with --write-baseline FILE, then compare with --baseline FILE");
    const auto source = engine_logits(o.target.model, o.target.options);
    Json target{{"kind", "engine"},
                {"digest", source->digest()},
                {"convention", perplexity_convention(*source, o.perplexity)}};
    o.write_line(dump(header(o, std::move(target))));
    PerplexityOptions p = o.perplexity;
    p.stop = o.ask.stop;
    p.on_item = keep;
    complete = run_perplexity(
        *source, o.text_path.empty() ? embedded_text(o.data_folder) : read_file(o.text_path, 1 << 28), p);
    result.text = perplexity_convention(*source, o.perplexity) + "\n";
  } else {
    const auto questions = read_questions(o.set, o.data_folder);
    AskOptions e = o.ask;
    TargetChoice choice = o.target;
    choice.options.concurrency = o.ask.clients;
    const auto target = make_target(choice);
    Json head = header(o, target->describe());
    head["set_digest"] = set_digest(questions);
    std::vector<ItemRecord> earlier;
    if (!o.resume_path.empty()) earlier = answered(o.resume_path, head);
    o.write_line(dump(head));
    std::map<std::string, std::string> set_of;
    for (const Question& q : questions) set_of[q.request.id] = q.set;
    for (ItemRecord& i : earlier) {
      e.skip.insert(i.id);
      i.set = set_of[i.id];
      keep(i);
    }
    e.on_item = keep;
    try {
      complete = ask(*target, questions, e);
    } catch (const Error& error) {
      // What was answered until now is worth keeping: --resume goes on from it.
      o.write_line(dump(Json{{"type", "trailer"}, {"interrupted", true}, {"error", error.message()}}));
      throw;
    }
  }
  const auto n_errors =
      std::count_if(items.begin(), items.end(), [](const auto& i) { return !i.error.empty(); });
  o.write_line(dump(Json{{"type", "trailer"},
                         {"n_items", static_cast<int64_t>(items.size())},
                         {"n_errors", static_cast<int64_t>(n_errors)},
                         {"scores", scores_json(items)},
                         {"interrupted", !complete}}));
  result.text += scores_text(items);
  if (!complete)
    result.exit_code = static_cast<int>(ErrorKind::kInterrupted);
  else if (!items.empty() && n_errors == static_cast<int64_t>(items.size()))
    result.exit_code = static_cast<int>(ErrorKind::kIo);
  return result;
}

}  // namespace ds::bench
