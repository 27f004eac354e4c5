// What a pass reads: weights as they were packed in Python, and a batch of sentences.
#pragma once

#include <algorithm>
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
  bool keeps = false;  // whether the states stay as they are, and what the next product reads is normed alone
};

// What is added to the score of a query and a key, by how far the key stands behind the query.
struct Distances {
  const float* biases = nullptr;  // [heads][2 reach + 1], times log2(e), the middle one at distance 0; or none
  int reach = 0;                  // 32 more than tokens of the longest sentence at least

  const float* of(int head) const { return biases + static_cast<std::ptrdiff_t>(head) * (2 * reach + 1) + reach; }
};

constexpr int kEverywhere = 1 << 30;

// Without `attention` or without `inner`, where there are no panels of it.
struct Layer {
  Matrix attention;  // queries, keys and values in one; queries scaled by log2(e) / sqrt(width of a head)
  Matrix projection;
  Norm attention_norm;
  Matrix inner, output;  // of a gated layer, panels of `inner` take turns: what is activated, and its factors
  Norm output_norm;
  // [positions][half a head's width of cosines, as many sines], or none. Numbers of a head that are turned together
  // stand 16 apart in a panel of 32.
  const float* rotations = nullptr;
  Distances distances{};
  int window = kEverywhere;  // tokens on either side that a token reads
  // Of a convolution: tokens that a kernel reads, an odd number, or 0; and what makes the logits of the kernels of
  // each token, times log2(e): heads x taps outputs, padded to 32, of taps x width inputs. Panels of `attention` are then
  // values and gates in turns.
  int taps = 0;
  Matrix kernels{nullptr, nullptr, 0, 0};
};

struct Shape {
  int heads, inner;
  float epsilon;
  bool gated;  // whether the activated half of the inner layer is multiplied with the other half
};

struct Model {
  Shape shape;
  int width, embedding_width;
  const float *words, *positions, *types;  // tables of the embeddings; positions from the first one used on
  int position_step;                       // from one position to the next; 0 where there is one row for all
  Norm embedding_norm;
  Matrix widening;     // from the embeddings' width to the states'; no panels where they are one
  const float* zeros;  // [the larger width]
  std::vector<Layer> layers;

  int head_width() const { return width / shape.heads; }
  int most_taps() const {
    int most = 0;
    for (const Layer& layer : layers) most = std::max(most, layer.taps);
    return most;
  }
  int most_logits() const {
    int most = 0;
    for (const Layer& layer : layers) most = std::max(most, layer.kernels.panels * 32);
    return most;
  }
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
