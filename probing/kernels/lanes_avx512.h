// Sixteen numbers at a time: AVX-512 (F, BW, DQ, VL). What each function means: lanes_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace kernels {
namespace {

// Sixteen rows of 16 numbers of 32 bits, transposed; rows stand `apart` and `to_apart` numbers apart.
TARGET inline void transpose_words(const void* from, int apart, void* to, int to_apart) {
  const auto* rows = static_cast<const std::int32_t*>(from);
  auto* target = static_cast<std::int32_t*>(to);
  __m512i twos[16], fours[16], eights[16];
  for (int i = 0; i < 16; i += 2) {
    const __m512i even = _mm512_loadu_si512(rows + i * apart), odd = _mm512_loadu_si512(rows + (i + 1) * apart);
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
      _mm512_storeu_si512(target + (4 * j + c) * to_apart, _mm512_shuffle_i32x4(low, high, 0x88));
      _mm512_storeu_si512(target + (8 + 4 * j + c) * to_apart, _mm512_shuffle_i32x4(low, high, 0xDD));
    }
}

struct Lanes {
  using Vector = __m512;
  static constexpr int kCount = 16;

  TARGET static Vector load(const float* from) { return _mm512_loadu_ps(from); }
  TARGET static void store(float* to, Vector x) { _mm512_storeu_ps(to, x); }
  TARGET static Vector fill(float x) { return _mm512_set1_ps(x); }
  TARGET static Vector fmadd(Vector x, Vector y, Vector z) { return _mm512_fmadd_ps(x, y, z); }
  TARGET static Vector max(Vector x, Vector y) { return _mm512_max_ps(x, y); }
  TARGET static Vector min(Vector x, Vector y) { return _mm512_min_ps(x, y); }
  TARGET static float sum(Vector x) { return _mm512_reduce_add_ps(x); }
  TARGET static float largest(Vector x) { return _mm512_reduce_max_ps(x); }

  TARGET static Vector first(Vector x, int count, float others) {
    const auto kept = static_cast<__mmask16>(count >= 16 ? 0xFFFF : count <= 0 ? 0 : 0xFFFF >> (16 - count));
    return _mm512_mask_mov_ps(fill(others), kept, x);
  }

  TARGET static Vector fraction(Vector x) { return _mm512_reduce_ps(x, 0x09); }
  TARGET static Vector scale(Vector x, Vector power) { return _mm512_scalef_ps(x, power); }
  TARGET static Vector exponent(Vector x) { return _mm512_getexp_ps(x); }
  TARGET static Vector mantissa(Vector x) { return _mm512_getmant_ps(x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_zero); }

  template <bool kLargest>
  TARGET static Vector reduce_each(const Vector* vectors) {
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
    return combine<kLargest>(_mm512_permutex2var_ps(two[0], low1, two[1]),
                             _mm512_permutex2var_ps(two[0], high1, two[1]));
  }

  TARGET static void store_sums(const Vector* vectors, float* to) {
    __m256 half[4];
    for (int i = 0; i < 4; ++i)
      half[i] = _mm256_add_ps(_mm512_castps512_ps256(vectors[i]), _mm512_extractf32x8_ps(vectors[i], 1));
    const __m256 both = _mm256_hadd_ps(_mm256_hadd_ps(half[0], half[1]), _mm256_hadd_ps(half[2], half[3]));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1)));
  }

  TARGET static void transpose(const float* from, int apart, float* to, int to_apart) {
    transpose_words(from, apart, to, to_apart);
  }

 private:
  template <bool kLargest>
  TARGET static Vector combine(Vector one, Vector two) {
    return kLargest ? _mm512_max_ps(one, two) : _mm512_add_ps(one, two);
  }
};

}  // namespace
}  // namespace kernels
