// Multinomial logistic regression: loss and gradient of many problems over the same vectors.
#pragma once

#include <cstdint>

namespace kernels {

class Logistic {
 public:
  virtual ~Logistic() = default;

  // `vectors`: [count][width], of the sentences from `first` on. They are 0 until they are filled in.
  virtual void fill(int first, const float* vectors, int count) = 0;

  // `weights`: [problems x classes][width], `intercepts`: [problems x classes], `counts`: [problems][sentences], how
  // often each sentence counts, or null where all count once. Sums over sentences of the loss (nats) and of its
  // gradient, to the same bits whatever the number of threads.
  virtual void evaluate(const float* weights, const float* intercepts, const float* counts, int problems, int threads,
                        double* losses, float* slopes, float* intercept_slopes) const = 0;
};

constexpr float kLog2E = 1.44269504f;
constexpr double kLn2 = 0.69314718055994531;

}  // namespace kernels
