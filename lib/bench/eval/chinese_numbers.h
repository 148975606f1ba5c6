// Numbers in Chinese numerals.
#pragma once
#include <string>

namespace ds::bench {

// Turns numerals into digits where they are a number: 一百二十, 两点五, 拾伍, 1万5千; 三分之一 into 1/3,
// 百分之五 into 5%, 一又二分之一 into 1 1/2, 负 before a number into a minus. What may be other words (一些,
// 队伍) stays.
void turn_chinese_numbers(std::u32string& text);

}  // namespace ds::bench
