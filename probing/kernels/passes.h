// A block of sentences through all layers of an encoder, all of it in the cache of one core; every layer pooled on the
// way.
#pragma once

#include <atomic>
#include <cstring>
#include <type_traits>

#include "attention.h"
#include "convolution.h"
#include "rows.h"

namespace kernels {
namespace {

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
      if (layer.attention.panels) mix_tokens(layer);
      if (layer.inner.panels) transform_tokens(layer);
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

  // What makes tokens read one another: attention or a convolution.
  TARGET void mix_tokens(const Layer& layer) {
    if (layer.taps)
      convolve(layer);
    else
      attend(layer);
    normalise(layer.attention_norm, layer.projection.bias, model_.width);
  }

  // What each token goes through by itself.
  TARGET void transform_tokens(const Layer& layer) {
    if (model_.shape.gated)
      transform_gated(layer);
    else
      transform(layer);
    add_product<Engine>(layer.output, scratch_.shared.data(), blocks_, scratch_.states.data());
    normalise(layer.output_norm, layer.output.bias, model_.width);
  }

  TARGET void convolve(const Layer& layer) {
    const Convolution<Engine> convolution{model_, layer, scratch_};
    convolution.make_values(blocks_);
    for (std::int64_t sentence = first_; sentence < last_; ++sentence)
      convolution.convolve(static_cast<int>(batch_.starts[sentence] - batch_.starts[first_]),
                           static_cast<int>(batch_.starts[sentence + 1] - batch_.starts[sentence]));
    add_product<Engine>(layer.projection, scratch_.shared.data(), blocks_, scratch_.states.data());
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
