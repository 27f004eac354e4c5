// What a pass reads: weights as they were packed in Python, and a batch of sentences.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "buffers.h"

namespace kernels {

struct Matrix {
  const void* packed;  // [outputs / 32][inputs / 32] blocks, each as blocks.h wants its right-hand side
  const float* bias;   // [outputs]
  int panels, steps;   // outputs / 32, inputs / 32

  std::ptrdiff_t area() const { return static_cast<std::ptrdiff_t>(steps) * 32 * 32; }
  template <class Number>
  const Number* panel(int number) const {
    return static_cast<const Number*>(packed) + number * area();
  }
};

struct Norm {
  const float *scale, *shift;
};

struct Layer {
  Matrix attention;  // queries, keys and values in one; queries scaled by log2(e) / sqrt(width of a head)
  Matrix projection;
  Norm attention_norm;
  Matrix inner, output;
  Norm output_norm;
};

struct Model {
  int width, heads, inner;
  float epsilon;
  const float *words, *positions, *types;  // tables of the embeddings; positions from the first one used on
  Norm embedding_norm;
  const float* zeros;  // [width]
  std::vector<Layer> layers;

  int head_width() const { return width / heads; }
};

struct Batch {
  const std::int32_t *ids, *types;  // [tokens] of all sentences, one after the other
  const std::int64_t* starts;       // [sentences + 1]
  const float* shares;              // [tokens]: how much pooling reads of each
  bool largest;                     // max pooling, over tokens with a share
  std::int64_t sentences;
  float* pooled;  // [layers + 1][sentences][width]
};

// Which sentences go through together, as many as fit in the cache of a core.
struct Blocks {
  const std::int64_t* cuts;  // [count + 1]: the first sentence of each
  std::size_t count;
  int capacity, longest;  // rows of the largest block and of the longest sentence, multiples of 32
};

}  // namespace kernels
