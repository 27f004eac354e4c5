// A block of sentences through all layers of an encoder, all of it in the cache of one core; every layer pooled on the
// way.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <type_traits>

#include "functions.h"
#include "model.h"
#include "rows.h"

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
        activated(model.shape.gated ? static_cast<std::size_t>(rows) * kBlock : 0),
        places(static_cast<std::size_t>(rows)),
        keys(static_cast<std::size_t>(longest) * model.head_width()),
        values(static_cast<std::size_t>(longest) * model.head_width()),
        scores(static_cast<std::size_t>(longest) * kBlock),
        powers(static_cast<std::size_t>(longest) * kBlock) {}

  int capacity;                 // rows, a multiple of 32
  Buffer<float> states;         // [rows][width]: the residual stream
  Buffer<Number> copies;        // [rows / 32][width / 32][32][32]: what the next product reads
  Buffer<Number> shared;        // queries, keys, values and contexts; later the inner layer
  Buffer<float> activated;      // [rows][32]: a panel of the inner layer that waits for its factors
  Buffer<std::int32_t> places;  // of each row in its sentence
  Buffer<Number> keys, values;  // of one head, as right-hand sides
  Buffer<float> scores;         // 32 queries x all keys
  Buffer<Number> powers;        // [keys / 32][32 queries][32 keys]
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

// Attention of one sentence's rows, one head: softmax over the keys of queries times keys, times values.
template <class Engine>
struct Attention {
  using Number = typename Engine::Number;
  const Model& model;
  const Layer& layer;
  Scratch<Number>& scratch;
  int capacity;  // rows of a panel

  // Rows of 32 numbers, panel after panel, so that a sentence may begin at any row.
  const Number* panel(int number, int row) const {
    return scratch.shared.data() + (static_cast<std::ptrdiff_t>(number) * capacity + row) * kBlock;
  }

  TARGET void attend(int start, int length, int head, Number* contexts) const {
    const int parts = model.head_width() / kBlock, key_blocks = (length + kBlock - 1) / kBlock;
    const int of_queries = head * parts, of_keys = (model.shape.heads + head) * parts;
    const int of_values = (2 * model.shape.heads + head) * parts;
    for (int block = 0; block < key_blocks; ++block)
      for (int part = 0; part < parts; ++part)
        Engine::pack_across(panel(of_keys + part, start + block * kBlock),
                            scratch.keys.data() + (block * parts + part) * kBlockSize);
    for (int part = 0; part < parts; ++part)
      for (int block = 0; block < key_blocks; ++block)
        Engine::pack_along(panel(of_values + part, start + block * kBlock), length - block * kBlock,
                           scratch.values.data() + (part * key_blocks + block) * kBlockSize);
    const std::ptrdiff_t apart = static_cast<std::ptrdiff_t>(capacity) * kBlock;
    for (int first = 0; first < length; first += kBlock) {
      // Blocks of keys within the window of any of these queries.
      const int from = std::max(0, first - layer.window) / kBlock;
      const int read = std::min(key_blocks, (first + kBlock - 1 + layer.window) / kBlock + 1) - from;
      for (int block = 0; block < read; ++block)
        Engine::template multiply<false>(
            {{panel(of_queries, start + first), scratch.keys.data() + (from + block) * parts * kBlockSize, apart}},
            parts, scratch.scores.data() + block * kBlock, read * kBlock, kNothing);
      alignas(64) float totals[kBlock];
      const int count = std::min(kBlock, length - first);
      if (layer.distances.biases) add_distances(first - from * kBlock, count, read * kBlock, head);
      if (length - 1 > layer.window) hide_far(first - from * kBlock, count, read * kBlock);
      const int readable = std::min(length - from * kBlock, read * kBlock);
      for (int row = 0; row < count; row += Lanes::kCount) weigh(row, readable, read, totals);
      for (int part = 0; part < parts; ++part) {
        const Number* values = scratch.values.data() + (part * key_blocks + from) * kBlockSize;
        Engine::template multiply<false>({{scratch.powers.data(), values}}, read, scratch.sums[0], kBlock, kNothing);
        for (int row = 0; row < count; ++row) {
          const int at = start + first + row;
          const Vector factor = Lanes::fill(totals[row]);
          const float* sums = scratch.sums[0] + row * kBlock;
          Number* target = contexts + static_cast<std::ptrdiff_t>(at / kBlock) * kBlock * model.width +
                           (head * parts + part) * kBlockSize + at % kBlock * kBlock;
          for (int i = 0; i < kBlock; i += 2 * Lanes::kCount)
            Engine::store(target + i, Lanes::load(sums + i) * factor, Lanes::load(sums + i + Lanes::kCount) * factor);
        }
      }
    }
  }

