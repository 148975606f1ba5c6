// The only way from a model to tokens. Requests are submitted at any time; each step is one forward pass over
// the next tokens of every sequence under way: one token of those that answer, a chunk of a prompt. What a
// sequence yields does not depend, bit for bit, on which others share its steps.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "infer/engine.h"
#include "infer/generate.h"
#include "infer/sequence.h"
#include "model/model.h"

namespace ds::infer {

class Scheduler {
 public:
  // Reserves memory as engine.plan() says; it is committed as contexts grow.
  explicit Scheduler(const Engine& engine);

  // Whether there is a place for one more.
  bool has_room() const { return waiting_.size() + running_.size() < sequences_.size(); }
  // Requests start in the order of submission: each once there is a place for it, cache for the longest
  // answer it may give, and whatever of its prompt another sequence is just reading. Throws Error{kBadData}
  // without a place for a prompt that is empty, holds ids outside the vocabulary, or leaves no room for an
  // answer.
  RequestId submit(GenerateRequest request, GenerateSink sink);
  bool is_idle() const { return waiting_.empty() && running_.empty(); }
  // One forward pass. An Error of one sequence (its sink's, too) ends that one alone, as Generation::error;
  // other exceptions of sinks come out of here, and the scheduler can no longer be used. Sinks must not call
  // cancel() or step().
  void step();
  // Ends a request with what there is of it (FinishReason::kInterrupted); of one that has ended, nothing.
  void cancel(RequestId id);

  // submit() and step() until it is answered, or cancel() once `stop_requested` (may be empty) says so.
  // Throws the answer's error.
  Generation run(GenerateRequest request, GenerateSink sink, const std::function<bool()>& stop_requested);

 private:
  struct Waiting {
    RequestId id;
    GenerateRequest request;
    GenerateSink sink;
    int64_t submit_ns;
  };
  void check(const GenerateRequest& request) const;
  Sequence& place_for(const GenerateRequest& request, const Sequence& donor) const;
  bool may_start(const GenerateRequest& request, const Sequence& donor) const;
  int64_t pages_for(const GenerateRequest& request) const;
  void start_waiting();
  void drop_ended_for(const Sequence& started);
  void gather(bool prompts);
  void forget_ended();

  const Engine& engine_;
  Arena arena_;
  Context context_;
  KvPool cache_;
  std::unique_ptr<float[]> logits_;  // [step_rows, V]
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> running_;  // in the order of submission
  int64_t n_promised_pages_ = 0;    // of the cache, to those that run
  std::deque<Waiting> waiting_;
  RequestId n_submitted_ = 0;

  // The step under way.
  struct Part {
    Sequence* sequence;
    int64_t n_tokens, n_rows;  // read; of logits
  };
  std::vector<Part> parts_;
  std::vector<Segment> segments_;
  std::vector<int32_t> tokens_, rows_;
};

}  // namespace ds::infer
