#include "infer/scheduler.h"

#include <algorithm>
#include <cmath>

#include "checkpoint/model_folder.h"
#include "core/clock.h"

namespace ds::infer {

namespace {

// Nothing can be chosen among logits that are no numbers. Only now are the weights worth a search: NaN in
// what no answer needs harms nobody.
void require_finite(const Engine& engine, const float* logits, size_t n) {
  if (std::all_of(logits, logits + n, [](float x) { return std::isfinite(x); })) return;
  const std::string& path = engine.plan().path;
  const std::string culprit = first_non_finite(*open_model(path));
  throw Error(ErrorKind::kBadModel, "the model's logits are NaN or infinite",
              culprit.empty() ? path : culprit,
              culprit.empty() ? "its activations overflow: config.json and weights may not belong together"
                              : "this weight is NaN or infinite: fetch the model again");
}

}  // namespace

Scheduler::Scheduler(const Engine& engine)
    : engine_(engine),
      arena_(engine.plan().scheduler.workspace_bytes / 4),
      context_{&engine.pool(), arena_, engine.policy()},
      cache_(engine.model().cache_streams(), engine.plan().scheduler.pool()),
      logits_(new float[engine.plan().scheduler.logits_bytes / 4]) {
  const SchedulerSize& size = engine.plan().scheduler;
  for (int64_t i = 0; i < size.max_sequences; ++i)
    sequences_.push_back(std::make_unique<Sequence>(engine, cache_));
  running_.reserve(size.max_sequences);
  parts_.reserve(size.max_sequences);
  segments_.reserve(size.max_sequences);
  tokens_.reserve(size.step_tokens());
  rows_.reserve(size.step_rows());
}

void Scheduler::check(const GenerateRequest& request) const {
  const int64_t vocab_size = engine_.model().config().vocab_size, ctx = engine_.plan().scheduler.ctx;
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  if (n_prompt == 0 && !request.prompt_logits)
    throw Error(ErrorKind::kBadData, "the prompt is empty", "", "give at least one token of text");
  for (const int32_t id : request.prompt) {
    if (id < 0 || id >= vocab_size)
      throw Error(
          ErrorKind::kBadData,
          "token id " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size),
          "");
  }
  const int64_t n_new = request.prompt_logits ? 0 : request.exact_length ? request.settings.max_tokens : 1;
  if (n_prompt + n_new <= ctx) return;
  throw Error(ErrorKind::kBadData,
              std::to_string(n_prompt) + " tokens" + (n_new > 0 ? " and an answer" : "") +
                  " do not fit the context of " + std::to_string(ctx),
              "", "shorten the text, or raise --ctx if the model and the memory allow more (see --plan)");
}

RequestId Scheduler::submit(GenerateRequest request, GenerateSink sink) {
  check(request);
  waiting_.push_back({++n_submitted_, std::move(request), std::move(sink), now_ns()});
  return n_submitted_;
}

// Where a sequence can be made: the donor's own place when it has ended, else the one that ended first.
Sequence& Scheduler::place_for(const GenerateRequest& request, const Sequence& donor) const {
  Sequence* place = nullptr;
  for (const auto& s : sequences_) {
    if (s->is_running()) continue;
    if (s.get() == &donor && donor.n_reusable(request) > 0) return *s;
    if (!place || s->id() < place->id()) place = s.get();
  }
  return *place;
}

// What a request may come to hold, so that those that run never wait for each other.
int64_t Scheduler::pages_for(const GenerateRequest& request) const {
  const SchedulerSize& size = engine_.plan().scheduler;
  const int64_t n_new = request.prompt_logits ? 0 : request.settings.max_tokens;
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  const bool is_open = n_new == 0 && !request.prompt_logits;
  const int64_t n_tokens = is_open ? size.ctx : std::min(size.ctx, n_prompt + std::min(size.ctx, n_new));
  return (n_tokens + size.page_tokens - 1) / size.page_tokens;
}

bool Scheduler::may_start(const GenerateRequest& request, const Sequence& donor) const {
  const SchedulerSize& size = engine_.plan().scheduler;
  if (n_promised_pages_ + pages_for(request) > size.cache_tokens / size.page_tokens) return false;
  // A prompt that begins like one that is being read waits for it: both cost no more than one.
  const int64_t n_here = donor.n_reusable(request);
  return std::none_of(running_.begin(), running_.end(),
                      [&](const Sequence* s) { return s->n_coming(request) > n_here; });
}

