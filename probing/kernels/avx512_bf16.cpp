// The vector unit's products in bfloat16.
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16")))

#include "lanes_avx512.h"

#include "apply.h"
#include "bf16_lanes.h"
#include "engines.h"
#include "functions.h"
#include "logistic_split.h"
#include "passes.h"

namespace kernels {
namespace {

// The vector unit's bfloat16 dot products (AMD from Zen 4 on, Intel before AMX).
struct Avx512Bf16Products : Bf16Sides {
  TARGET static void begin() {}
  TARGET static void end() {}

  template <bool kAdds, int kPairs, class Meanwhile>
  TARGET static void multiply(const Operands<bf16> (&pairs)[kPairs], int steps, float* sums, int stride,
                              Meanwhile meanwhile) {
    constexpr int kRows = 8;
    for (int row = 0; row < kBlock; row += kRows) {
      __m512 sum[kRows][2];
      for (int i = 0; i < kRows; ++i)
        for (int j = 0; j < 2; ++j)
          sum[i][j] = kAdds ? _mm512_loadu_ps(sums + (row + i) * stride + 16 * j) : _mm512_setzero_ps();
      for (const auto& [left, right, left_step, right_step] : pairs)
        for (int step = 0; step < steps; ++step) {
          const auto* values = reinterpret_cast<const std::int32_t*>(left + step * left_step + row * kBlock);
          const bf16* columns = right + step * right_step;
          for (int inner = 0; inner < 16; ++inner) {
            const auto first = (__m512bh)_mm512_loadu_si512(columns + inner * 32);
            const auto second = (__m512bh)_mm512_loadu_si512(columns + kBlockSize / 2 + inner * 32);
            for (int i = 0; i < kRows; ++i) {
              const auto value = (__m512bh)_mm512_set1_epi32(values[i * 16 + inner]);
              sum[i][0] = _mm512_dpbf16_ps(sum[i][0], value, first);
              sum[i][1] = _mm512_dpbf16_ps(sum[i][1], value, second);
            }
          }
          if (row == kBlock - kRows) meanwhile(step);
        }
      for (int i = 0; i < kRows; ++i) {
        _mm512_storeu_ps(sums + (row + i) * stride, sum[i][0]);
        _mm512_storeu_ps(sums + (row + i) * stride + 16, sum[i][1]);
      }
    }
  }
};

std::unique_ptr<Logistic> make_logistic(const std::int32_t* labels, int sentences, int width, int classes, Room room) {
  return std::make_unique<SplitLogistic<Avx512Bf16Products>>(labels, sentences, width, classes, room);
}

}  // namespace

const Engine kAvx512Bf16 = {"avx512_bf16", true, encode_blocks<Avx512Bf16Products>, make_logistic, apply<true>};

}  // namespace kernels
#endif
