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

  int capacity;              // rows, a multiple of 32
  Buffer<float> states;      // [rows][width]: the residual stream
  Buffer<bf16> rounded;      // [rows / 32][width / 32][32][32]: what the next product reads
  Buffer<bf16> shared;       // queries, keys, values and contexts; later the inner layer
  Buffer<bf16> keys, values; // of one head, as right-hand sides
  Buffer<float> scores;      // 32 queries x all keys
  Buffer<bf16> powers;       // [keys / 32][32 queries][32 keys]
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
      Engine::template multiply<false>(left + block * weights.area(), kBlockSize, weights.panel(panel), kBlockSize, weights.steps,
                                       scratch.sums[current], kBlock, [&](int) {
                                         if (row == kBlock) return;
                                         const int last = std::min(kBlock, row + rows_a_step);
                                         finish_rows(row, last);
                                         row = last;
                                       });
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
      Engine::template multiply<true>(left + block * weights.area(), kBlockSize, weights.panel(panel), kBlockSize, weights.steps,
                                      states + static_cast<std::ptrdiff_t>(block) * kBlock * width + panel * kBlock,
                                      width, kNothing);
  }
}

// Sixteen rows of 16 pairs, transposed: the pairs of all rows side by side.
inline void transpose_pairs(const bf16* rows, bf16* target) {
  __m512i twos[16], fours[16], eights[16];
  for (int i = 0; i < 16; i += 2) {
    const __m512i even = _mm512_loadu_si512(rows + i * kBlock), odd = _mm512_loadu_si512(rows + (i + 1) * kBlock);
    twos[i] = _mm512_unpacklo_epi32(even, odd);
    twos[i + 1] = _mm512_unpackhi_epi32(even, odd);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      fours[i + 2 * j] = _mm512_unpacklo_epi64(twos[i + j], twos[i + 2 + j]);
      fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(twos[i + j], twos[i + 2 + j]);
    }
  // Vector 4 g + c now holds pairs c, c + 4, c + 8 and c + 12 of rows 4 g to 4 g + 3.
  for (int c = 0; c < 4; ++c) {
    eights[c] = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0x88);
    eights[4 + c] = _mm512_shuffle_i32x4(fours[c], fours[4 + c], 0xDD);
    eights[8 + c] = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0x88);
    eights[12 + c] = _mm512_shuffle_i32x4(fours[8 + c], fours[12 + c], 0xDD);
  }
  for (int c = 0; c < 4; ++c)
    for (int j = 0; j < 2; ++j) {
      const __m512i low = eights[4 * j + c], high = eights[8 + 4 * j + c];
      _mm512_storeu_si512(target + (4 * j + c) * 32, _mm512_shuffle_i32x4(low, high, 0x88));
      _mm512_storeu_si512(target + (8 + 4 * j + c) * 32, _mm512_shuffle_i32x4(low, high, 0xDD));
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
        pack_keys(panel(of_keys + part, start + block * kBlock),
                  scratch.keys.data() + (block * parts + part) * kBlockSize);
    for (int part = 0; part < parts; ++part)
      pack_values(panel(of_values + part, start), length, scratch.values.data() + part * key_blocks * kBlockSize);
    for (int first = 0; first < length; first += kBlock) {
      for (int block = 0; block < key_blocks; ++block)
        Engine::template multiply<false>(panel(of_queries, start + first), static_cast<std::ptrdiff_t>(capacity) * kBlock,
                         scratch.keys.data() + block * parts * kBlockSize, kBlockSize, parts,
                         scratch.scores.data() + block * kBlock, key_blocks * kBlock, kNothing);
      alignas(64) float totals[kBlock];
      const int count = std::min(kBlock, length - first);
      for (int half = 0; half < kBlock && half < count; half += 16) weigh(half, length, key_blocks, totals);
      for (int part = 0; part < parts; ++part) {
        float* sums = scratch.sums[0];
        Engine::template multiply<false>(scratch.powers.data(), kBlockSize,
                         scratch.values.data() + part * key_blocks * kBlockSize, kBlockSize, key_blocks, sums, kBlock, kNothing);
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

  static void pack_keys(const bf16* rows, bf16* target) {
    transpose_pairs(rows, target);
    transpose_pairs(rows + kBlockSize / 2, target + kBlockSize / 2);
  }

  // Pairs of rows interleaved; zeros beyond the sentence, whose neighbours might not be finite.
  static void pack_values(const bf16* rows, int length, bf16* target) {
    const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6,
                                           37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i upper = _mm512_add_epi16(order, _mm512_set1_epi16(16));
    for (int block = 0; block * kBlock < length; ++block)
      for (int pair = 0; pair < 16; ++pair) {
        const int row = block * kBlock + 2 * pair;
        const __m512i even = row < length ? _mm512_loadu_si512(rows + row * kBlock) : _mm512_setzero_si512();
        const __m512i odd = row + 1 < length ? _mm512_loadu_si512(rows + (row + 1) * kBlock) : _mm512_setzero_si512();
        bf16* at = target + block * kBlockSize + pair * 32;
        _mm512_storeu_si512(at, _mm512_permutex2var_epi16(even, order, odd));
        _mm512_storeu_si512(at + kBlockSize / 2, _mm512_permutex2var_epi16(even, upper, odd));
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
          _mm512_storeu_ps(row(at) + i, _mm512_add_ps(_mm512_add_ps(_mm512_loadu_ps(word + i), _mm512_loadu_ps(type + i)),
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
    multiply_rows<Engine>(layer.attention, scratch_.rounded.data(), blocks_, scratch_,
                          [&](int block, int panel, int number, const float* sums) {
                            const float* bias = layer.attention.bias + panel * kBlock;
                            bf16* target = panels + (static_cast<std::ptrdiff_t>(panel) * capacity + block * kBlock +
                                                     number) * kBlock;
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
