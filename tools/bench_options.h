// The option tables that several commands of ds-bench share.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "bench/run.h"
#include "cli.h"

namespace ds::bench {

struct Options {
  cli::Machine machine;
  TargetChoice target;
  PlanOptions plan;
  std::string duration, arrivals = "closed", plan_path, out = "-", shard;
  std::string ab, resume, find_goodput, slo, percentile = "nearest", detect;
  std::vector<std::string> inputs, gates;
  bool quiet = false, json = false, ascii = false, force = false, no_overhead = false;
  double alpha = 0.05, margin = 0.05;
  int width = 100;
};

inline void add_target_options(CLI::App& app, Options& o) {
  app.add_option("model", o.target.model, "Model folder, measured in this process")->type_name("MODEL");
  app.add_option("--cmd", o.target.command,
                 "A command line, one process per request; {prompt} {max_tokens} {seed} are replaced, else "
                 "the prompt "
                 "arrives on its stdin")
      ->type_name("LINE");
  app.add_option("--url", o.target.url, "An OpenAI-style streaming server")->type_name("URL");
  app.add_flag("--shell", o.target.options.shell, "Run --cmd through /bin/sh");
  app.add_option("--api", o.target.options.api, "chat or completions")->capture_default_str();
  app.add_option("--model-name", o.target.options.model_name,
                 "\"model\" of HTTP requests [asked from the server]");
  app.add_option("--api-key-file", o.target.options.api_key_file, "File with the bearer token");
  app.add_option("--timeout", o.target.options.timeout_s, "Seconds per request")->capture_default_str();
  app.add_option("--ctx", o.target.options.context_tokens,
                 "Context of the in-process engine [as long as needed]");
  cli::add_machine_options(app, o.machine);
}

inline void add_plan_options(CLI::App& app, Options& o) {
  app.add_option("-n,--requests", o.plan.n_requests, "Requests per load point")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--duration", o.duration, "Time per load point: 30s, 5m");
  app.add_option("--prompts", o.plan.prompts_path, "JSON lines of {messages} or {prompt} [generated text]");
  app.add_option("--input-tokens", o.plan.input_tokens, "About so many tokens per generated prompt")
      ->capture_default_str();
  app.add_option("--output-tokens", o.plan.output_tokens, "Most tokens per answer")->capture_default_str();
  app.add_flag("--ignore-eos", o.plan.ignore_eos, "Exactly --output-tokens per answer, where the target can");
  app.add_option("--temperature", o.plan.temperature, "0 is greedy")->capture_default_str();
  app.add_option("--seed", o.plan.seed, "Of prompts, arrivals and sampling")->capture_default_str();
  app.add_option("-c,--concurrency", o.plan.clients,
                 "Closed loop: clients, several make a sweep; open: most in flight [256]")
      ->delimiter(',');
  app.add_option("--arrivals", o.arrivals, "closed, poisson, constant, or a trace file of seconds")
      ->capture_default_str();
  app.add_option("--rate", o.plan.rates, "Requests per second, several make a sweep")->delimiter(',');
  app.add_option("--warmup", o.plan.warmup, "Requests left out first [-1: until steady, at most 16]")
      ->capture_default_str();
}

}  // namespace ds::bench
