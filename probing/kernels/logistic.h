// Multinomial logistic regression: loss and gradient of many problems over the same vectors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace kernels {

// Columns of the vectors, from `first` to `last`, which is not one of them.
struct Columns {
  int first, last;
};

// The same, from and to a multiple of `unit`; those that meet are one. `columns` go up.
inline std::vector<Columns> round_out(const std::vector<Columns>& columns, int unit) {
  std::vector<Columns> rounded;
  for (const auto& one : columns) {
    const int first = one.first / unit * unit, last = (one.last + unit - 1) / unit * unit;
    if (!rounded.empty() && first <= rounded.back().last)
      rounded.back().last = std::max(rounded.back().last, last);
    else
      rounded.push_back({first, last});
  }
  return rounded;
}

class Logistic {
 public:
  virtual ~Logistic() = default;

  // `vectors`: [count][width], of the sentences from `first` on. They are 0 until they are filled in.
  virtual void fill(int first, const float* vectors, int count) = 0;

  // `weights`: [problems x classes][width], `intercepts`: [problems x classes], `counts`: [problems][sentences], how
  // often each sentence counts, or null where all count once. Sums over sentences of the loss (nats) and of its
  // gradient, to the same bits whatever the number of threads. Of the vectors, `read` alone are read: weights are 0
  // elsewhere, and what is given as their slopes has no meaning.
  virtual void evaluate(const float* weights, const float* intercepts, const float* counts,
                        const std::vector<Columns>& read, int problems, int threads, double* losses, float* slopes,
                        float* intercept_slopes) const = 0;
};

constexpr float kLog2E = 1.44269504f;
constexpr double kLn2 = 0.69314718055994531;

}  // namespace kernels
