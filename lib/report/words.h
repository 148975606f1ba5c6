// Numbers and lines as a person reads them.
#pragma once
#include <cstdint>
#include <string>

#include "core/rooms.h"

namespace ds::report {

// Three significant digits.
std::string short_number(double value);
// "12.5 %" of a share between 0 and 1.
std::string percent(double share);
// The text on one line, cut to 60 bytes at most.
std::string one_line(std::string text);
// "17.5 MiB": bytes in the largest binary unit of which there is one.
std::string byte_size(int64_t bytes);
// "3.090 GB", "14.80 MB": bytes as makers of disks count them.
std::string decimal_size(int64_t bytes);
// "12 s", "5 min".
std::string duration_text(double s);
// "12 s left", "5 min left", from the share that is done; "" when nothing is.
std::string time_left(double elapsed_s, double share_done);
// Breaks an ASCII line at its spaces; what follows is indented by so many columns. Ends in a newline.
std::string fold(const std::string& line, int width, size_t indent);

}  // namespace ds::report
