// Engines whose products read float32, made of lanes.
#pragma once

#include <algorithm>
#include <cstring>

#include "blocks.h"
#include "functions.h"

namespace kernels {
namespace {

// kRows x kVectors vectors of sums stay in registers; two steps of the right-hand side in the nearest cache.
template <int kRows, int kVectors>
struct FloatProducts {
  using Number = float;
  static void begin() {}
  static void end() {}

  template <bool kAdds, int kPairs, class Meanwhile>
  TARGET static void multiply(const Operands<float> (&pairs)[kPairs], int steps, float* sums, int stride,
                              Meanwhile meanwhile) {
    bool adds = kAdds;
    for (const auto& pair : pairs)
      for (int step = 0; step < steps; step += kSteps, adds = true) {
        const int some = std::min(kSteps, steps - step);
        const Operands<float> part{pair.left + step * pair.left_step, pair.right + step * pair.right_step,
                                   pair.left_step, pair.right_step};
        for (int column = 0; column < kBlock; column += kVectors * Lanes::kCount) {
          for (int row = 0; row + kRows <= kBlock; row += kRows)
            add_tile<kRows>(part, some, row, column, sums, stride, adds);
          if constexpr (kBlock % kRows != 0)
            add_tile<kBlock % kRows>(part, some, kBlock - kBlock % kRows, column, sums, stride, adds);
        }
        for (int i = step; i < step + some; ++i) meanwhile(i);
      }
  }

  TARGET static void store(float* to, Vector first, Vector second) {
    Lanes::store(to, first);
    Lanes::store(to + Lanes::kCount, second);
  }

  TARGET static void pack_across(const float* rows, float* target) {
    for (int row = 0; row < kBlock; row += Lanes::kCount)
      for (int column = 0; column < kBlock; column += Lanes::kCount)
        Lanes::transpose(rows + row * kBlock + column, kBlock, target + column * kBlock + row, kBlock);
  }

  static void pack_along(const float* rows, int count, float* target) {
    const int kept = std::min(count, kBlock) * kBlock;
    std::memcpy(target, rows, kept * sizeof(float));
    std::memset(target + kept, 0, (kBlockSize - kept) * sizeof(float));
  }

 private:
  static constexpr int kSteps = 2;

  template <int kTall>
  TARGET static void add_tile(const Operands<float>& pair, int steps, int row, int column, float* sums, int stride,
                              bool adds) {
    constexpr int kCount = Lanes::kCount;
    float* target = sums + row * stride + column;
    Vector sum[kTall][kVectors];
    for (int i = 0; i < kTall; ++i)
      for (int j = 0; j < kVectors; ++j)
        sum[i][j] = adds ? Lanes::load(target + i * stride + j * kCount) : Lanes::fill(0.0f);
    for (int step = 0; step < steps; ++step) {
      const float* left = pair.left + step * pair.left_step + row * kBlock;
      const float* right = pair.right + step * pair.right_step + column;
      for (int inner = 0; inner < kBlock; ++inner, right += kBlock) {
        Vector columns[kVectors];
        for (int j = 0; j < kVectors; ++j) columns[j] = Lanes::load(right + j * kCount);
        for (int i = 0; i < kTall; ++i) {
          const Vector value = Lanes::fill(left[i * kBlock + inner]);
          for (int j = 0; j < kVectors; ++j) sum[i][j] = Lanes::fmadd(value, columns[j], sum[i][j]);
        }
      }
    }
    for (int i = 0; i < kTall; ++i)
      for (int j = 0; j < kVectors; ++j) Lanes::store(target + i * stride + j * kCount, sum[i][j]);
  }
};

}  // namespace
}  // namespace kernels
