#include "train/run_plot.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "io/jsonl.h"
#include "report/html.h"
#include "report/svg_chart.h"
#include "report/terminal_plot.h"

namespace ds::train {
namespace {

// The classes of report/svg_chart.h that page_head()'s sheet does not colour.
constexpr const char* kChartStyle =
    "<style>:root{--s0:#2563c9;--s1:#c2410c}@media(prefers-color-scheme:dark){:root{--s0:#6ea8ff;--s1:#"
    "ff9a62}}"
    "svg text{text-anchor:inherit}.h{font-weight:600}.c{fill:none;stroke-width:1.7;stroke-linejoin:round}"
    ".c.s0{stroke:var(--s0)}.c.s1{stroke:var(--s1)}.p.s0,.k.s0{fill:var(--s0)}.p.s1,.k.s1{fill:var(--s1)}</"
    "style>\n";

double number_of(const Json& event, const char* name) {
  const Json* value = find(event, name);
  return value && value->is_number() ? value->get<double>() : NAN;
}

using Series = std::map<double, double>;  // by step: of one done twice the last counts
void split(const Series& series, std::vector<double>& x, std::vector<double>& y) {
  for (const auto& [step, value] : series) {
    x.push_back(step);
    y.push_back(value);
  }
}

std::string plot(const char* name, const std::vector<double>& x, const std::vector<double>& y, int width,
                 bool unicode) {
  report::PlotStyle style;
  style.width = std::max(24, width);
  style.unicode = unicode;
  const std::string curve = report::plot_curve(x, y, style);
  return curve.empty() ? "" : std::string(name) + "\n" + curve;
}

}  // namespace

RunCurves read_curves(const std::string& path) {
  std::error_code ignored;
  const bool folder = path != "-" && std::filesystem::is_directory(path, ignored);
  io::JsonlReader reader(folder ? path + "/events.jsonl" : path);
  RunCurves out;
  Series losses, rates, evals;
  const auto bad = [&](const Error&, std::string_view) { ++out.n_bad; };
  while (const auto record = reader.next(bad)) {
    const Json* event = find(record->json, "event");
    const double step = number_of(record->json, "step"), loss = number_of(record->json, "loss");
    if (!event || !event->is_string() || !std::isfinite(step)) continue;
    if (as_string(*event) == "eval" && std::isfinite(loss)) evals[step] = loss;
    if (as_string(*event) != "step") continue;
    losses[step] = loss;
    const double lr = number_of(record->json, "lr"), rate = number_of(record->json, "learning_rate");
    if (std::isfinite(lr) || std::isfinite(rate)) rates[step] = std::isfinite(lr) ? lr : rate;
  }
  if (losses.empty())
    throw Error(ErrorKind::kBadData, "no event is an update: {\"event\": \"step\", \"step\", \"loss\"}", path,
                "ds-finetune writes its events to stdout: keep them, or pipe them here");
  split(losses, out.steps, out.losses);
  split(rates, out.rate_steps, out.rates);
  split(evals, out.eval_steps, out.evals);
  return out;
}

std::string curves_text(const RunCurves& c, int width, bool unicode) {
  return plot("loss", c.steps, c.losses, width, unicode) +
         plot("loss of evaluations", c.eval_steps, c.evals, width, unicode) +
         plot("learning rate", c.rate_steps, c.rates, width, unicode);
}

std::string curves_html(const RunCurves& c, const std::string& title, const std::string& command_line) {
  report::Chart loss;
  loss.title = "loss";
  loss.x_label = "update";
  loss.y_label = "nats per trained token";
  loss.y_from_zero = false;
  loss.whole_x = true;
  loss.series.push_back({"training", c.steps, c.losses, {}, {}, report::ChartSeries::Style::kLine, 0});
  if (!c.evals.empty())
    loss.series.push_back(
        {"evaluation", c.eval_steps, c.evals, {}, {}, report::ChartSeries::Style::kLinePoints, 1});
  report::Chart rate;
  rate.title = "learning rate";
  rate.x_label = "update";
  rate.whole_x = true;
  rate.series.push_back({"", c.rate_steps, c.rates, {}, {}, report::ChartSeries::Style::kLine, 0});
  return report::page_head(title, command_line) + kChartStyle + report::chart_svg(loss) +
         report::chart_svg(rate) + "</html>\n";
}

}  // namespace ds::train
