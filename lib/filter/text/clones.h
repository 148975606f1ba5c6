// One source, compiled for several instruction sets; the loader picks. For loops whose result is the same on
// each: integers, or floats whose order of summation the source fixes.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define DS_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DS_CLONES
#endif
