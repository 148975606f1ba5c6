// Daily accuracy: an append-only ledger whose entries are chained by hash, and a CUSUM that raises an alarm
// when accuracy has fallen, with a stated rate of false alarms.
#pragma once
#include <string>
#include <vector>

#include "bench/records/record.h"

namespace ds::bench {

// The chart's design. Each answered item moves the sum by its log-likelihood ratio between accuracy p1 and
// p0; it never falls below 0, and crossing h is the alarm.
struct Cusum {
  double p0 = 0.9, p1 = 0.85;
  double h = 5;
  double up = 0, down = 0;  // steps for a wrong and a right answer
  double step(double sum, bool correct) const;
};
// Mean number of items until a false alarm when accuracy stays p0, by the Markov chain of Brook and Evans.
double cusum_run_length(const Cusum& chart);
// h for a false alarm about every run_length items.
Cusum design_cusum(double p0, double drop, double run_length);

struct DriftOptions {
  std::string ledger;
  double drop = 0.05;             // points of accuracy to be found out
  double false_alarm_days = 730;  // mean time between false alarms, one entry a day
  double baseline = -1;           // p0; -1: of the first entry, shrunk towards the middle by two items
  std::string time_utc;           // of the entry
};

struct DriftResult {
  bool alarm = false;
  bool outputs_changed = false;  // same model and environment, other answers: no statistics needed
  std::string first_changed;     // id of the first item that differs
  int64_t n_entries = 0, n = 0, n_correct = 0;
  Cusum chart;
  double sum = 0, run_length_items = 0;
  Json entry;  // the ledger's new last line
  std::string text;
};
// Checks the chain, judges the items, appends them as one entry and syncs, all under a lock of the file.
// Throws Error{kBadData} naming the line when the chain is broken, and when the set is not one whole
// evaluation of the ledger's set.
DriftResult add_to_ledger(const RecordSet& items, const DriftOptions& options);
// The chain's entries, checked.
std::vector<Json> read_ledger(const std::string& path);

}  // namespace ds::bench
