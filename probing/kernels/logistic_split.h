// Loss and gradient of multinomial logistic regression for engines in bfloat16, on the lanes of AVX-512: each block of
// sentences is read once for both. Vectors and weights are split into two bfloat16 numbers each, whose three products
// are right to some 5e-6 of the largest component of a gradient.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "blocks.h"
#include "functions.h"
#include "logistic.h"
#include "threads.h"

namespace kernels {
namespace {

// Numbers as the sum of two in bfloat16. Three products then make one of nearly float32: with x = x' + x" to 2^-17,
// x w = x' w' + x' w" + x" w', and x" w" is as small as what the sum leaves out.
struct Split {
  explicit Split(std::size_t count) : high(count), low(count) {}
  Split(std::size_t count, Room& room) : high(count, room), low(count, room) {}
  Buffer<bf16> high, low;
};

constexpr int kGroup = 4;   // blocks of 32 sentences that go together
constexpr int kChunk = 16;  // blocks of 32 units that are packed at a time
// Parts that sums are made of, whatever the number of threads, and the blocks that each has at least.
constexpr int kMost = 8, kLeast = 32;

TARGET inline __m512 widen(__m256i numbers) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
}

template <class Products>
TARGET inline void store_split(bf16* high, bf16* low, __m512 first, __m512 second) {
  const auto rounded = (__m512i)_mm512_cvtne2ps_pbh(second, first);
  _mm512_storeu_si512(high, rounded);
  const __m512 rest_first = _mm512_sub_ps(first, widen(_mm512_castsi512_si256(rounded)));
  const __m512 rest_second = _mm512_sub_ps(second, widen(_mm512_extracti64x4_epi64(rounded, 1)));
  Products::store(low, rest_first, rest_second);
}

// Rows of numbers times a factor, split, as the target's rows from `first` on: [rows / 32][width / 32][32 rows][32
// numbers], zeros at the ends.
template <class Products>
TARGET void split_rows(const float* rows, int first, int count, int width, float factor, Split& target) {
  const int steps = (width + kBlock - 1) / kBlock;
  const __m512 scale = _mm512_set1_ps(factor);
  for (int row = first; row < first + count; ++row)
    for (int step = 0; step < steps; ++step) {
      alignas(64) float part[kBlock] = {};
      std::copy_n(rows + static_cast<std::ptrdiff_t>(row - first) * width + step * kBlock,
                  std::min(kBlock, width - step * kBlock), part);
      const std::ptrdiff_t at =
          (static_cast<std::ptrdiff_t>(row / kBlock) * steps + step) * kBlockSize + row % kBlock * kBlock;
      store_split<Products>(target.high.data() + at, target.low.data() + at, _mm512_mul_ps(_mm512_load_ps(part), scale),
                            _mm512_mul_ps(_mm512_load_ps(part + 16), scale));
    }
}

// Where a product of split numbers reads: `Operands` of its two sides, high and low.
template <class Products>
struct SplitOperands {
  const Split &left, &right;
  std::ptrdiff_t left_at, right_at, right_step = kBlockSize;

  template <bool kAdds>
  TARGET void multiply(int steps, float* sums, int stride) const {
    const bf16 *left_high = left.high.data() + left_at, *left_low = left.low.data() + left_at;
    const bf16 *right_high = right.high.data() + right_at, *right_low = right.low.data() + right_at;
    const Operands<bf16> pairs[] = {{left_high, right_high, kBlockSize, right_step},
                                    {left_low, right_high, kBlockSize, right_step},
                                    {left_high, right_low, kBlockSize, right_step}};
    Products::template multiply<kAdds>(pairs, steps, sums, stride, [](int) {});
  }
};

// What is added up over the sentences of one part.
struct SplitSums {
  SplitSums(int problems, int rows, int panels, int steps)
      : slopes(static_cast<std::size_t>(panels) * steps * kBlockSize),
        intercepts(static_cast<std::size_t>(rows) * 16),
        losses(problems) {}
  Buffer<float> slopes;        // [panels x 32][steps x 32]
  Buffer<float> intercepts;    // [rows][16]
  std::vector<double> losses;  // in bits
};

// What is known of the sentences.
struct SplitData {
  SplitData(const std::int32_t* labels, int sentences, int width, int classes, Room room)
      : sentences(sentences),
        width(width),
        classes(classes),
        blocks((sentences + kBlock - 1) / kBlock),
        steps((width + kBlock - 1) / kBlock),
        labels(labels, labels + sentences),
        vectors(static_cast<std::size_t>(blocks) * steps * kBlockSize, room) {
    this->labels.resize(static_cast<std::size_t>(blocks) * kBlock, -1);
  }
  int sentences, width, classes, blocks, steps;
  std::vector<std::int32_t> labels;  // from 0 to classes - 1; -1 behind the last sentence
  Split vectors;                     // [blocks][steps][32 sentences][32 numbers]
};

// One thread's arrays.
template <class Products>
struct SplitWorker {
  const SplitData& data;
  const Split& weights;  // [panels][steps] left-hand sides, times log2(e)
  const float *intercepts, *counts;
  const std::vector<Columns>& read;
  int problems, panels;
  Buffer<float> logits;  // [panels x 32][128 sentences]
  Split residuals;       // [panels][4 blocks] left-hand sides
  Split packed;          // [4 blocks][16 steps] right-hand sides: made anew each time, for memory is slower than that

