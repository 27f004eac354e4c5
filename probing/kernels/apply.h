// The functions of one engine, an array at a time: what the tests compare.
#pragma once

#include <cstring>
#include <type_traits>

#include "functions.h"

namespace kernels {
namespace {

template <bool kInBf16>
TARGET void apply(const char* function, const float* from, float* to, std::size_t count) {
  for (std::size_t i = 0; i < count; i += Lanes::kCount) {
    const Vector x = Lanes::load(from + i);
    if (!std::strcmp(function, "log_of_two"))
      Lanes::store(to + i, log_of_two(x));
    else if (!std::strcmp(function, "gelu"))
      Lanes::store(to + i, kInBf16 ? gelu_in_bf16(x) : gelu(x));
    else
      Lanes::store(to + i, kInBf16 ? power_of_two_in_bf16(x) : power_of_two(x));
  }
}

}  // namespace
}  // namespace kernels
