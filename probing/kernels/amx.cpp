// Products by Intel's matrix unit, in bfloat16; all else on the lanes of AVX-512.
#if defined(__x86_64__) && defined(__linux__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16,amx-tile,amx-bf16")))

#include "lanes_avx512.h"

#include "apply.h"
#include "bf16_lanes.h"
#include "engines.h"
#include "functions.h"
#include "logistic_split.h"
#include "passes.h"

namespace kernels {
namespace {

struct TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Intel's matrix unit.
struct AmxProducts : Bf16Sides {
  TARGET static void begin() {
    TileShapes shapes;
    _tile_loadconfig(&shapes);
  }
  TARGET static void end() { _tile_release(); }

  // The sum of the products of all pairs, each over `steps` blocks; with `kAdds`, added to the sums.
  // `meanwhile(step)` is called once a step: the vector unit does it while the matrix unit multiplies.
  template <bool kAdds, int kPairs, class Meanwhile>
  TARGET static void multiply(const Operands<bf16> (&pairs)[kPairs], int steps, float* sums, int stride,
                              Meanwhile meanwhile) {
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

std::unique_ptr<Logistic> make_logistic(const std::int32_t* labels, int sentences, int width, int classes, Room room) {
  return std::make_unique<SplitLogistic<AmxProducts>>(labels, sentences, width, classes, room);
}

}  // namespace

const Engine kAmx = {"amx", true, encode_blocks<AmxProducts>, make_logistic, apply<true>};

}  // namespace kernels
#endif
