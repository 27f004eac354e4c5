// A block of sentences through all layers of a BERT, all of it in the cache of one core; every layer pooled on the way.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>

#include "model.h"

#ifdef HAS_KERNELS
// For this file alone, so that the module loads on any processor.
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,amx-tile,amx-bf16,fma")
#include "engines.h"
#include "rows.h"
#include "sides.h"

namespace kernels {
namespace {

// The arrays of one thread. Written before they are read, except for padding, whose zeros stay finite.
struct Scratch {
  Scratch(const Model& model, int rows, int longest)
      : capacity(rows),
        states(rows * model.width),
        rounded(rows * model.width),
        shared((rows + kBlock) * std::max(4 * model.width, model.inner)),
        keys(longest * model.head_width()),
        values(longest * model.head_width()),
        scores(kBlock * longest),
        powers(kBlock * longest) {}

  int capacity;               // rows, a multiple of 32
  Buffer<float> states;       // [rows][width]: the residual stream
  Buffer<bf16> rounded;       // [rows / 32][width / 32][32][32]: what the next product reads
  Buffer<bf16> shared;        // queries, keys, values and contexts; later the inner layer
  Buffer<bf16> keys, values;  // of one head, as right-hand sides
  Buffer<float> scores;       // 32 queries x all keys
  Buffer<bf16> powers;        // [keys / 32][32 queries][32 keys]
  alignas(64) float sums[2][kBlockSize];
};

constexpr auto kNothing = [](int) {};

// All rows times one weight matrix. `finish(block, panel, row, sums)` takes each row of each 32 x 32 block of the
// product, while the block after it is multiplied.
template <class Engine, class Finish>
void multiply_rows(const Matrix& weights, const bf16* left, int blocks, Scratch& scratch, Finish finish) {
  int done_block = -1, done_panel = 0, current = 0;
  const int rows_a_step = (kBlock + weights.steps - 1) / weights.steps;
  const auto finish_rows = [&](int first, int last) {
    const float* sums = scratch.sums[current ^ 1];
    for (int row = first; row < last; ++row) finish(done_block, done_panel, row, sums + row * kBlock);
  };
  for (int panel = 0; panel < weights.panels; ++panel) {
    for (int block = 0; block < blocks; ++block) {
      int row = done_block < 0 ? kBlock : 0;
      const auto finish_some = [&](int) {
        if (row == kBlock) return;
        const int last = std::min(kBlock, row + rows_a_step);
        finish_rows(row, last);
        row = last;
      };
      Engine::template multiply<false>({{left + block * weights.area(), weights.panel(panel)}}, weights.steps,
                                       scratch.sums[current], kBlock, finish_some);
      done_block = block;
      done_panel = panel;
      current ^= 1;
    }
  }
  finish_rows(0, kBlock);
}

// All rows times one weight matrix, added to the residual stream.
template <class Engine>
void add_product(const Matrix& weights, const bf16* left, int blocks, float* states) {
  const int width = weights.panels * kBlock;
  for (int panel = 0; panel < weights.panels; ++panel) {
    for (int block = 0; block < blocks; ++block)
      Engine::template multiply<true>({{left + block * weights.area(), weights.panel(panel)}}, weights.steps,
                                      states + static_cast<std::ptrdiff_t>(block) * kBlock * width + panel * kBlock,
                                      width, kNothing);
  }
}

// Attention of one sentence's rows, one head: softmax over the keys of queries times keys, times values.
template <class Engine>
struct Attention {
  const Model& model;
  Scratch& scratch;
  int capacity;  // rows of a panel

  // Rows of 32 numbers, panel after panel, so that a sentence may begin at any row.
  const bf16* panel(int number, int row) const {
    return scratch.shared.data() + (static_cast<std::ptrdiff_t>(number) * capacity + row) * kBlock;
  }

