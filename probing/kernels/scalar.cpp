// The reference: plain C++ for any machine, in float32 and in bfloat16. For tests, not for speed.
#define TARGET

#include "lanes_scalar.h"

#include "apply.h"
#include "engines.h"
#include "functions.h"
#include "logistic_float.h"
#include "passes.h"
#include "products.h"

namespace kernels {
namespace {

using FloatEngine = FloatProducts<4, 4>;

bf16 round_to_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  if (x != x) return static_cast<bf16>(bits >> 16 | 0x40);
  // To the nearest, and of two as near to the even one.
  return static_cast<bf16>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float widen(bf16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

struct Bf16Engine {
  using Number = bf16;
  static void begin() {}
  static void end() {}

  template <bool kAdds, int kPairs, class Meanwhile>
  static void multiply(const Operands<bf16> (&pairs)[kPairs], int steps, float* sums, int stride, Meanwhile meanwhile) {
    for (int row = 0; row < kBlock; ++row)
      for (int column = 0; column < kBlock; ++column) {
        float sum = kAdds ? sums[row * stride + column] : 0.0f;
        for (const auto& pair : pairs)
          for (int step = 0; step < steps; ++step) {
            const bf16* left = pair.left + step * pair.left_step + row * kBlock;
            const bf16* right = pair.right + step * pair.right_step;
            for (int inner = 0; inner < kBlock; ++inner) sum += widen(left[inner]) * widen(right[place(inner, column)]);
          }
        sums[row * stride + column] = sum;
      }
    for (int step = 0; step < kPairs * steps; ++step) meanwhile(step % steps);
  }

  static void store(bf16* target, float first, float second) {
    target[0] = round_to_bf16(first);
    target[1] = round_to_bf16(second);
  }

  static void pack_across(const bf16* rows, bf16* target) {
    for (int row = 0; row < kBlock; ++row)
      for (int inner = 0; inner < kBlock; ++inner) target[place(inner, row)] = rows[row * kBlock + inner];
  }

  static void pack_along(const bf16* rows, int count, bf16* target) {
    for (int row = 0; row < kBlock; ++row)
      for (int column = 0; column < kBlock; ++column)
        target[place(row, column)] = row < count ? rows[row * kBlock + column] : bf16{0};
  }

 private:
  // Of a number in a right-hand side: [2 halves][16 pairs][16 columns][2].
  static int place(int inner, int column) {
    return column / 16 * (kBlockSize / 2) + inner / 2 * 32 + column % 16 * 2 + inner % 2;
  }
};

std::unique_ptr<Logistic> make_logistic(const std::int32_t* labels, int sentences, int width, int classes, Room room) {
  return std::make_unique<FloatLogistic<2, 2>>(labels, sentences, width, classes, room);
}

}  // namespace

const Engine kScalar = {"scalar", false, encode_blocks<FloatEngine>, make_logistic, apply<false>};
const Engine kScalarBf16 = {"scalar_bf16", true, encode_blocks<Bf16Engine>, make_logistic, apply<true>};

}  // namespace kernels
