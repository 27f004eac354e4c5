// One number at a time: the reference that every machine can compile, and that the other lanes are tested against.
// Every lanes_*.h defines the same `Lanes`; a source file includes one of them.
#pragma once

#include <algorithm>
#include <cmath>

namespace kernels {
namespace {

struct Lanes {
  using Vector = float;
  static constexpr int kCount = 1;

  TARGET static Vector load(const float* from) { return *from; }
  TARGET static void store(float* to, Vector x) { *to = x; }
  TARGET static Vector fill(float x) { return x; }
  // x y + z
  TARGET static Vector fmadd(Vector x, Vector y, Vector z) { return x * y + z; }
  // NaN where the second one is.
  TARGET static Vector max(Vector x, Vector y) { return x > y ? x : y; }
  TARGET static Vector min(Vector x, Vector y) { return x < y ? x : y; }
  TARGET static float sum(Vector x) { return x; }
  TARGET static float largest(Vector x) { return x; }

  // The first `count` lanes, others in place of the rest; `count` may be below 0 or above the number of lanes.
  TARGET static Vector first(Vector x, int count, float others) { return count > 0 ? x : others; }

  // x - floor(x), and x 2^floor(power); a power below -126 may be taken for that.
  TARGET static Vector fraction(Vector x) { return std::isinf(x) ? 0.0f : x - std::floor(x); }
  TARGET static Vector scale(Vector x, Vector power) {
    return power != power ? power : std::ldexp(x, static_cast<int>(std::floor(std::max(power, -126.0f))));
  }

  // Of x >= 1: the whole part of its logarithm to base 2, and x divided by that power of two.
  TARGET static Vector exponent(Vector x) { return static_cast<float>(std::ilogb(x)); }
  TARGET static Vector mantissa(Vector x) { return std::ldexp(x, -std::ilogb(x)); }

  // Lane i of the result: the largest number of vector i, or their sum.
  template <bool kLargest>
  TARGET static Vector reduce_each(const Vector* vectors) {
    return vectors[0];
  }

  // The sums of four vectors.
  TARGET static void store_sums(const Vector* vectors, float* to) { std::copy_n(vectors, 4, to); }

  // kCount x kCount numbers: rows become columns.
  TARGET static void transpose(const float* from, int, float* to, int) { *to = *from; }
};

}  // namespace
}  // namespace kernels
