// What lies between the products, a row of numbers at a time: rounding, GELU, powers of two, LayerNorm, pooling.
#pragma once

#include <initializer_list>

#include "engines.h"

namespace kernels {

inline void store_rounded(bf16* target, __m512 first, __m512 second) {
  _mm512_storeu_si512(target, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}

// x Phi(x), the exact GELU. Phi by an odd polynomial on [-4.4, 4.4] that meets 0 and 1 at its ends; the absolute error
// is below 2.5e-5, a hundredth of the rounding to bfloat16 at 1.
inline __m512 gelu(__m512 x) {
  const __m512 end = _mm512_set1_ps(4.4f);
  const __m512 t = _mm512_max_ps(_mm512_min_ps(x, end), _mm512_sub_ps(_mm512_setzero_ps(), end));
  const __m512 u = _mm512_mul_ps(t, t);
  constexpr float kTerms[] = {1.74084761e-07f, -4.72486887e-06f, 8.42930247e-05f, -1.05499256e-03f,
                              9.64302827e-03f, -6.60764307e-02f, 3.98761610e-01f};
  __m512 sum = _mm512_fmadd_ps(_mm512_set1_ps(3.56942989e-11f), u, _mm512_set1_ps(-3.75404972e-09f));
  for (const float term : kTerms) sum = _mm512_fmadd_ps(sum, u, _mm512_set1_ps(term));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(t, sum, _mm512_set1_ps(0.5f)));
}

// 2^x for x <= 0, relative error below 4e-6; 0 for minus infinity.
inline __m512 power_of_two(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, 0x09);  // x - floor(x)
  __m512 sum = _mm512_set1_ps(0.01367031f);
  for (const float term : {0.051745f, 0.24160436f, 0.69297292f, 1.00000349f})
    sum = _mm512_fmadd_ps(sum, f, _mm512_set1_ps(term));
  return _mm512_scalef_ps(sum, x);
}

template <bool kLargest>
inline __m512 combine(__m512 one, __m512 two) {
  return kLargest ? _mm512_max_ps(one, two) : _mm512_add_ps(one, two);
}

// One number out of each of 16 vectors: lane i of the result is the largest of vector i, or its sum.
template <bool kLargest>
inline __m512 reduce_each(const __m512* vectors) {
  __m512 eight[8], four[4], two[2];
  const __m512i low = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
  const __m512i high = _mm512_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  for (int i = 0; i < 8; ++i)
    eight[i] = combine<kLargest>(_mm512_permutex2var_ps(vectors[i], low, vectors[i + 8]),
                                 _mm512_permutex2var_ps(vectors[i], high, vectors[i + 8]));
  // Now vector i stands in lanes 0-7 of eight[i], vector i + 8 in lanes 8-15.
  const __m512i low4 = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
  const __m512i high4 = _mm512_setr_epi32(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  for (int i = 0; i < 4; ++i)
    four[i] = combine<kLargest>(_mm512_permutex2var_ps(eight[i], low4, eight[i + 4]),
                                _mm512_permutex2var_ps(eight[i], high4, eight[i + 4]));
  const __m512i low2 = _mm512_setr_epi32(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  const __m512i high2 = _mm512_setr_epi32(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  for (int i = 0; i < 2; ++i)
    two[i] = combine<kLargest>(_mm512_permutex2var_ps(four[i], low2, four[i + 2]),
                               _mm512_permutex2var_ps(four[i], high2, four[i + 2]));
  const __m512i low1 = _mm512_setr_epi32(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
  const __m512i high1 = _mm512_setr_epi32(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
  return combine<kLargest>(_mm512_permutex2var_ps(two[0], low1, two[1]), _mm512_permutex2var_ps(two[0], high1, two[1]));
}

// LayerNorm of one row plus a bias, in place (float32, variance about the mean), and its rounded copy for the next
// product.
inline void normalise_row(float* row, int width, const float* bias, const float* scale, const float* shift,
                          float epsilon, bf16* rounded) {
  __m512 sum = _mm512_setzero_ps(), more = _mm512_setzero_ps();
  for (int i = 0; i < width; i += 32) {
    const __m512 first = _mm512_add_ps(_mm512_loadu_ps(row + i), _mm512_loadu_ps(bias + i));
    const __m512 second = _mm512_add_ps(_mm512_loadu_ps(row + i + 16), _mm512_loadu_ps(bias + i + 16));
    _mm512_storeu_ps(row + i, first);
    _mm512_storeu_ps(row + i + 16, second);
    sum = _mm512_add_ps(sum, first);
    more = _mm512_add_ps(more, second);
  }
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(_mm512_add_ps(sum, more)) / width);
  sum = more = _mm512_setzero_ps();
  for (int i = 0; i < width; i += 32) {
    const __m512 first = _mm512_sub_ps(_mm512_loadu_ps(row + i), mean);
    const __m512 second = _mm512_sub_ps(_mm512_loadu_ps(row + i + 16), mean);
    sum = _mm512_fmadd_ps(first, first, sum);
    more = _mm512_fmadd_ps(second, second, more);
  }
  const float variance = _mm512_reduce_add_ps(_mm512_add_ps(sum, more)) / width;
  const __m512 factor = _mm512_set1_ps(1.0f / __builtin_sqrtf(variance + epsilon));
  for (int i = 0; i < width; i += 32) {
    __m512 part[2];
    for (int j = 0; j < 2; ++j) {
      const int at = i + 16 * j;
      const __m512 centred = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(row + at), mean), factor);
      part[j] = _mm512_fmadd_ps(centred, _mm512_loadu_ps(scale + at), _mm512_loadu_ps(shift + at));
      _mm512_storeu_ps(row + at, part[j]);
    }
    store_rounded(rounded + i * kBlock, part[0], part[1]);
  }
}

// The sum of some rows, each times its share; or their largest values, where the share is above 0.
inline void pool_rows(const float* rows, int count, int width, const float* shares, bool largest, float* target) {
  for (int i = 0; i < width; i += 16) {
    __m512 pooled = _mm512_set1_ps(largest ? -__builtin_inff() : 0.0f);
    for (int r = 0; r < count; ++r) {
      const __m512 values = _mm512_loadu_ps(rows + static_cast<std::ptrdiff_t>(r) * width + i);
      if (!largest)
        pooled = _mm512_fmadd_ps(values, _mm512_set1_ps(shares[r]), pooled);
      else if (shares[r] > 0)
        pooled = _mm512_max_ps(pooled, values);
    }
    _mm512_storeu_ps(target + i, pooled);
  }
}

}  // namespace kernels