  SplitWorker(const SplitData& data, const Split& weights, const float* intercepts, const float* counts,
              const std::vector<Columns>& read, int problems, int panels)
      : data(data),
        weights(weights),
        intercepts(intercepts),
        counts(counts),
        read(read),
        problems(problems),
        panels(panels),
        logits(static_cast<std::size_t>(panels) * kBlock * kGroup * kBlock),
        residuals(static_cast<std::size_t>(panels) * kGroup * kBlockSize),
        packed(static_cast<std::size_t>(kGroup) * kChunk * kBlockSize) {
    Products::begin();
  }
  ~SplitWorker() { Products::end(); }

  void run(int first, int last, SplitSums& sums) {
    std::ptrdiff_t held[] = {first * area(), first * area()};
    for (int block = first; block < last; block += kGroup) {
      const int end = std::min(block + kGroup, last);
      add_group(block, end - block, sums);
      held[0] = data.vectors.high.give_back(held[0], end * area(), end == last);
      held[1] = data.vectors.low.give_back(held[1], end * area(), end == last);
    }
  }

  // Calls with some steps at a time of those that are read: the first one's number, and how many.
  template <class Call>
  TARGET void for_chunks(Call call) const {
    for (const auto& some : read)
      for (int begin = some.first / kBlock; begin < some.last / kBlock; begin += kChunk)
        call(begin, std::min(kChunk, some.last / kBlock - begin));
  }

  TARGET void add_group(int first, int count, SplitSums& sums) {
    bool adds = false;
    for_chunks([&](int begin, int steps) TARGET {
      pack(first, count, begin, steps,
           [](const bf16* rows, bf16* target) TARGET { Products::pack_across(rows, target); });
      for (int panel = 0; panel < panels; ++panel)
        for (int block = 0; block < count; ++block) {
          const SplitOperands<Products> operands{weights, packed, panel * area() + begin * kBlockSize,
                                                 block * kChunkSize};
          float* target = logits.data() + panel * kBlock * kStride + block * kBlock;
          adds ? operands.template multiply<true>(steps, target, kStride)
               : operands.template multiply<false>(steps, target, kStride);
        }
      adds = true;
    });
    for (int problem = 0; problem < problems; ++problem)
      for (int block = 0; block < count; ++block) weigh(problem, first + block, block, sums);
    for_chunks([&](int begin, int steps) TARGET {
      pack(first, count, begin, steps,
           [](const bf16* rows, bf16* target) TARGET { Products::pack_along(rows, kBlock, target); });
      for (int panel = 0; panel < panels; ++panel)
        for (int step = 0; step < steps; ++step)
          SplitOperands<Products>{residuals, packed, panel * kGroup * kBlockSize, step * kBlockSize, kChunkSize}
              .template multiply<true>(count, sums.slopes.data() + panel * kBlock * width() + (begin + step) * kBlock,
                                       width());
    });
  }

  // Some steps of some blocks' vectors as right-hand sides.
  template <class Pack>
  TARGET void pack(int first, int count, int begin, int steps, Pack pack_one) {
    for (int block = 0; block < count; ++block)
      for (int step = 0; step < steps; ++step) {
        const std::ptrdiff_t source = (first + block) * area() + (begin + step) * kBlockSize;
        const std::ptrdiff_t target = block * kChunkSize + step * kBlockSize;
        pack_one(data.vectors.high.data() + source, packed.high.data() + target);
        pack_one(data.vectors.low.data() + source, packed.low.data() + target);
      }
  }

