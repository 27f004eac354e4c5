// What lies between the products, a row of numbers at a time: LayerNorm, rotations and pooling.
#pragma once

#include <cstddef>

#include "blocks.h"
#include "functions.h"

namespace kernels {
namespace {

// LayerNorm of one row plus a bias (float32, variance about the mean): a copy for the next product, and in place, where
// with `keeps` the row plus the bias stays.
template <class Engine>
TARGET inline void normalise_row(float* row, int width, const float* bias, const float* scale, const float* shift,
                                 float epsilon, bool keeps, typename Engine::Number* copy) {
  constexpr int kCount = Lanes::kCount;
  Vector sum = Lanes::fill(0.0f), more = sum;
  for (int i = 0; i < width; i += 2 * kCount) {
    const Vector first = Lanes::load(row + i) + Lanes::load(bias + i);
    const Vector second = Lanes::load(row + i + kCount) + Lanes::load(bias + i + kCount);
    Lanes::store(row + i, first);
    Lanes::store(row + i + kCount, second);
    sum = sum + first;
    more = more + second;
  }
  const Vector mean = Lanes::fill(Lanes::sum(sum + more) / width);
  sum = more = Lanes::fill(0.0f);
  for (int i = 0; i < width; i += 2 * kCount) {
    const Vector first = Lanes::load(row + i) - mean, second = Lanes::load(row + i + kCount) - mean;
    sum = Lanes::fmadd(first, first, sum);
    more = Lanes::fmadd(second, second, more);
  }
  const float variance = Lanes::sum(sum + more) / width;
  const Vector factor = Lanes::fill(1.0f / __builtin_sqrtf(variance + epsilon));
  for (int i = 0; i < width; i += 2 * kCount) {
    Vector part[2];
    for (int j = 0; j < 2; ++j) {
      const int at = i + kCount * j;
      const Vector centred = (Lanes::load(row + at) - mean) * factor;
      part[j] = Lanes::fmadd(centred, Lanes::load(scale + at), Lanes::load(shift + at));
      if (!keeps) Lanes::store(row + at, part[j]);
    }
    Engine::store(copy + static_cast<std::ptrdiff_t>(i / kBlock) * kBlockSize + i % kBlock, part[0], part[1]);
  }
}

// Part of a query or a key, in place: numbers 16 apart are turned by the angle of their position, whose cosines and
// sines are given (arXiv 2104.09864, equation 34).
TARGET inline void rotate(float* row, const float* cosines, const float* sines) {
  for (int i = 0; i < kBlock / 2; i += Lanes::kCount) {
    const Vector first = Lanes::load(row + i), second = Lanes::load(row + kBlock / 2 + i);
    const Vector cosine = Lanes::load(cosines + i), sine = Lanes::load(sines + i);
    Lanes::store(row + i, first * cosine - second * sine);
    Lanes::store(row + kBlock / 2 + i, second * cosine + first * sine);
  }
}

// The sum of some rows, each times its share; or their largest values, where the share is above 0.
TARGET inline void pool_rows(const float* rows, int count, int width, const float* shares, bool largest,
                             float* target) {
  for (int i = 0; i < width; i += Lanes::kCount) {
    Vector pooled = Lanes::fill(largest ? -__builtin_inff() : 0.0f);
    for (int r = 0; r < count; ++r) {
      const Vector values = Lanes::load(rows + static_cast<std::ptrdiff_t>(r) * width + i);
      if (!largest)
        pooled = Lanes::fmadd(values, Lanes::fill(shares[r]), pooled);
      else if (shares[r] > 0)
        pooled = Lanes::max(pooled, values);
    }
    Lanes::store(target + i, pooled);
  }
}

}  // namespace
}  // namespace kernels
