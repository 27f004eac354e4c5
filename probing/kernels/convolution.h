// Dynamic convolution (arXiv 1901.10430, as LV-BERT has it, arXiv 2106.11740): each token and head weights its neighbours
// by a kernel of its own, whose logits are a convolution of the values.
#pragma once

#include <algorithm>

#include "scratch.h"

namespace kernels {
namespace {

template <class Engine>
struct Convolution {
  using Number = typename Engine::Number;
  const Model& model;
  const Layer& layer;
  Scratch<Number>& scratch;

  // v = (W_l x + b_l) sigmoid(W_g x + b_g) of all rows; a panel of values, and the one after it with their gates.
  TARGET void make_values(int blocks) const {
    multiply_rows<Engine>(
        layer.attention, scratch.copies.data(), blocks, scratch,
        [&](int block, int panel, int number, const float* sums) TARGET {
          const float* bias = layer.attention.bias + panel * kBlock;
          const std::ptrdiff_t row = block * kBlock + number;
          float* line = scratch.activated.data() + row * kBlock;
          float* values = scratch.gated.data() + row * model.width + panel / 2 * kBlock;
          for (int i = 0; i < kBlock; i += Lanes::kCount) {
            const Vector x = Lanes::load(sums + i) + Lanes::load(bias + i);
            if (panel % 2 == 0)
              Lanes::store(line + i, x);
            else
              Lanes::store(values + i, Lanes::load(line + i) * sigmoid(x));
          }
        });
  }

  // The values of one sentence, weighted by the kernels of each token; where the next product reads.
  TARGET void convolve(int start, int length) const {
    pad(start, length);
    const int apart = pad_rows(length) * kBlock, steps = model.width / kBlock, stride = layer.kernels.panels * kBlock;
    for (int first = 0; first < length; first += kBlock) {
      for (int panel = 0; panel < layer.kernels.panels; ++panel) {
        float* sums = scratch.logits.data() + panel * kBlock;
        for (int tap = 0; tap < layer.taps; ++tap) {
          const Operands<Number> pair{scratch.padded.data() + (first + tap) * kBlock,
                                      layer.kernels.panel<Number>(panel) + tap * steps * kBlockSize, apart};
          if (tap)
            Engine::template multiply<true>({pair}, steps, sums, stride, kNothing);
          else
            Engine::template multiply<false>({pair}, steps, sums, stride, kNothing);
        }
      }
      for (int row = 0; row < std::min(kBlock, length - first); ++row) {
        float* own = scratch.logits.data() + row * stride;
        weigh(own);
        add_up(own, start, first + row, length);
      }
    }
  }

 private:
  TARGET static Vector sigmoid(Vector x) {
    constexpr float kLog2OfE = 1.44269504f;
    // Of two numbers, the second is what the smaller of them is where one is not a number.
    const Vector power = power_of_two(Lanes::min(Lanes::fill(126.0f), x * Lanes::fill(-kLog2OfE)));
    return Lanes::fill(1.0f) / (Lanes::fill(1.0f) + power);
  }

  int half() const { return layer.taps / 2; }
  int pad_rows(int length) const { return (length + kBlock - 1) / kBlock * kBlock + 2 * half(); }

  // The values of a sentence in the engine's numbers, between rows of zeros.
  TARGET void pad(int start, int length) const {
    const int rows = pad_rows(length);
    const Vector zeros = Lanes::fill(0.0f);
    for (int panel = 0; panel < model.width / kBlock; ++panel)
      for (int row = 0; row < rows; ++row) {
        const int token = row - half();
        const bool there = token >= 0 && token < length;
        const float* from = scratch.gated.data() + static_cast<std::ptrdiff_t>(start + (there ? token : 0)) * model.width;
        Number* target = scratch.padded.data() + (static_cast<std::ptrdiff_t>(panel) * rows + row) * kBlock;
        for (int i = 0; i < kBlock; i += 2 * Lanes::kCount) {
          const float* values = from + panel * kBlock + i;
          Engine::store(target + i, there ? Lanes::load(values) : zeros,
                        there ? Lanes::load(values + Lanes::kCount) : zeros);
        }
      }
  }

  // Logits of a token, in bits, to kernels that sum to 1.
  TARGET void weigh(float* logits) const {
    const int taps = layer.taps, count = model.shape.heads * taps, padded = layer.kernels.panels * kBlock;
    for (int i = 0; i < padded; i += Lanes::kCount)
      Lanes::store(logits + i, Lanes::load(logits + i) + Lanes::load(layer.kernels.bias + i));
    for (float* own = logits; own < logits + count; own += taps) {
      const float largest = *std::max_element(own, own + taps);
      for (int tap = 0; tap < taps; ++tap) own[tap] -= largest;
    }
    for (int i = 0; i < padded; i += Lanes::kCount) Lanes::store(logits + i, power_of_two(Lanes::load(logits + i)));
    for (float* own = logits; own < logits + count; own += taps) {
      float sum = 0;
      for (int tap = 0; tap < taps; ++tap) sum += own[tap];
      for (int tap = 0; tap < taps; ++tap) own[tap] /= sum;
    }
  }

  // The weighted sum of a token's neighbours within its sentence, head by head.
  TARGET void add_up(const float* kernels, int start, int token, int length) const {
    const int from = std::max(0, half() - token), to = std::min(layer.taps, length - token + half());
    const int at = start + token, width = model.head_width();
    Number* target = scratch.shared.data() + static_cast<std::ptrdiff_t>(at / kBlock) * kBlock * model.width +
                     at % kBlock * kBlock;
    for (int i = 0; i < model.width; i += 2 * Lanes::kCount) {
      const float* kernel = kernels + i / width * layer.taps;
      Vector sum = Lanes::fill(0.0f), more = sum;
      for (int tap = from; tap < to; ++tap) {
        const float* own = scratch.gated.data() + static_cast<std::ptrdiff_t>(at - half() + tap) * model.width + i;
        const Vector weight = Lanes::fill(kernel[tap]);
        sum = Lanes::fmadd(weight, Lanes::load(own), sum);
        more = Lanes::fmadd(weight, Lanes::load(own + Lanes::kCount), more);
      }
      Engine::store(target + static_cast<std::ptrdiff_t>(i / kBlock) * kBlockSize + i % kBlock, sum, more);
    }
  }
};

}  // namespace
}  // namespace kernels
