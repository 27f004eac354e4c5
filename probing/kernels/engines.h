// The engines that were compiled: what each can do, as functions that the rest calls.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "buffers.h"
#include "logistic.h"
#include "model.h"

namespace kernels {

struct Engine {
  const char* name;
  bool in_bf16;  // whether the weights of an encoder are packed in bfloat16, or in float32
  // What one thread does: one block after the other, each taken by adding to `next`.
  void (*encode)(const Model&, const Batch&, const Blocks&, std::atomic<std::size_t>& next);
  // The sentences' vectors are in the room, where one is given, which outlasts it.
  std::unique_ptr<Logistic> (*make_logistic)(const std::int32_t* labels, int sentences, int width, int classes,
                                             Room room);
  // Of each of `count` numbers, a multiple of 16: `gelu`, `power_of_two` or `log_of_two`; for the tests.
  void (*apply)(const char* function, const float* from, float* to, std::size_t count);
};

// One for each source file of engines.
extern const Engine kScalar, kScalarBf16;
#if defined(__x86_64__)
extern const Engine kAvx2, kAvx512, kAvx512Bf16;
#if defined(__linux__)
extern const Engine kAmx;
#endif
#elif defined(__aarch64__)
extern const Engine kNeon;
#endif

// Those that this processor can run, the fastest first, bfloat16 before float32.
std::vector<const Engine*> find_engines();

}  // namespace kernels