  void attend(int start, int length, int head, bf16* contexts) const {
    const int parts = model.head_width() / kBlock, key_blocks = (length + kBlock - 1) / kBlock;
    const int of_queries = head * parts, of_keys = (model.heads + head) * parts;
    const int of_values = (2 * model.heads + head) * parts;
    for (int block = 0; block < key_blocks; ++block)
      for (int part = 0; part < parts; ++part)
        pack_across(panel(of_keys + part, start + block * kBlock),
                    scratch.keys.data() + (block * parts + part) * kBlockSize);
    for (int part = 0; part < parts; ++part)
      for (int block = 0; block < key_blocks; ++block)
        pack_along(panel(of_values + part, start + block * kBlock), length - block * kBlock,
                   scratch.values.data() + (part * key_blocks + block) * kBlockSize);
    const std::ptrdiff_t apart = static_cast<std::ptrdiff_t>(capacity) * kBlock;
    for (int first = 0; first < length; first += kBlock) {
      for (int block = 0; block < key_blocks; ++block)
        Engine::template multiply<false>(
            {{panel(of_queries, start + first), scratch.keys.data() + block * parts * kBlockSize, apart}}, parts,
            scratch.scores.data() + block * kBlock, key_blocks * kBlock, kNothing);
      alignas(64) float totals[kBlock];
      const int count = std::min(kBlock, length - first);
      for (int half = 0; half < kBlock && half < count; half += 16) weigh(half, length, key_blocks, totals);
      for (int part = 0; part < parts; ++part) {
        float* sums = scratch.sums[0];
        const bf16* values = scratch.values.data() + part * key_blocks * kBlockSize;
        Engine::template multiply<false>({{scratch.powers.data(), values}}, key_blocks, sums, kBlock, kNothing);
        for (int row = 0; row < count; ++row) {
          const int at = start + first + row;
          const __m512 factor = _mm512_set1_ps(totals[row]);
          bf16* target = contexts + static_cast<std::ptrdiff_t>(at / kBlock) * kBlock * model.width +
                         (head * parts + part) * kBlockSize + at % kBlock * kBlock;
          store_rounded(target, _mm512_mul_ps(_mm512_loadu_ps(sums + row * kBlock), factor),
                        _mm512_mul_ps(_mm512_loadu_ps(sums + row * kBlock + 16), factor));
        }
      }
    }
  }

  // Scores of 16 queries to powers of two below their largest, and one over their sums.
  void weigh(int half, int length, int key_blocks, float* totals) const {
    const int stride = key_blocks * kBlock, vectors = (length + 15) / 16;
    const auto last = static_cast<__mmask16>(0xFFFF >> (vectors * 16 - length));
    const __m512 least = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
    float* scores = scratch.scores.data() + half * stride;
    __m512 each[16];
    for (int row = 0; row < 16; ++row) {
      float* own = scores + row * stride;
      __m512 largest = _mm512_mask_loadu_ps(least, last, own + (vectors - 1) * 16);
      for (int i = 0; i < vectors - 1; ++i) largest = _mm512_max_ps(largest, _mm512_loadu_ps(own + i * 16));
      each[row] = largest;
    }
    alignas(64) float bounds[16];
    _mm512_store_ps(bounds, reduce_each<true>(each));
    for (int row = 0; row < 16; ++row) {
      const __m512 bound = _mm512_set1_ps(bounds[row]);
      const float* own = scores + row * stride;
      bf16* target = scratch.powers.data() + (half + row) * kBlock;
      __m512 sum = _mm512_setzero_ps();
      for (int block = 0; block < key_blocks; ++block) {
        __m512 power[2];
        for (int j = 0; j < 2; ++j) {
          const int i = 2 * block + j;
          const __mmask16 kept = i < vectors - 1 ? 0xFFFF : i == vectors - 1 ? last : 0;
          const __m512 values = _mm512_sub_ps(_mm512_loadu_ps(own + i * 16), bound);
          power[j] = _mm512_maskz_mov_ps(kept, power_of_two(values));
          sum = _mm512_add_ps(sum, power[j]);
        }
        store_rounded(target + block * kBlockSize, power[0], power[1]);
      }
      each[row] = sum;
    }
    const __m512 sums = reduce_each<false>(each);
    _mm512_storeu_ps(totals + half, _mm512_div_ps(_mm512_set1_ps(1.0f), sums));
  }
};

template <class Engine>
class Pass {
 public:
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
    normalise(model_.embedding_norm, model_.zeros);
    pool(0);
    for (std::size_t number = 0; number < model_.layers.size(); ++number) {
      const Layer& layer = model_.layers[number];
      attend(layer);
      normalise(layer.attention_norm, layer.projection.bias);
      transform(layer);
      normalise(layer.output_norm, layer.output.bias);
      pool(static_cast<int>(number) + 1);
    }
  }

 private:
  float* row(int number) { return scratch_.states.data() + static_cast<std::ptrdiff_t>(number) * model_.width; }

  void embed() {
    const int width = model_.width;
    int at = 0;
    for (std::int64_t sentence = first_; sentence < last_; ++sentence)
      for (std::int64_t token = batch_.starts[sentence]; token < batch_.starts[sentence + 1]; ++token, ++at) {
        const float* word = model_.words + static_cast<std::ptrdiff_t>(batch_.ids[token]) * width;
        const float* type = model_.types + static_cast<std::ptrdiff_t>(batch_.types[token]) * width;
        const float* position = model_.positions + (token - batch_.starts[sentence]) * width;
        for (int i = 0; i < width; i += 16)
          _mm512_storeu_ps(row(at) + i,
                           _mm512_add_ps(_mm512_add_ps(_mm512_loadu_ps(word + i), _mm512_loadu_ps(type + i)),
                                         _mm512_loadu_ps(position + i)));
      }
    std::memset(row(at), 0, sizeof(float) * width * (static_cast<std::size_t>(blocks_) * kBlock - at));
  }