  // Adds to scores what belongs to the distance of key and query; `place`: of the first query among these keys.
  TARGET void add_distances(int place, int count, int keys, int head) const {
    for (int row = 0; row < count; ++row) {
      float* own = scratch.scores.data() + row * keys;
      const float* biases = layer.distances.of(head) - (place + row);
      for (int i = 0; i < keys; i += Lanes::kCount)
        Lanes::store(own + i, Lanes::load(own + i) + Lanes::load(biases + i));
    }
  }

  // Takes the keys beyond the window for infinitely unlike their query.
  TARGET void hide_far(int place, int count, int keys) const {
    for (int row = 0; row < count; ++row) {
      float* own = scratch.scores.data() + row * keys;
      for (int i = 0; i < place + row - layer.window; ++i) own[i] = -__builtin_inff();
      for (int i = place + row + layer.window + 1; i < keys; ++i) own[i] = -__builtin_inff();
    }
  }

  // Scores of as many queries as there are lanes to powers of two below their largest, and one over their sums.
  TARGET void weigh(int first_row, int length, int key_blocks, float* totals) const {
    constexpr int kCount = Lanes::kCount;
    const int stride = key_blocks * kBlock;
    const float least = -std::numeric_limits<float>::infinity();
    const float* scores = scratch.scores.data() + first_row * stride;
    Vector each[kCount];
    for (int row = 0; row < kCount; ++row) {
      const float* own = scores + row * stride;
      const int last = (length - 1) / kCount * kCount;
      Vector largest = Lanes::first(Lanes::load(own + last), length - last, least);
      for (int i = 0; i < last; i += kCount) largest = Lanes::max(largest, Lanes::load(own + i));
      each[row] = largest;
    }
    alignas(64) float bounds[kCount];
    Lanes::store(bounds, Lanes::template reduce_each<true>(each));
    for (int row = 0; row < kCount; ++row) {
      const Vector bound = Lanes::fill(bounds[row]);
      const float* own = scores + row * stride;
      Number* target = scratch.powers.data() + (first_row + row) * kBlock;
      Vector sum = Lanes::fill(0.0f);
      for (int i = 0; i < stride; i += 2 * kCount) {
        Vector power[2];
        for (int j = 0; j < 2; ++j) {
          const int at = i + j * kCount;
          power[j] = Lanes::first(raise(Lanes::load(own + at) - bound), length - at, 0.0f);
          sum = sum + power[j];
        }
        Engine::store(target + i / kBlock * kBlockSize + i % kBlock, power[0], power[1]);
      }
      each[row] = sum;
    }
    Lanes::store(totals + first_row, Lanes::fill(1.0f) / Lanes::template reduce_each<false>(each));
  }

  TARGET static Vector raise(Vector x) {
    if constexpr (std::is_same_v<Number, bf16>)
      return power_of_two_in_bf16(x);
    else
      return power_of_two(x);
  }
};

template <class Engine>
class Pass {
 public:
  using Number = typename Engine::Number;

  Pass(const Model& model, const Batch& batch, int capacity, int longest)
      : model_(model), batch_(batch), scratch_(model, capacity, longest) {
    Engine::begin();
  }
  ~Pass() { Engine::end(); }

  // Sentences `first` to `last` (exclusive).
  void run(std::int64_t first, std::int64_t last) {
    first_ = first;
    last_ = last;
    const std::int64_t begin = batch_.starts[first];
    count_ = static_cast<int>(batch_.starts[last] - begin);
    blocks_ = (count_ + kBlock - 1) / kBlock;
    embed();
    normalise(model_.embedding_norm, model_.zeros, model_.embedding_width);
    if (model_.widening.panels) widen();
    pool(0);
    for (std::size_t number = 0; number < model_.layers.size(); ++number) {
      const Layer& layer = model_.layers[number];
      attend(layer);
      normalise(layer.attention_norm, layer.projection.bias, model_.width);
      if (model_.shape.gated)
        transform_gated(layer);
      else
        transform(layer);
      add_product<Engine>(layer.output, scratch_.shared.data(), blocks_, scratch_.states.data());
      normalise(layer.output_norm, layer.output.bias, model_.width);
      pool(static_cast<int>(number) + 1);
    }
  }

 private:
  float* row(int number) { return scratch_.states.data() + static_cast<std::ptrdiff_t>(number) * model_.width; }

