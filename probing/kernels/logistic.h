// Multinomial logistic regression: loss and gradient of many problems over the same vectors.
#pragma once

#include <vector>

#include "buffers.h"

namespace kernels {

// Numbers as the sum of two in bfloat16. Three products then make one of nearly float32: with x = x' + x" to 2^-17,
// x w = x' w' + x' w" + x" w', and x" w" is as small as what the sum leaves out.
struct Split {
  explicit Split(std::size_t count) : high(count), low(count) {}
  Buffer<bf16> high, low;
};

class Logistic {
 public:
  // `labels`: [sentences], from 0 to classes - 1. Vectors are 0 until they are filled in.
  Logistic(const std::int32_t* labels, int sentences, int width, int classes);

  // `vectors`: [count][width], of the sentences from `first` on.
  void fill(int first, const float* vectors, int count);

  // `weights`: [problems x classes][width], `intercepts`: [problems x classes], `counts`: [problems][sentences], how
  // often each sentence counts, or null where all count once. Sums over sentences of the loss (nats) and of its
  // gradient, to the same bits whatever the number of threads.
  void evaluate(const float* weights, const float* intercepts, const float* counts, int problems, int threads,
                double* losses, float* slopes, float* intercept_slopes) const;

  struct Sums;

 private:
  friend struct Worker;
  int sentences_, width_, classes_, blocks_, steps_;
  std::vector<std::int32_t> labels_;  // -1 behind the last sentence
  Split vectors_;                     // [blocks][steps][32 sentences][32 numbers]
};

}  // namespace kernels
