#include "filter/stages/stage.h"

namespace ds::filter {

std::span<const StageRow> stage_table() {
  static const StageRow rows[] = {integrity_stage(), quality_stage(), entities_stage(), duplicates_stage(),
                                  semantic_stage()};
  return rows;
}

std::vector<LoadedStage> load_stages(const Profile& profile, const ResourceOptions& options) {
  std::vector<LoadedStage> stages;
  for (const auto& name : profile.stages)
    stages.push_back(stage_table()[stage_index(name)].load(profile, options));
  return stages;
}

int stage_index(std::string_view name) {
  const auto table = stage_table();
  for (size_t i = 0; i < table.size(); ++i)
    if (name == table[i].name) return static_cast<int>(i);
  return -1;
}

}  // namespace ds::filter