  // Softmax of one problem on 32 sentences: its loss, and the residuals.
  TARGET void weigh(int problem, int block, int place, SplitSums& sums) {
    const int begin = problem * data.classes, end = begin + data.classes;
    const auto at = [&](int row, int half)
                        TARGET { return logits.data() + row * kStride + place * kBlock + 16 * half; };
    __m512i labels[2];
    __m512 count[2], factor[2], lost = _mm512_setzero_ps();
    for (int half = 0; half < 2; ++half) {
      const std::ptrdiff_t first = block * kBlock + 16 * half;
      labels[half] = _mm512_loadu_si512(data.labels.data() + first);
      const __mmask16 known = _mm512_cmpge_epi32_mask(labels[half], _mm512_setzero_si512());
      count[half] =
          counts ? _mm512_maskz_loadu_ps(known, counts + static_cast<std::ptrdiff_t>(problem) * data.sentences + first)
                 : _mm512_maskz_mov_ps(known, _mm512_set1_ps(1.0f));
      __m512 largest = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps(), chosen = sum;
      for (int row = begin; row < end; ++row) {
        const __m512 logit = _mm512_add_ps(_mm512_loadu_ps(at(row, half)), _mm512_set1_ps(intercepts[row] * kLog2E));
        _mm512_storeu_ps(at(row, half), logit);
        largest = _mm512_max_ps(largest, logit);
        const __mmask16 own = _mm512_cmpeq_epi32_mask(labels[half], _mm512_set1_epi32(row - begin));
        chosen = _mm512_mask_mov_ps(chosen, own, logit);
      }
      for (int row = begin; row < end; ++row) {
        const __m512 power = power_of_two_in_bf16(_mm512_sub_ps(_mm512_loadu_ps(at(row, half)), largest));
        _mm512_storeu_ps(at(row, half), power);
        sum = _mm512_add_ps(sum, power);
      }
      factor[half] = _mm512_div_ps(count[half], sum);
      const __m512 bits = _mm512_add_ps(_mm512_sub_ps(largest, chosen), log_of_two(sum));
      lost = _mm512_fmadd_ps(count[half], bits, lost);
    }
    sums.losses[problem] += _mm512_reduce_add_ps(lost);
    for (int row = begin; row < end; ++row) {
      __m512 residual[2];
      for (int half = 0; half < 2; ++half) {
        const __m512 share = _mm512_mul_ps(_mm512_loadu_ps(at(row, half)), factor[half]);
        const __mmask16 own = _mm512_cmpeq_epi32_mask(labels[half], _mm512_set1_epi32(row - begin));
        residual[half] = _mm512_mask_sub_ps(share, own, share, count[half]);
      }
      const std::ptrdiff_t target = (row / kBlock * kGroup + place) * kBlockSize + row % kBlock * kBlock;
      store_split<Products>(residuals.high.data() + target, residuals.low.data() + target, residual[0], residual[1]);
      float* sum = sums.intercepts.data() + row * 16;
      _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), _mm512_add_ps(residual[0], residual[1])));
    }
  }

  int width() const { return data.steps * kBlock; }
  std::ptrdiff_t area() const { return static_cast<std::ptrdiff_t>(data.steps) * kBlockSize; }

  static constexpr int kStride = kGroup * kBlock;
  static constexpr std::ptrdiff_t kChunkSize = kChunk * kBlockSize;
};

template <class Products>
class SplitLogistic : public Logistic {
 public:
  SplitLogistic(const std::int32_t* labels, int sentences, int width, int classes, Room room)
      : data_(labels, sentences, width, classes, room) {}

  void fill(int first, const float* vectors, int count) override {
    split_rows<Products>(vectors, first, count, data_.width, 1.0f, data_.vectors);
  }

  void evaluate(const float* weights, const float* intercepts, const float* counts, const std::vector<Columns>& read,
                int problems, int threads, double* losses, float* slopes, float* intercept_slopes) const override {
    const std::vector<Columns> steps = round_out(read, kBlock);
    const int rows = problems * data_.classes, panels = (rows + kBlock - 1) / kBlock;
    Split packed(static_cast<std::size_t>(panels) * data_.steps * kBlockSize);
    split_rows<Products>(weights, 0, rows, data_.width, kLog2E, packed);
    const int wanted = std::clamp(data_.blocks / kLeast, 1, kMost);
    const int share = ((data_.blocks + wanted - 1) / wanted + kGroup - 1) / kGroup * kGroup;
    const int parts = (data_.blocks + share - 1) / share;
    std::vector<std::unique_ptr<SplitSums>> sums(parts);
    std::atomic<int> next{0};
    run_on_threads(std::min(threads, parts), [&] {
      SplitWorker<Products> worker(data_, packed, intercepts, counts, steps, problems, panels);
      for (int part; (part = next++) < parts;) {
        sums[part] = std::make_unique<SplitSums>(problems, rows, panels, data_.steps);
        worker.run(part * share, std::min(data_.blocks, (part + 1) * share), *sums[part]);
      }
    });
    std::fill_n(losses, problems, 0.0);
    std::fill_n(slopes, static_cast<std::size_t>(rows) * data_.width, 0.0f);
    std::fill_n(intercept_slopes, rows, 0.0f);
    for (const auto& part : sums) add_part(*part, problems, rows, losses, slopes, intercept_slopes);
  }

 private:
  // With the fused products of this target, as everything else here.
  TARGET void add_part(const SplitSums& part, int problems, int rows, double* losses, float* slopes,
                       float* intercept_slopes) const {
    for (int problem = 0; problem < problems; ++problem) losses[problem] += kLn2 * part.losses[problem];
    for (int row = 0; row < rows; ++row) {
      const float* own = part.slopes.data() + static_cast<std::ptrdiff_t>(row) * data_.steps * kBlock;
      for (int i = 0; i < data_.width; ++i) slopes[static_cast<std::ptrdiff_t>(row) * data_.width + i] += own[i];
      for (int i = 0; i < 16; ++i) intercept_slopes[row] += part.intercepts.data()[row * 16 + i];
    }
  }

  SplitData data_;
};

}  // namespace
}  // namespace kernels
