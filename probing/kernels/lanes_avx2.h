// Eight numbers at a time: AVX2 and FMA. What each function means: lanes_scalar.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace kernels {
namespace {

struct Lanes {
  using Vector = __m256;
  static constexpr int kCount = 8;

  TARGET static Vector load(const float* from) { return _mm256_loadu_ps(from); }
  TARGET static void store(float* to, Vector x) { _mm256_storeu_ps(to, x); }
  TARGET static Vector fill(float x) { return _mm256_set1_ps(x); }
  TARGET static Vector fmadd(Vector x, Vector y, Vector z) { return _mm256_fmadd_ps(x, y, z); }
  TARGET static Vector max(Vector x, Vector y) { return _mm256_max_ps(x, y); }
  TARGET static Vector min(Vector x, Vector y) { return _mm256_min_ps(x, y); }

  template <bool kLargest>
  TARGET static float reduce(Vector x) {
    __m128 four = combine<kLargest>(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = combine<kLargest>(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(combine<kLargest>(four, _mm_shuffle_ps(four, four, 1)));
  }
  TARGET static float sum(Vector x) { return reduce<false>(x); }
  TARGET static float largest(Vector x) { return reduce<true>(x); }

  TARGET static Vector first(Vector x, int count, float others) {
    const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), places);
    return _mm256_blendv_ps(fill(others), x, _mm256_castsi256_ps(kept));
  }

  TARGET static Vector fraction(Vector x) { return _mm256_sub_ps(x, _mm256_floor_ps(x)); }
  TARGET static Vector scale(Vector x, Vector power) {
    // The second of two is what the larger of them is where one is not a number.
    const Vector whole = _mm256_floor_ps(_mm256_max_ps(fill(-126.0f), power));
    const __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)), 23);
    const Vector scaled = _mm256_mul_ps(x, _mm256_castsi256_ps(bits));
    return _mm256_blendv_ps(scaled, power, _mm256_cmp_ps(power, power, _CMP_UNORD_Q));
  }

  TARGET static Vector exponent(Vector x) {
    const __m256i biased = _mm256_srli_epi32(_mm256_castps_si256(x), 23);
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)));
  }
  TARGET static Vector mantissa(Vector x) {
    const __m256i digits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7FFFFF));
    return _mm256_castsi256_ps(_mm256_or_si256(digits, _mm256_set1_epi32(0x3F800000)));
  }

  template <bool kLargest>
  TARGET static Vector reduce_each(const Vector* vectors) {
    alignas(32) float reduced[kCount];
    for (int i = 0; i < kCount; ++i) reduced[i] = reduce<kLargest>(vectors[i]);
    return _mm256_load_ps(reduced);
  }

  TARGET static void store_sums(const Vector* vectors, float* to) {
    const Vector pairs = _mm256_hadd_ps(vectors[0], vectors[1]), others = _mm256_hadd_ps(vectors[2], vectors[3]);
    const Vector both = _mm256_hadd_ps(pairs, others);
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(both), _mm256_extractf128_ps(both, 1)));
  }

  TARGET static void transpose(const float* from, int apart, float* to, int to_apart) {
    Vector twos[8], fours[8];
    for (int i = 0; i < 8; i += 2) {
      const Vector even = load(from + i * apart), odd = load(from + (i + 1) * apart);
      twos[i] = _mm256_unpacklo_ps(even, odd);
      twos[i + 1] = _mm256_unpackhi_ps(even, odd);
    }
    for (int i = 0; i < 8; i += 4)
      for (int j = 0; j < 2; ++j) {
        fours[i + 2 * j] = _mm256_shuffle_ps(twos[i + j], twos[i + 2 + j], 0x44);
        fours[i + 2 * j + 1] = _mm256_shuffle_ps(twos[i + j], twos[i + 2 + j], 0xEE);
      }
    // Vector c now holds columns c and c + 4 of rows 0 to 3, vector 4 + c those of rows 4 to 7.
    for (int c = 0; c < 4; ++c) {
      store(to + c * to_apart, _mm256_permute2f128_ps(fours[c], fours[4 + c], 0x20));
      store(to + (c + 4) * to_apart, _mm256_permute2f128_ps(fours[c], fours[4 + c], 0x31));
    }
  }

 private:
  template <bool kLargest>
  TARGET static __m128 combine(__m128 one, __m128 two) {
    return kLargest ? _mm_max_ps(one, two) : _mm_add_ps(one, two);
  }
};

}  // namespace
}  // namespace kernels
