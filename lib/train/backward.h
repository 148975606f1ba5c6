// One pass over documents: the forward with a tape, the loss, and the tape walked back into the parameters'
// gradients.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/tape.h"
#include "model/model.h"
#include "train/document.h"
#include "train/parameters.h"

namespace ds::train {

class Backward {
 public:
  // recompute: keep of each layer only its input (Model::forward_hidden).
  Backward(const Model& model, Parameters* parameters, ThreadPool& pool, const Policy& policy,
           bool recompute);
  ~Backward();

  // The sum of the cross-entropies of the documents' labels; adds scale times its gradient to the
  // parameters'. The documents run as one step, each as a sequence of its own: positions begin anew, nothing
  // is seen across a border. Documents without labels to learn cost nothing. Throws Error{kBadData} for ids
  // and labels outside the vocabulary.
  double add_gradient(std::span<const TrainingDocument> documents, double scale);
  // The sum alone.
  double loss(std::span<const TrainingDocument> documents);

  // Bytes held at most so far: scratch, its gradients, cached rows and theirs, what the tape kept.
  int64_t peak_bytes() const;

 private:
  struct Batch;
  struct Memory;
  double run(std::span<const TrainingDocument> documents, double scale, bool with_gradient);
  void pass(const Context& context, const Batch& batch, double scale, std::span<double> losses);
  void make_room(const Batch& batch);

  const Model& model_;
  Parameters* parameters_;
  ThreadPool& pool_;
  Policy policy_;
  bool recompute_;
  Tape tape_;
  std::unique_ptr<Memory> memory_;
};

// Tokens that a document teaches.
int64_t supervised_tokens(const TrainingDocument& document);

}  // namespace ds::train