  // The bias of the product before it is added here.
  void normalise(const Norm& norm, const float* bias) {
    const int width = model_.width;
    for (int number = 0; number < blocks_ * kBlock; ++number)
      normalise_row(row(number), width, bias, norm.scale, norm.shift, model_.epsilon,
                    scratch_.rounded.data() + static_cast<std::ptrdiff_t>(number / kBlock) * kBlock * width +
                        number % kBlock * kBlock);
  }

  void attend(const Layer& layer) {
    // Rows past the end are read as the last block's padding.
    const int capacity = scratch_.capacity + kBlock;
    bf16* panels = scratch_.shared.data();
    multiply_rows<Engine>(
        layer.attention, scratch_.rounded.data(), blocks_, scratch_,
        [&](int block, int panel, int number, const float* sums) {
          const float* bias = layer.attention.bias + panel * kBlock;
          bf16* target = panels + (static_cast<std::ptrdiff_t>(panel) * capacity + block * kBlock + number) * kBlock;
          store_rounded(target, _mm512_add_ps(_mm512_loadu_ps(sums), _mm512_loadu_ps(bias)),
                        _mm512_add_ps(_mm512_loadu_ps(sums + 16), _mm512_loadu_ps(bias + 16)));
        });
    bf16* contexts = panels + static_cast<std::ptrdiff_t>(3 * model_.width) * capacity;
    const Attention<Engine> attention{model_, scratch_, capacity};
    for (std::int64_t sentence = first_; sentence < last_; ++sentence) {
      const int start = static_cast<int>(batch_.starts[sentence] - batch_.starts[first_]);
      const int length = static_cast<int>(batch_.starts[sentence + 1] - batch_.starts[sentence]);
      for (int head = 0; head < model_.heads; ++head) attention.attend(start, length, head, contexts);
    }
    add_product<Engine>(layer.projection, contexts, blocks_, scratch_.states.data());
  }

  void transform(const Layer& layer) {
    bf16* inner = scratch_.shared.data();
    const int panels = layer.inner.panels;
    multiply_rows<Engine>(layer.inner, scratch_.rounded.data(), blocks_, scratch_,
                          [&](int block, int panel, int number, const float* sums) {
                            const float* bias = layer.inner.bias + panel * kBlock;
                            bf16* target = inner + (static_cast<std::ptrdiff_t>(block) * panels + panel) * kBlockSize +
                                           number * kBlock;
                            store_rounded(target, gelu(_mm512_add_ps(_mm512_loadu_ps(sums), _mm512_loadu_ps(bias))),
                                          gelu(_mm512_add_ps(_mm512_loadu_ps(sums + 16), _mm512_loadu_ps(bias + 16))));
                          });
    add_product<Engine>(layer.output, inner, blocks_, scratch_.states.data());
  }

  void pool(int layer) {
    for (std::int64_t sentence = first_; sentence < last_; ++sentence) {
      const std::int64_t begin = batch_.starts[sentence], start = begin - batch_.starts[first_];
      pool_rows(row(static_cast<int>(start)), static_cast<int>(batch_.starts[sentence + 1] - begin), model_.width,
                batch_.shares + begin, batch_.largest,
                batch_.pooled + (layer * batch_.sentences + sentence) * model_.width);
    }
  }

  const Model& model_;
  const Batch& batch_;
  Scratch scratch_;
  std::int64_t first_ = 0, last_ = 0;
  int count_ = 0, blocks_ = 0;
};

template <class Engine>
void encode(const Model& model, const Batch& batch, const Blocks& blocks, std::atomic<std::size_t>& next) {
  Pass<Engine> pass(model, batch, blocks.capacity, blocks.longest);
  for (std::size_t block; (block = next++) < blocks.count;) pass.run(blocks.cuts[block], blocks.cuts[block + 1]);
}

}  // namespace

void encode_with_amx(const Model& model, const Batch& batch, const Blocks& blocks, std::atomic<std::size_t>& next) {
  encode<Amx>(model, batch, blocks, next);
}

void encode_with_avx512(const Model& model, const Batch& batch, const Blocks& blocks, std::atomic<std::size_t>& next) {
  encode<Avx512>(model, batch, blocks, next);
}

}  // namespace kernels
#endif