// Sequences that have ended keep their rows for those that begin alike, as long as nobody else needs the
// pages: the oldest go first.
void Scheduler::drop_ended_for(const Sequence& started) {
  const SchedulerSize& size = engine_.plan().scheduler;
  const int64_t n_most = size.cache_tokens / size.page_tokens - n_promised_pages_;
  for (;;) {
    int64_t n_kept = 0;
    Sequence* oldest = nullptr;
    for (const auto& s : sequences_) {
      const int64_t n = (s->cache().length() + size.page_tokens - 1) / size.page_tokens;
      if (s->is_running() || s.get() == &started || n == 0) continue;
      n_kept += n;
      if (!oldest || s->id() < oldest->id()) oldest = s.get();
    }
    if (n_kept <= n_most) return;
    oldest->forget();
  }
}

void Scheduler::start_waiting() {
  for (; !waiting_.empty() && running_.size() < sequences_.size(); waiting_.pop_front()) {
    Waiting& next = waiting_.front();
    const Sequence& donor =
        **std::max_element(sequences_.begin(), sequences_.end(), [&](const auto& a, const auto& b) {
          return a->n_reusable(next.request) < b->n_reusable(next.request);
        });
    if (!may_start(next.request, donor)) break;
    Sequence& place = place_for(next.request, donor);
    const int64_t n_pages = pages_for(next.request);
    n_promised_pages_ += n_pages;
    running_.push_back(&place);
    place.start(next.id, std::move(next.request), std::move(next.sink), next.submit_ns, donor, n_pages);
    drop_ended_for(place);
  }
  forget_ended();
}

// Adds the sequences that read a prompt, or those that answer, as far as the step has room. A chunk is never
// cut for want of room: where a prompt is cut must not depend on its companions.
void Scheduler::gather(bool prompts) {
  const SchedulerSize& size = engine_.plan().scheduler;
  for (Sequence* sequence : running_) {
    if (sequence->reads_prompt() != prompts) continue;
    const auto next = sequence->next_tokens();
    const int64_t n_rows = sequence->n_logit_rows();
    const auto n_tokens = static_cast<int64_t>(tokens_.size() + next.size());
    if (n_tokens > size.step_tokens() || static_cast<int64_t>(rows_.size()) + n_rows > size.step_rows())
      continue;
    tokens_.insert(tokens_.end(), next.begin(), next.end());
    for (int64_t row = n_tokens - n_rows; row < n_tokens; ++row) rows_.push_back(static_cast<int32_t>(row));
    segments_.push_back({&sequence->cache(), static_cast<int64_t>(next.size())});
    parts_.push_back({sequence, static_cast<int64_t>(next.size()), n_rows});
  }
}

void Scheduler::step() {
  start_waiting();
  if (running_.empty()) return;
  tokens_.clear(), rows_.clear(), segments_.clear(), parts_.clear();
  gather(false);  // first those that answer: a long prompt must not hold them up
  gather(true);
  engine_.model().forward(context_, tokens_, segments_, rows_, logits_.get());
  require_finite(engine_, logits_.get(), rows_.size() * engine_.model().config().vocab_size);
  const float* logits = logits_.get();
  for (const Part& part : parts_) {
    const auto n_floats = static_cast<size_t>(part.n_rows * engine_.model().config().vocab_size);
    part.sequence->take(part.n_tokens, part.n_rows, {logits, n_floats});
    logits += n_floats;
  }
  forget_ended();
}

void Scheduler::forget_ended() {
  std::erase_if(running_, [&](const Sequence* s) {
    if (!s->is_running()) n_promised_pages_ -= s->n_promised_pages();
    return !s->is_running();
  });
}

void Scheduler::cancel(RequestId id) {
  for (Sequence* sequence : running_)
    if (sequence->id() == id) sequence->finish(FinishReason::kInterrupted);
  forget_ended();
  const auto waiting =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const Waiting& w) { return w.id == id; });
  if (waiting == waiting_.end()) return;
  Generation none;
  none.finish_reason = FinishReason::kInterrupted;
  none.n_prompt_tokens = static_cast<int64_t>(waiting->request.prompt.size());
  none.start_ns = waiting->submit_ns;
  none.end_ns = now_ns();
  if (waiting->sink.done) waiting->sink.done(std::move(none));
  waiting_.erase(waiting);
}

Generation Scheduler::run(GenerateRequest request, GenerateSink sink,
                          const std::function<bool()>& stop_requested) {
  std::optional<Generation> answer;
  sink.done = [&](Generation g) { answer = std::move(g); };
  const RequestId id = submit(std::move(request), std::move(sink));
  while (!answer) stop_requested&& stop_requested() ? cancel(id) : step();
  if (answer->error) throw *answer->error;
  return std::move(*answer);
}

}  // namespace ds::infer