  TARGET void embed() {
    const int width = model_.embedding_width;
    float* states = scratch_.states.data();
    int at = 0;
    for (std::int64_t sentence = first_; sentence < last_; ++sentence)
      for (std::int64_t token = batch_.starts[sentence]; token < batch_.starts[sentence + 1]; ++token, ++at) {
        const float* word = model_.words + static_cast<std::ptrdiff_t>(batch_.ids[token]) * width;
        const float* type = model_.types + static_cast<std::ptrdiff_t>(batch_.types[token]) * width;
        const std::int64_t place = token - batch_.starts[sentence];
        const float* position = model_.positions + place * model_.position_step;
        scratch_.places.data()[at] = static_cast<std::int32_t>(place);
        for (int i = 0; i < width; i += Lanes::kCount, states += Lanes::kCount)
          Lanes::store(states, Lanes::load(word + i) + Lanes::load(type + i) + Lanes::load(position + i));
      }
    const std::size_t rest = static_cast<std::size_t>(blocks_) * kBlock - at;
    std::memset(states, 0, sizeof(float) * width * rest);
    std::memset(scratch_.places.data() + at, 0, sizeof(std::int32_t) * rest);
  }

  // The bias of the product before it is added here.
  TARGET void normalise(const Norm& norm, const float* bias, int width) {
    for (int number = 0; number < blocks_ * kBlock; ++number)
      normalise_row<Engine>(scratch_.states.data() + static_cast<std::ptrdiff_t>(number) * width, width, bias,
                            norm.scale, norm.shift, model_.shape.epsilon, norm.keeps, copy(number, width));
  }

  // The first number of a row of what the next product reads.
  Number* copy(int number, int width) {
    return scratch_.copies.data() + static_cast<std::ptrdiff_t>(number / kBlock) * kBlock * width +
           number % kBlock * kBlock;
  }

  // From the width of the embeddings to that of the states.
  TARGET void widen() {
    multiply_rows<Engine>(model_.widening, scratch_.copies.data(), blocks_, scratch_,
                          [&](int block, int panel, int number, const float* sums) TARGET {
                            const float* bias = model_.widening.bias + panel * kBlock;
                            float* target = row(block * kBlock + number) + panel * kBlock;
                            for (int i = 0; i < kBlock; i += Lanes::kCount)
                              Lanes::store(target + i, Lanes::load(sums + i) + Lanes::load(bias + i));
                          });
    for (int number = 0; number < blocks_ * kBlock; ++number)
      for (int i = 0; i < model_.width; i += 2 * Lanes::kCount)
        Engine::store(
            copy(number, model_.width) + static_cast<std::ptrdiff_t>(i / kBlock) * kBlockSize + i % kBlock,
            Lanes::load(row(number) + i), Lanes::load(row(number) + i + Lanes::kCount));
  }

  TARGET void attend(const Layer& layer) {
    // Rows past the end are read as the last block's padding.
    const int capacity = scratch_.capacity + kBlock;
    Number* panels = scratch_.shared.data();
    // Those of queries and keys.
    const int turned = layer.rotations ? 2 * model_.width / kBlock : 0;
    multiply_rows<Engine>(
        layer.attention, scratch_.copies.data(), blocks_, scratch_,
        [&](int block, int panel, int number, const float* sums) TARGET {
          const float* bias = layer.attention.bias + panel * kBlock;
          Number* target = panels + (static_cast<std::ptrdiff_t>(panel) * capacity + block * kBlock + number) * kBlock;
          if (panel < turned) return store_turned(layer, panel, block * kBlock + number, sums, target);
          for (int i = 0; i < kBlock; i += 2 * Lanes::kCount)
            Engine::store(target + i, Lanes::load(sums + i) + Lanes::load(bias + i),
                          Lanes::load(sums + i + Lanes::kCount) + Lanes::load(bias + i + Lanes::kCount));
        });
    Number* contexts = panels + static_cast<std::ptrdiff_t>(3 * model_.width) * capacity;
    const Attention<Engine> attention{model_, layer, scratch_, capacity};
    for (std::int64_t sentence = first_; sentence < last_; ++sentence) {
      const int start = static_cast<int>(batch_.starts[sentence] - batch_.starts[first_]);
      const int length = static_cast<int>(batch_.starts[sentence + 1] - batch_.starts[sentence]);
      for (int head = 0; head < model_.shape.heads; ++head) attention.attend(start, length, head, contexts);
    }
    add_product<Engine>(layer.projection, contexts, blocks_, scratch_.states.data());
  }

