// Right-hand sides of products, from 32 rows of 32 numbers each.
#pragma once

#include "engines.h"

namespace kernels {

// Sixteen rows of 16 pairs, transposed: the pairs of all rows side by side.
inline void transpose_pairs(const bf16* rows, bf16* target) {
  __m512i twos[16], fours[16], eights[16];
  for (int i = 0; i < 16; i += 2) {
    const __m512i even = _mm512_loadu_si512(rows + i * kBlock), odd = _mm512_loadu_si512(rows + (i + 1) * kBlock);
    twos[i] = _mm512_unpacklo_epi32(even, odd);
    twos[i + 1] = _mm512_unpackhi_epi32(even, odd);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      fours[i + 2 * j] = _mm512_unpacklo_epi64(twos[i + j], twos[i + 2 + j]);
      fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(twos[i + j], twos[i + 2 + j]);
    }
  // Vector 4 g + c now holds pairs c, c + 4, c + 8 and c + 12 of rows 4 g to 4 g + 3.
  for (int c = 0; c < 4; ++c) {
    eights[c] = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    eights[4 + c] = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xDD);
    eights[8 + c] = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    eights[12 + c] = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xDD);
  }
  for (int c = 0; c < 4; ++c)
    for (int j = 0; j < 2; ++j) {
      const __m512i low = eights[4 * j + c], high = eights[8 + 4 * j + c];
      _mm512_storeu_si512(target + (4 * j + c) * 32, _mm512_shuffle_i32x4(low, high, 0x88));
      _mm512_storeu_si512(target + (8 + 4 * j + c) * 32, _mm512_shuffle_i32x4(low, high, 0xDD));
    }
}

// Products that run over the numbers of a row: the rows become columns.
inline void pack_across(const bf16* rows, bf16* target) {
  transpose_pairs(rows, target);
  transpose_pairs(rows + kBlockSize / 2, target + kBlockSize / 2);
}

// Products that run over the rows: they are interleaved in pairs. Those from `count` on are taken for zeros.
inline void pack_along(const bf16* rows, int count, bf16* target) {
  const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m512i upper = _mm512_add_epi16(order, _mm512_set1_epi16(16));
  for (int row = 0; row < kBlock; row += 2, target += kBlock) {
    const __m512i even = row < count ? _mm512_loadu_si512(rows + row * kBlock) : _mm512_setzero_si512();
    const __m512i odd = row + 1 < count ? _mm512_loadu_si512(rows + (row + 1) * kBlock) : _mm512_setzero_si512();
    _mm512_storeu_si512(target, _mm512_permutex2var_epi16(even, order, odd));
    _mm512_storeu_si512(target + kBlockSize / 2, _mm512_permutex2var_epi16(even, upper, odd));
  }
}

}  // namespace kernels
