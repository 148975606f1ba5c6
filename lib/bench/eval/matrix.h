// What a model can do and how fast, in one table: reasoning, facts recalled over many turns, reading, P90
// latency; each with its interval.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/plan/plan.h"
#include "bench/targets/target.h"

namespace ds::bench {

struct MatrixRow {
  std::string capability, metric, measured, interval;
  int64_t n = 0;
};
struct MatrixOptions {
  std::string data_folder;
  int64_t n_questions = 0;  // per set; 0: all
  int64_t n_requests = 60;  // for latency
  int64_t max_tokens = 256;
  StopRequest stop;
  std::function<void(const std::string&)> note;
};
struct Matrix {
  std::vector<MatrixRow> rows;
  bool complete = true;
};
Matrix measure_matrix(Target& target, const MatrixOptions& options);
std::string matrix_text(const Matrix& matrix, int width);
Json matrix_json(const Matrix& matrix);

}  // namespace ds::bench