  // Part of a query or a key, turned by the angles of its place.
  TARGET void store_turned(const Layer& layer, int panel, int number, const float* sums, Number* target) {
    alignas(64) float line[kBlock];
    const float* bias = layer.attention.bias + panel * kBlock;
    for (int i = 0; i < kBlock; i += Lanes::kCount)
      Lanes::store(line + i, Lanes::load(sums + i) + Lanes::load(bias + i));
    const int width = model_.head_width(), part = panel % (width / kBlock);
    const float* angles = layer.rotations + static_cast<std::ptrdiff_t>(scratch_.places.data()[number]) * width;
    rotate(line, angles + part * kBlock / 2, angles + width / 2 + part * kBlock / 2);
    for (int i = 0; i < kBlock; i += 2 * Lanes::kCount)
      Engine::store(target + i, Lanes::load(line + i), Lanes::load(line + i + Lanes::kCount));
  }

  TARGET void transform(const Layer& layer) {
    Number* inner = scratch_.shared.data();
    const int panels = layer.inner.panels;
    multiply_rows<Engine>(
        layer.inner, scratch_.copies.data(), blocks_, scratch_,
        [&](int block, int panel, int number, const float* sums) TARGET {
          const float* bias = layer.inner.bias + panel * kBlock;
          Number* target = inner + (static_cast<std::ptrdiff_t>(block) * panels + panel) * kBlockSize + number * kBlock;
          for (int i = 0; i < kBlock; i += 2 * Lanes::kCount)
            Engine::store(target + i, activate(Lanes::load(sums + i) + Lanes::load(bias + i)),
                          activate(Lanes::load(sums + i + Lanes::kCount) + Lanes::load(bias + i + Lanes::kCount)));
        });
  }

  // One panel is activated, and the one after it holds its factors (GeGLU, arXiv 2002.05202, equation 6).
  TARGET void transform_gated(const Layer& layer) {
    Number* inner = scratch_.shared.data();
    const int panels = layer.inner.panels / 2;
    multiply_rows<Engine>(
        layer.inner, scratch_.copies.data(), blocks_, scratch_,
        [&](int block, int panel, int number, const float* sums) TARGET {
          const float* bias = layer.inner.bias + panel * kBlock;
          float* line = scratch_.activated.data() + static_cast<std::ptrdiff_t>(block * kBlock + number) * kBlock;
          if (panel % 2 == 0) {
            for (int i = 0; i < kBlock; i += Lanes::kCount)
              Lanes::store(line + i, activate(Lanes::load(sums + i) + Lanes::load(bias + i)));
            return;
          }
          Number* target =
              inner + (static_cast<std::ptrdiff_t>(block) * panels + panel / 2) * kBlockSize + number * kBlock;
          for (int i = 0; i < kBlock; i += 2 * Lanes::kCount) {
            const int j = i + Lanes::kCount;
            Engine::store(target + i, Lanes::load(line + i) * (Lanes::load(sums + i) + Lanes::load(bias + i)),
                          Lanes::load(line + j) * (Lanes::load(sums + j) + Lanes::load(bias + j)));
          }
        });
  }

  TARGET static Vector activate(Vector x) {
    if constexpr (std::is_same_v<Number, bf16>)
      return gelu_in_bf16(x);
    else
      return gelu(x);
  }

  TARGET void pool(int layer) {
    for (std::int64_t sentence = first_; sentence < last_; ++sentence) {
      const std::int64_t begin = batch_.starts[sentence], start = begin - batch_.starts[first_];
      pool_rows(row(static_cast<int>(start)), static_cast<int>(batch_.starts[sentence + 1] - begin), model_.width,
                batch_.shares + begin, batch_.largest,
                batch_.pooled + (layer * batch_.sentences + sentence) * model_.width);
    }
  }

  const Model& model_;
  const Batch& batch_;
  Scratch<Number> scratch_;
  std::int64_t first_ = 0, last_ = 0;
  int count_ = 0, blocks_ = 0;
};

// What one thread does: one block after the other, each taken by adding to `next`.
template <class Engine>
void encode_blocks(const Model& model, const Batch& batch, const Blocks& blocks, std::atomic<std::size_t>& next) {
  Pass<Engine> pass(model, batch, blocks.capacity, blocks.longest);
  for (std::size_t block; (block = next++) < blocks.count;) pass.run(blocks.cuts[block], blocks.cuts[block + 1]);
}

}  // namespace
}  // namespace kernels
