#include "bench/render/records_report.h"

#include "bench/eval/tally.h"
#include "core/json_value.h"

namespace ds::bench {

std::string records_report(const RecordSet& set, const StatsOptions& options, ReportForm form) {
  const auto groups = summarize(set, options);
  const bool answers = !set.items.empty();
  switch (form) {
    case ReportForm::kCsv:
      return stats_csv(set, groups);
    case ReportForm::kMarkdown:
      return stats_markdown(set, groups);
    case ReportForm::kJson: {
      Json json = stats_json(set, groups, options);
      if (answers) json["scores"] = scores_json(set);
      return dump(json) + "\n";
    }
    case ReportForm::kText:
      break;
  }
  const std::string times = groups.empty() && answers ? "" : stats_text(set, groups, options);
  return answers ? times + scores_text(set) : times;
}

}  // namespace ds::bench
