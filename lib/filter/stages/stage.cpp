#include "filter/stages/stage.h"

#include <cstring>

namespace ds::filter {

std::span<const StageRow> stage_table() {
  static const StageRow rows[] = {integrity_stage(), quality_stage(), entities_stage(), duplicates_stage(),
                                  semantic_stage()};
  return rows;
}

int stage_index(std::string_view name) {
  const auto table = stage_table();
  for (size_t i = 0; i < table.size(); ++i)
    if (name == table[i].name) return static_cast<int>(i);
  return -1;
}

}  // namespace ds::filter
