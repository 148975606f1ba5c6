// The words of ds-run --help around its option table: paragraphs are filled, indented lines are examples.
#pragma once

namespace ds {

inline constexpr const char* kDescription =
    R"(answer with a DeepSeek, Llama or Qwen model folder as it was published

MODEL is a folder in the Hugging Face layout: config.json, *.safetensors, tokenizer.json. Nothing is converted.
Give MODEL first. stdout carries the answer alone; reasoning (<think>) and notes go to stderr.

Examples:
  ds-run MODEL 'Why is the sky blue?'     one question, the answer on stdout
  git diff | ds-run MODEL 'Say what changed'
  ds-run MODEL 'Say what changed' -f diff the instruction, a blank line, the text
  ds-run MODEL -f report.txt -s 'Sum up'  text from a file, a system prompt
  ds-run MODEL                            on a terminal: a chat; Ctrl-D ends it
  ds-run MODEL --jsonl < in > out         a record a line, answers in order
  ds-run MODEL --raw -p 'Once upon'       continue text, no chat template
  ds-run MODEL --score < texts.jsonl      log-probability of every token
  ds-run MODEL --tokenize < text | ds-run MODEL --detokenize
  ds-run MODEL --plan                     what it needs, before it is read)";

inline constexpr const char* kNotes =
    R"(Prompts: stdin is read when it is no terminal and -f is not given. Of piped text one final line feed is
dropped, except with --raw. Invalid UTF-8 becomes U+FFFD with a warning. The answer ends in a line feed; with --raw
and stdout not a terminal it is exactly what the model wrote.

Defaults: generation_config.json (temperature, top_k, top_p, min_p, repetition_penalty, max_new_tokens, do_sample),
then what the authors recommend: deepseek_v3, llama, qwen2, qwen3 temperature 0.6 top-p 0.95; deepseek_v32 1.0 and
0.95; deepseek_v2 0.3; deepseek 0.7 and 0.9. Temperature 0 takes the most likely token; the same command gives the
same answer for any number of threads.

Records (--jsonl): {"id", "prompt" | "messages" | "input_ids", "system", "tools", "thinking", "raw", "return_ids",
"max_tokens", "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "stop", "extra": {template
variables}, "add_generation_prompt", "continue_final_message"} give {"id", "text", "reasoning", "finish_reason":
"stop" | "length", "usage", "output_ids" if input_ids came or were asked for}. Other programs' names are understood
(max_new_tokens, max_completion_tokens, n_predict, repetition_penalty, stop_sequences, enable_thinking ...); other
members are named once on stderr. A last message of the assistant is gone on with. The token that ends a turn is
neither counted nor shown. A record without id is called "line:7". A bad record gives {"id", "error": {"message",
"where", "hint"}}, the others go on, and the exit code is 65. Records may be compressed (gzip, zstd).

--score takes {"id", "text" | "messages" | "input_ids"} and gives {"id", "n_tokens", "logprobs", "sum_logprob",
"perplexity"}; text gets the BOS (and EOS) that tokenizer.json or tokenizer_config.json ask for, as --raw does.
--tokenize and --detokenize take text and ids, or with --jsonl {"id", "text", "parse_special", "add_special"} and
{"id", "ids"}; --render takes {"id", "messages", "system", "tools", "thinking", "extra", "add_generation_prompt",
"continue_final_message"}.)";

}  // namespace ds
