#include "bench/records/header.h"

namespace ds::bench {
namespace {

const Json* member(const Json* object, const char* key) {
  const Json* v = object && object->is_object() ? find(*object, key) : nullptr;
  return v && !v->is_null() ? v : nullptr;
}
std::string text(const Json* object, const char* key) {
  const Json* v = member(object, key);
  return !v ? "" : v->is_string() ? as_string(*v) : dump(*v);
}
double number(const Json* object, const char* key) {
  const Json* v = member(object, key);
  return v && v->is_number() ? v->get<double>() : 0;
}

TargetHeader target_header(const Json* object) {
  TargetHeader t{text(object, "kind"), "", text(object, "digest"), number(object, "weight_bytes_per_token"),
                 number(object, "cache_bytes_per_token")};
  for (const char* key : {"model", "command", "url"})
    if (std::string what = text(object, key); !what.empty()) t.what = std::move(what);
  return t;
}

// "env.isa" is the member of a member.
std::string at_path(const Json& object, const std::string& path) {
  const size_t dot = path.find('.');
  const Json* v = member(&object, path.substr(0, dot).c_str());
  if (dot != std::string::npos) v = member(v, path.substr(dot + 1).c_str());
  return v ? dump(*v) : "absent";
}

}  // namespace

RunHeader::RunHeader(Json from) : object(std::move(from)) {
  const Json *plan = member(&object, "plan"), *env = member(&object, "env"), *job = member(env, "slurm"),
             *b = member(&object, "target_b");
  target = target_header(member(&object, "target"));
  if (b) target_b = target_header(b);
  plan_hash = text(plan, "hash");
  set_digest = text(&object, "set_digest");
  cpu_model = text(env, "cpu_model"), isa = text(env, "isa"), threads = text(env, "threads");
  time_utc = text(env, "time_utc");
  job_id = text(job, "job_id"), node = text(job, "node");
  const std::string arrivals = text(plan, "arrivals");
  open = !arrivals.empty() && arrivals != "closed";
  read_gb_s = number(&object, "read_gb_s");
  if (const Json* o = member(&object, "overhead"); member(o, "ttft_p50_ms") && member(o, "e2e_p50_ms")) {
    overhead_ttft_ms = number(o, "ttft_p50_ms"), overhead_e2e_ms = number(o, "e2e_p50_ms");
    overhead_of = text(o, "what");
  }
  if (const Json* argv = member(&object, "argv"); argv && argv->is_array())
    for (const Json& word : *argv)
      if (word.is_string()) command += (command.empty() ? "" : " ") + as_string(word);
  if (!text(&object, "shard").empty())
    shard_family = plan_hash + " " + text(&object, "set") + " " + at_path(object, "target");
}

std::vector<std::string> header_differences(const RunHeader& a, const RunHeader& b,
                                            const std::vector<std::string>& members) {
  std::vector<std::string> out;
  for (const std::string& m : members)
    if (const std::string x = at_path(a.object, m), y = at_path(b.object, m); x != y)
      out.push_back(m + ": " + x + " against " + y);
  return out;
}

std::vector<std::string> environment_differences(const RunHeader& a, const RunHeader& b) {
  return header_differences(a, b,
                            {"env.cpu_model", "env.isa", "env.threads", "env.processors", "env.cgroup_cpu",
                             "env.kernel", "env.container", "target.kind"});
}

}  // namespace ds::bench
