// The arrays of one thread, and products of all rows of a block of sentences.
#pragma once

#include <algorithm>
#include <cstdint>

#include "blocks.h"
#include "functions.h"
#include "model.h"

namespace kernels {
namespace {

// The arrays of one thread. Written before they are read, except for padding, whose zeros stay finite.
template <class Number>
struct Scratch {
  Scratch(const Model& model, int rows, int longest)
      : capacity(rows),
        states(static_cast<std::size_t>(rows) * std::max(model.width, model.embedding_width)),
        copies(static_cast<std::size_t>(rows) * std::max(model.width, model.embedding_width)),
        shared(static_cast<std::size_t>(rows + kBlock) * std::max(4 * model.width, model.shape.inner)),
        activated(model.shape.gated || model.most_taps() ? static_cast<std::size_t>(rows) * kBlock : 0),
        places(static_cast<std::size_t>(rows)),
        keys(static_cast<std::size_t>(longest) * model.head_width()),
        values(static_cast<std::size_t>(longest) * model.head_width()),
        scores(static_cast<std::size_t>(longest) * kBlock),
        powers(static_cast<std::size_t>(longest) * kBlock),
        gated(model.most_taps() ? static_cast<std::size_t>(rows) * model.width : 0),
        padded(model.most_taps() ? static_cast<std::size_t>(longest + model.most_taps()) * model.width : 0),
        logits(static_cast<std::size_t>(model.most_logits()) * kBlock) {}

  int capacity;                 // rows, a multiple of 32
  Buffer<float> states;         // [rows][width]: the residual stream
  Buffer<Number> copies;        // [rows / 32][width / 32][32][32]: what the next product reads
  Buffer<Number> shared;        // queries, keys, values and contexts; later the inner layer
  Buffer<float> activated;      // [rows][32]: a panel of a gated layer that waits for its factors
  Buffer<std::int32_t> places;  // of each row in its sentence
  Buffer<Number> keys, values;  // of one head, as right-hand sides
  Buffer<float> scores;         // 32 queries x all keys
  Buffer<Number> powers;        // [keys / 32][32 queries][32 keys]
  Buffer<float> gated;          // [rows][width]: values of a convolution
  Buffer<Number> padded;        // [width / 32][tokens and taps - 1 more][32]: those of a sentence between zeros
  Buffer<float> logits;         // [32 tokens][heads x taps, padded to 32]
  alignas(64) float sums[2][kBlockSize];
};

constexpr struct Nothing {
  void operator()(int) const {}
} kNothing;

// All rows times one weight matrix. `finish(block, panel, row, sums)` takes each row of each 32 x 32 block of the
// product, while the block after it is multiplied.
template <class Engine, class Finish>
TARGET void multiply_rows(const Matrix& weights, const typename Engine::Number* left, int blocks,
                          Scratch<typename Engine::Number>& scratch, Finish finish) {
  int done_block = -1, done_panel = 0, current = 0;
  const int rows_a_step = (kBlock + weights.steps - 1) / weights.steps;
  const auto finish_rows = [&](int first, int last) TARGET {
    const float* sums = scratch.sums[current ^ 1];
    for (int row = first; row < last; ++row) finish(done_block, done_panel, row, sums + row * kBlock);
  };
  for (int panel = 0; panel < weights.panels; ++panel) {
    for (int block = 0; block < blocks; ++block) {
      int row = done_block < 0 ? kBlock : 0;
      const auto finish_some = [&](int) TARGET {
        if (row == kBlock) return;
        const int last = std::min(kBlock, row + rows_a_step);
        finish_rows(row, last);
        row = last;
      };
      Engine::template multiply<false>({{left + block * weights.area(), weights.panel<typename Engine::Number>(panel)}},
                                       weights.steps, scratch.sums[current], kBlock, finish_some);
      done_block = block;
      done_panel = panel;
      current ^= 1;
    }
  }
  finish_rows(0, kBlock);
}

// All rows times one weight matrix, added to the residual stream.
template <class Engine>
TARGET void add_product(const Matrix& weights, const typename Engine::Number* left, int blocks, float* states) {
  const int width = weights.panels * kBlock;
  for (int panel = 0; panel < weights.panels; ++panel) {
    for (int block = 0; block < blocks; ++block)
      Engine::template multiply<true>(
          {{left + block * weights.area(), weights.panel<typename Engine::Number>(panel)}}, weights.steps,
          states + static_cast<std::ptrdiff_t>(block) * kBlock * width + panel * kBlock, width, kNothing);
  }
}

}  // namespace
}  // namespace kernels
