// What engines in bfloat16 share that stand on the lanes of AVX-512: rounding, and right-hand sides of products.
#pragma once

#include <immintrin.h>

#include "blocks.h"
#include "functions.h"

namespace kernels {
namespace {

struct Bf16Sides {
  using Number = bf16;

  TARGET static void store(bf16* target, Vector first, Vector second) {
    _mm512_storeu_si512(target, (__m512i)_mm512_cvtne2ps_pbh(second, first));
  }

  // Pairs are transposed: those of all rows side by side.
  TARGET static void pack_across(const bf16* rows, bf16* target) {
    transpose_words(rows, kBlock / 2, target, kBlock / 2);
    transpose_words(rows + kBlockSize / 2, kBlock / 2, target + kBlockSize / 2, kBlock / 2);
  }

  // Rows are interleaved in pairs.
  TARGET static void pack_along(const bf16* rows, int count, bf16* target) {
    const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                           37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i upper = _mm512_add_epi16(order, _mm512_set1_epi16(16));
    for (int row = 0; row < kBlock; row += 2, target += kBlock) {
      const __m512i even = row < count ? _mm512_loadu_si512(rows + row * kBlock) : _mm512_setzero_si512();
      const __m512i odd = row + 1 < count ? _mm512_loadu_si512(rows + (row + 1) * kBlock) : _mm512_setzero_si512();
      _mm512_storeu_si512(target, _mm512_permutex2var_epi16(even, order, odd));
      _mm512_storeu_si512(target + kBlockSize / 2, _mm512_permutex2var_epi16(even, upper, odd));
    }
  }
};

}  // namespace
}  // namespace kernels
