// Products of 32 x 32 blocks: bfloat16 in, float32 sums out, by whichever unit the processor has.
//
// Layouts, all contiguous:
//   left    [steps][32 rows][32 bfloat16]            rows times the inner dimension
//   right   [steps][2 halves][16 pairs][16 columns][2]   the inner dimension in pairs, as both units want it
//   sums    [32 rows][stride], of which 32 columns are written
#pragma once

#include <immintrin.h>

#include "buffers.h"

namespace kernels {

constexpr int kBlock = 32;
constexpr int kBlockSize = kBlock * kBlock;

// What is multiplied: blocks `left_step` and `right_step` numbers apart.
struct Operands {
  const bf16 *left, *right;
  std::ptrdiff_t left_step = kBlockSize, right_step = kBlockSize;
};

struct TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Intel's matrix unit.
struct Amx {
  static void begin() {
    TileShapes shapes;
    _tile_loadconfig(&shapes);
  }
  static void end() { _tile_release(); }

  // The sum of the products of all pairs, each over `steps` blocks; with `kAdds`, added to the sums.
  // `meanwhile(step)` is called once a step: the vector unit does it while the matrix unit multiplies.
  template <bool kAdds, int kPairs, class Meanwhile>
  static void multiply(const Operands (&pairs)[kPairs], int steps, float* sums, int stride, Meanwhile meanwhile) {
    // The tile intrinsics do not tell the compiler that they read memory.
    asm volatile("" ::: "memory");
    if constexpr (kAdds) {
      _tile_loadd(0, sums, stride * 4);
      _tile_loadd(1, sums + 16, stride * 4);
      _tile_loadd(2, sums + 16 * stride, stride * 4);
      _tile_loadd(3, sums + 16 * stride + 16, stride * 4);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (auto [left, right, left_step, right_step] : pairs)
      for (int step = 0; step < steps; ++step, left += left_step, right += right_step) {
        _tile_loadd(4, left, 64);
        _tile_loadd(6, right, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, right + kBlockSize / 2, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, left + kBlockSize / 2, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        meanwhile(step);
      }
    _tile_stored(0, sums, stride * 4);
    _tile_stored(1, sums + 16, stride * 4);
    _tile_stored(2, sums + 16 * stride, stride * 4);
    _tile_stored(3, sums + 16 * stride + 16, stride * 4);
    asm volatile("" ::: "memory");
  }
};

// The vector unit's bfloat16 dot products (AMD from Zen 4 on, Intel before AMX).
struct Avx512 {
  static void begin() {}
  static void end() {}

  template <bool kAdds, int kPairs, class Meanwhile>
  static void multiply(const Operands (&pairs)[kPairs], int steps, float* sums, int stride, Meanwhile meanwhile) {
    constexpr int kRows = 8;
    for (int row = 0; row < kBlock; row += kRows) {
      __m512 sum[kRows][2];
      for (int i = 0; i < kRows; ++i)
        for (int j = 0; j < 2; ++j)
          sum[i][j] = kAdds ? _mm512_loadu_ps(sums + (row + i) * stride + 16 * j) : _mm512_setzero_ps();
      for (const auto [left, right, left_step, right_step] : pairs)
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

}  // namespace kernels
