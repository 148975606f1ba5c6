// Daily accuracy: an append-only ledger whose entries are chained by hash, and an alarm when accuracy has
// fallen, with a stated rate of false alarms.
//
// Questions are compared with themselves, never in an order: of a question that was right on k of m earlier
// days and is right or wrong today, every day is as likely to be the odd one if nothing has changed. Where
// the odds of being right have fallen to a third, today is the odd one more often; the ratio of the two
// likelihoods has the mean 1 while nothing changes, whatever the questions and however often their answers
// vary. Its logarithm, summed over the questions of a day and cumulated over the days (never below 0), is the
// chart; crossing log(false-alarm days) is the alarm. Answers that are the same every day leave it at 0.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "bench/records/record.h"
#include "core/json_value.h"

namespace ds::bench {

struct DriftOptions {
  std::string ledger;
  double false_alarm_days = 730;  // about so many entries from one false alarm to the next
  std::string time_utc;           // of the entry; empty: now
};

struct DriftResult {
  bool alarm = false;
  bool outputs_changed = false;  // same model and environment, other answers: no statistics needed
  std::string first_changed;     // id of the first item that differs
  int64_t n_entries = 0, n = 0, n_correct = 0;
  std::vector<std::string> lost, won;  // since the last entry: right then and wrong now, and the reverse
  double sum = 0, limit = 0;           // of the chart
  std::string warning;                 // of entries of another model, of one that is lost; a line each
  Json entry;                          // the ledger's new last line
  std::string text;
};
// How often each question was right, and on how many days.
struct PastAnswers {
  int64_t n_days = 0;
  std::map<std::string, int64_t> n_right;
};
// What one day adds to the chart.
double drift_evidence(const PastAnswers& past, const std::map<std::string, bool>& today);

// Checks the chain, compares the items with those of the days before, appends them as one entry and syncs,
// all under a lock of the file. An entry that a crash left half written is replaced, with a
// warning. Throws Error{kBadData}
// naming the line when the chain is broken, when the items are not the ledger's set, and when some have no
// answer: a busy server is no loss of accuracy.
DriftResult add_to_ledger(const RecordSet& items, const DriftOptions& options);
// The chain's entries, checked. *size: where the next one begins; *n_torn: bytes behind that are no whole
// line.
std::vector<Json> read_ledger(const std::string& path, int64_t* size = nullptr, int64_t* n_torn = nullptr);

}  // namespace ds::bench
