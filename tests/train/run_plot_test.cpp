// The curves of a run, as its events tell them.
#include "train/run_plot.h"

#include <doctest/doctest.h>

#include "core/error.h"
#include "io/temp_folder.h"

using namespace ds;
using namespace ds::train;

namespace {
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
}  // namespace

TEST_CASE("curves of a run: what was done twice counts once, what is no number is a gap") {
  const test::TempFolder folder;
  folder.write("events.jsonl",
               "{\"event\":\"start\",\"step\":0}\n"
               "{\"event\":\"step\",\"step\":1,\"loss\":4.0,\"lr\":1e-4}\n"
               "{\"event\":\"step\",\"step\":2,\"loss\":9.0,\"lr\":1e-4}\ncut off {\n"
               "{\"event\":\"step\",\"step\":2,\"loss\":3.0,\"learning_rate\":5e-5}\n"
               "{\"event\":\"step\",\"step\":3,\"loss\":null}\n{\"event\":\"eval\",\"step\":3,\"loss\":2.5}\n"
               "{\"event\":\"step\",\"step\":4,\"loss\":2.0}\n");
  const RunCurves c = read_curves(folder.path());
  CHECK(c.steps == std::vector<double>{1, 2, 3, 4});
  CHECK(c.losses[1] == 3);
  CHECK(c.rates == std::vector<double>{1e-4, 5e-5});
  CHECK(c.evals == std::vector<double>{2.5});
  CHECK(c.n_bad == 1);
  for (const bool unicode : {true, false}) {
    const std::string text = curves_text(c, 60, unicode);
    CHECK(has(text, "loss\n"));
    CHECK(has(text, "4.00"));
    CHECK(has(text, "2.00"));
    CHECK(has(text, "learning rate\n"));
  }
  const std::string page = curves_html(c, "a <run>", "ds-finetune plot");
  CHECK(has(page, "a &lt;run&gt;"));
  CHECK(has(page, "<svg"));
  CHECK(has(page, "prefers-color-scheme:dark"));
  CHECK(!has(page, "http"));  // nothing from elsewhere
  folder.write("none.jsonl", "{\"event\":\"start\"}\n");
  CHECK_THROWS_AS(read_curves(folder / "none.jsonl"), Error);
  CHECK_THROWS_AS(read_curves(folder / "absent"), Error);
}
