// Four numbers at a time: ARM's NEON, which every 64-bit ARM has. What each function means: lanes_scalar.h.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace kernels {
namespace {

struct Lanes {
  using Vector = float32x4_t;
  static constexpr int kCount = 4;

  TARGET static Vector load(const float* from) { return vld1q_f32(from); }
  TARGET static void store(float* to, Vector x) { vst1q_f32(to, x); }
  TARGET static Vector fill(float x) { return vdupq_n_f32(x); }
  TARGET static Vector fmadd(Vector x, Vector y, Vector z) { return vfmaq_f32(z, x, y); }
  TARGET static Vector max(Vector x, Vector y) { return vmaxq_f32(x, y); }
  TARGET static Vector min(Vector x, Vector y) { return vminq_f32(x, y); }
  TARGET static float sum(Vector x) { return vaddvq_f32(x); }
  TARGET static float largest(Vector x) { return vmaxvq_f32(x); }

  TARGET static Vector first(Vector x, int count, float others) {
    const std::int32_t places[] = {0, 1, 2, 3};
    return vbslq_f32(vcltq_s32(vld1q_s32(places), vdupq_n_s32(count)), x, fill(others));
  }

  TARGET static Vector fraction(Vector x) { return vsubq_f32(x, vrndmq_f32(x)); }
  TARGET static Vector scale(Vector x, Vector power) {
    const int32x4_t whole = vcvtmq_s32_f32(max(fill(-126.0f), power));
    const Vector scaled = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(whole, vdupq_n_s32(127)), 23)));
    return vbslq_f32(vceqq_f32(power, power), scaled, power);
  }

  TARGET static Vector exponent(Vector x) {
    return vcvtq_f32_s32(vsubq_s32(vshrq_n_s32(vreinterpretq_s32_f32(x), 23), vdupq_n_s32(127)));
  }
  TARGET static Vector mantissa(Vector x) {
    const int32x4_t digits = vandq_s32(vreinterpretq_s32_f32(x), vdupq_n_s32(0x7FFFFF));
    return vreinterpretq_f32_s32(vorrq_s32(digits, vdupq_n_s32(0x3F800000)));
  }

  template <bool kLargest>
  TARGET static Vector reduce_each(const Vector* vectors) {
    if (kLargest) return vpmaxq_f32(vpmaxq_f32(vectors[0], vectors[1]), vpmaxq_f32(vectors[2], vectors[3]));
    return vpaddq_f32(vpaddq_f32(vectors[0], vectors[1]), vpaddq_f32(vectors[2], vectors[3]));
  }

  TARGET static void store_sums(const Vector* vectors, float* to) { store(to, reduce_each<false>(vectors)); }

  TARGET static void transpose(const float* from, int apart, float* to, int to_apart) {
    const float32x4x2_t low = vtrnq_f32(load(from), load(from + apart));
    const float32x4x2_t high = vtrnq_f32(load(from + 2 * apart), load(from + 3 * apart));
    for (int c = 0; c < 2; ++c) {
      store(to + c * to_apart, vcombine_f32(vget_low_f32(low.val[c]), vget_low_f32(high.val[c])));
      store(to + (c + 2) * to_apart, vcombine_f32(vget_high_f32(low.val[c]), vget_high_f32(high.val[c])));
    }
  }
};

}  // namespace
}  // namespace kernels
