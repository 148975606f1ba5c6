#include "infer/scheduler.h"

namespace ds::infer {

Scheduler::Scheduler(const Engine& engine, std::function<bool()> stop_requested)
    : engine_(engine),
      stop_requested_(std::move(stop_requested)),
      session_(engine.new_session()),
      sampler_(engine.model().config().vocab_size) {}

void Scheduler::submit(Request request) {
  DS_CHECK(has_room());
  waiting_.push_back(std::move(request));
}

Outcome Scheduler::take() {
  DS_CHECK(!waiting_.empty());
  Outcome outcome;
  outcome.request = std::move(waiting_.front());
  waiting_.pop_front();
  // Nothing of the record before is reused: an answer is the same whatever came before it, so that a resumed
  // run gives the same bytes.
  session_.clear();
  GenerateOptions options;
  options.settings = outcome.request.settings;
  options.stream = outcome.request.stream;
  options.stop_requested = stop_requested_;
  try {
    outcome.answer =
        generate(engine_, session_, sampler_, outcome.request.prompt, options, outcome.request.where);
  } catch (const Error& e) {
    if (!spoils_one_record(e)) throw;
    outcome.error = e;
  }
  return outcome;
}

}  // namespace ds::infer
