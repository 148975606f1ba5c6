// Cached rows on a tape: the table of pages, which belongs to a step, copied. Private to kernels/.
#pragma once
#include <algorithm>
#include <vector>

#include "kernels/kv_rows.h"
#include "kernels/tape.h"

namespace ds::kernels {

class OwnKvRows {
 public:
  // Of rows up to `end`: the table has no more pages than they fill.
  OwnKvRows(const KvRows& rows, int64_t end, const Context& context) : rows_(rows) {
    const int64_t n = std::min(rows.n_pages, (end + rows.page_rows - 1) / rows.page_rows);
    if (!context.arena.measuring()) pages_.assign(rows.pages, rows.pages + n);
  }
  // The one page there is was copied.
  void keep_page(TensorView copy) { copy_ = copy.data; }
  KvRows rows() {
    KvRows rows = rows_;
    rows.pages = copy_ ? &copy_ : pages_.data();
    return rows;
  }
  // The same rows in the shadow, valid as long as this.
  KvRows gradients(const Tape& tape, const Context& context) {
    shadow_ = pages_;
    if (!context.arena.measuring())
      for (void*& page : shadow_) page = tape.gradient_at(page);
    KvRows rows = rows_;
    rows.pages = shadow_.data();
    return rows;
  }

 private:
  KvRows rows_;
  std::vector<void*> pages_, shadow_;
  void* copy_ = nullptr;
};

}  // namespace ds::kernels
