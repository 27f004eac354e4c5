// Loss and gradient of multinomial logistic regression in float32: each group of sentences is read once for both, while
// it is in the cache of a core. Logits are counted from those of the last class, so that two classes cost one product.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "buffers.h"
#include "functions.h"
#include "logistic.h"
#include "threads.h"

namespace kernels {
namespace {

constexpr int kSums = 4;              // sums of products that are added up together, one for each of four sentences
constexpr int kUnit = 16;             // numbers that rows and sentences are padded to: the lanes of any engine
constexpr int kPiece = 512;           // numbers of a row that are multiplied at a time
constexpr int kGroupBytes = 1 << 18;  // of sentences that go together
constexpr int kLeastGroup = 32, kMostGroup = 128;
constexpr int kMostParts = 8, kLeastPart = 1024;  // parts that sums are made of; sentences that one has at least

// What is added up over the sentences of one part.
struct FloatSums {
  FloatSums(int problems, int rows, int stride)
      : slopes(static_cast<std::size_t>(rows) * stride), intercepts(rows), losses(problems) {}
  Buffer<float> slopes;  // [rows][stride]
  std::vector<double> intercepts, losses;
};

// kTall rows of weights; kWide vectors along a row of slopes: as many sums as the registers hold.
template <int kTall, int kWide>
class FloatLogistic : public Logistic {
 public:
  FloatLogistic(const std::int32_t* labels, int sentences, int width, int classes, Room room)
      : sentences_(sentences),
        width_(width),
        classes_(classes),
        // An odd number of cache lines, so that sentences one below the other do not push each other out.
        stride_(((width + kUnit - 1) / kUnit | 1) * kUnit),
        group_(std::clamp(kGroupBytes / (4 * stride_) / kUnit * kUnit, kLeastGroup, kMostGroup)),
        labels_(labels, labels + sentences),
        vectors_((static_cast<std::size_t>(sentences) + kMostGroup) * stride_, room) {
    labels_.resize(sentences + kMostGroup, -1);
  }

  void fill(int first, const float* vectors, int count) override {
    for (int row = 0; row < count; ++row)
      std::copy_n(vectors + static_cast<std::ptrdiff_t>(row) * width_, width_, vectors_.data() + at(first + row));
  }

  void evaluate(const float* weights, const float* intercepts, const float* counts, const std::vector<Columns>& read,
                int problems, int threads, double* losses, float* slopes, float* intercept_slopes) const override {
    const int rows = problems * (classes_ - 1);
    const Job job{counts, problems, rows, subtract_last(weights, intercepts, problems), round_out(read, kUnit)};
    const int wanted = std::clamp(sentences_ / kLeastPart, 1, kMostParts);
    const int share = ((sentences_ + wanted - 1) / wanted + group_ - 1) / group_ * group_;
    const int parts = (sentences_ + share - 1) / share;
    std::vector<std::unique_ptr<FloatSums>> sums(parts);
    std::atomic<int> next{0};
    run_on_threads(std::min(threads, parts), [&] {
      Buffer<float> logits(static_cast<std::size_t>(rows) * group_);
      for (int part; (part = next++) < parts;) {
        sums[part] = std::make_unique<FloatSums>(problems, rows, stride_);
        const int end = std::min(sentences_, (part + 1) * share);
        std::ptrdiff_t held = at(part * share);
        for (int first = part * share; first < end; first += group_) {
          add_group(job, first, std::min(group_, end - first), logits.data(), *sums[part]);
          held = vectors_.give_back(held, at(std::min(first + group_, end)), first + group_ >= end);
        }
      }
    });
    std::fill_n(losses, problems, 0.0);
    std::fill_n(slopes, static_cast<std::size_t>(problems) * classes_ * width_, 0.0f);
    std::fill_n(intercept_slopes, problems * classes_, 0.0f);
    for (const auto& part : sums) add_part(*part, problems, losses, slopes, intercept_slopes);
  }

 private:
  // Weights and intercepts in bits, less those of the last class: of each problem, classes - 1 rows.
  struct Rows {
    explicit Rows(int rows, int stride) : weights(static_cast<std::size_t>(rows) * stride), intercepts(rows) {}
    Buffer<float> weights;  // [rows][stride]
    std::vector<float> intercepts;
  };
  struct Job {
    const float* counts;
    int problems, rows;
    std::unique_ptr<Rows> with;
    std::vector<Columns> read;
  };

  std::ptrdiff_t at(int sentence) const { return static_cast<std::ptrdiff_t>(sentence) * stride_; }

  std::unique_ptr<Rows> subtract_last(const float* weights, const float* intercepts, int problems) const {
    auto rows = std::make_unique<Rows>(problems * (classes_ - 1), stride_);
    for (int problem = 0, row = 0; problem < problems; ++problem) {
      const int last = (problem + 1) * classes_ - 1;
      for (int own = problem * classes_; own < last; ++own, ++row) {
        rows->intercepts[row] = kLog2E * (intercepts[own] - intercepts[last]);
        const float *from = weights + static_cast<std::ptrdiff_t>(own) * width_,
                    *less = weights + static_cast<std::ptrdiff_t>(last) * width_;
        for (int i = 0; i < width_; ++i) rows->weights.data()[at(row) + i] = kLog2E * (from[i] - less[i]);
      }
    }
    return rows;
  }

  TARGET void add_group(const Job& job, int first, int count, float* logits, FloatSums& sums) const {
    const int padded = (count + kUnit - 1) / kUnit * kUnit;
    const float* vectors = vectors_.data() + at(first);
    for (int row = 0; row < job.rows; ++row) std::fill_n(logits + row * group_, padded, job.with->intercepts[row]);
    for (const auto& read : job.read)
      for (int from = read.first; from < read.last; from += kPiece)
        for (int row = 0; row < job.rows;) {
          const float* weights = job.with->weights.data() + at(row) + from;
          const int tall = share_rows(job.rows - row), length = std::min(kPiece, read.last - from);
          with_rows(tall, [&](auto some) TARGET {
            add_logits<decltype(some)::value>(weights, vectors + from, length, padded, logits + row * group_);
          });
          row += tall;
        }
    for (int problem = 0; problem < job.problems; ++problem)
      weigh(job, problem, first, padded, logits + problem * (classes_ - 1) * group_, sums);
    for (const auto& read : job.read)
      for (int from = read.first; from < read.last; from += kWide * Lanes::kCount)
        for (int row = 0; row < job.rows;) {
          const int tall = share_rows(job.rows - row);
          const int wide = std::min(kWide, (read.last - from) / Lanes::kCount);
          float* slopes = sums.slopes.data() + at(row) + from;
          with_rows(tall, [&](auto some) TARGET {
            if (wide == kWide)
              add_slopes<decltype(some)::value, kWide>(logits + row * group_, vectors + from, count, slopes);
            else
              for (int i = 0; i < wide; ++i)
                add_slopes<decltype(some)::value, 1>(logits + row * group_, vectors + from + i * Lanes::kCount, count,
                                                     slopes + i * Lanes::kCount);
          });
          row += tall;
        }
  }

  // As many rows as go together, where so many are left: tiles of nearly one height.
  static int share_rows(int left) {
    const int tiles = (left + kTall - 1) / kTall;
    return (left + tiles - 1) / tiles;
  }

  template <int kRows>
  struct Count {
    static constexpr int value = kRows;
  };

  // Calls with a number of rows that is known when it is compiled.
  template <class Call>
  TARGET static void with_rows(int rows, Call call) {
    call_with<kTall>(rows, call);
  }
  template <int kRows, class Call>
  TARGET static void call_with(int rows, Call call) {
    if constexpr (kRows > 1)
      if (rows < kRows) return call_with<kRows - 1>(rows, call);
    call(Count<kRows>{});
  }

  // Some rows of weights times all sentences, added to the logits.
  template <int kRows>
  TARGET void add_logits(const float* weights, const float* vectors, int length, int sentences, float* logits) const {
    for (int sentence = 0; sentence < sentences; sentence += kSums) {
      Vector sum[kRows][kSums];
      for (int row = 0; row < kRows; ++row)
        for (int i = 0; i < kSums; ++i) sum[row][i] = Lanes::fill(0.0f);
      const float* own = vectors + at(sentence);
      for (int inner = 0; inner < length; inner += Lanes::kCount) {
        Vector weight[kRows];
        for (int row = 0; row < kRows; ++row) weight[row] = Lanes::load(weights + at(row) + inner);
        for (int i = 0; i < kSums; ++i) {
          const Vector vector = Lanes::load(own + at(i) + inner);
          for (int row = 0; row < kRows; ++row) sum[row][i] = Lanes::fmadd(weight[row], vector, sum[row][i]);
        }
      }
      for (int row = 0; row < kRows; ++row) {
        float* target = logits + row * group_ + sentence;
        float added[kSums];
        Lanes::store_sums(sum[row], added);
        for (int i = 0; i < kSums; ++i) target[i] += added[i];
      }
    }
  }

  // Some rows of residuals times the sentences' vectors, added to kColumns vectors of slopes.
  template <int kRows, int kColumns>
  TARGET void add_slopes(const float* residuals, const float* vectors, int sentences, float* slopes) const {
    Vector sum[kRows][kColumns];
    for (int row = 0; row < kRows; ++row)
      for (int i = 0; i < kColumns; ++i) sum[row][i] = Lanes::load(slopes + at(row) + i * Lanes::kCount);
    for (int sentence = 0; sentence < sentences; ++sentence) {
      Vector vector[kColumns];
      for (int i = 0; i < kColumns; ++i) vector[i] = Lanes::load(vectors + at(sentence) + i * Lanes::kCount);
      for (int row = 0; row < kRows; ++row) {
        const Vector residual = Lanes::fill(residuals[row * group_ + sentence]);
        for (int i = 0; i < kColumns; ++i) sum[row][i] = Lanes::fmadd(residual, vector[i], sum[row][i]);
      }
    }
    for (int row = 0; row < kRows; ++row)
      for (int i = 0; i < kColumns; ++i) Lanes::store(slopes + at(row) + i * Lanes::kCount, sum[row][i]);
  }

  // Softmax of one problem on a group of sentences: its loss, and residuals in place of the logits.
  TARGET void weigh(const Job& job, int problem, int first, int sentences, float* logits, FloatSums& sums) const {
    alignas(64) float chosen[kMostGroup], counts[kMostGroup];
    const std::int32_t* labels = labels_.data() + first;
    for (int i = 0; i < sentences; ++i) {
      const bool known = labels[i] >= 0;
      chosen[i] = known && labels[i] < classes_ - 1 ? logits[labels[i] * group_ + i] : 0.0f;
      counts[i] = !known       ? 0.0f
                  : job.counts ? job.counts[static_cast<std::ptrdiff_t>(problem) * sentences_ + first + i]
                               : 1.0f;
    }
    Vector lost = Lanes::fill(0.0f);
    for (int i = 0; i < sentences; i += Lanes::kCount) {
      Vector largest = Lanes::fill(0.0f);
      for (int row = 0; row < classes_ - 1; ++row)
        largest = Lanes::max(largest, Lanes::load(logits + row * group_ + i));
      Vector sum = power_of_two(Lanes::fill(0.0f) - largest);
      for (int row = 0; row < classes_ - 1; ++row) {
        float* own = logits + row * group_ + i;
        const Vector power = power_of_two(Lanes::load(own) - largest);
        Lanes::store(own, power);
        sum = sum + power;
      }
      const Vector count = Lanes::load(counts + i), factor = count / sum;
      lost = Lanes::fmadd(count, (largest - Lanes::load(chosen + i)) + log_of_two(sum), lost);
      for (int row = 0; row < classes_ - 1; ++row) {
        float* own = logits + row * group_ + i;
        Lanes::store(own, Lanes::load(own) * factor);
      }
    }
    sums.losses[problem] += Lanes::sum(lost);
    for (int i = 0; i < sentences; ++i)
      if (labels[i] >= 0 && labels[i] < classes_ - 1) logits[labels[i] * group_ + i] -= counts[i];
    for (int row = 0; row < classes_ - 1; ++row) {
      Vector sum = Lanes::fill(0.0f);
      for (int i = 0; i < sentences; i += Lanes::kCount) sum = sum + Lanes::load(logits + row * group_ + i);
      sums.intercepts[problem * (classes_ - 1) + row] += Lanes::sum(sum);
    }
  }

  // Residuals of all classes add up to nothing, and so do their slopes.
  void add_part(const FloatSums& part, int problems, double* losses, float* slopes, float* intercept_slopes) const {
    for (int problem = 0, row = 0; problem < problems; ++problem) {
      losses[problem] += kLn2 * part.losses[problem];
      const int last = (problem + 1) * classes_ - 1;
      float* of_last = slopes + static_cast<std::ptrdiff_t>(last) * width_;
      for (int own = problem * classes_; own < last; ++own, ++row) {
        const float* added = part.slopes.data() + at(row);
        float* target = slopes + static_cast<std::ptrdiff_t>(own) * width_;
        for (int i = 0; i < width_; ++i) {
          target[i] += added[i];
          of_last[i] -= added[i];
        }
        intercept_slopes[own] += static_cast<float>(part.intercepts[row]);
        intercept_slopes[last] -= static_cast<float>(part.intercepts[row]);
      }
    }
  }

  int sentences_, width_, classes_, stride_, group_;
  std::vector<std::int32_t> labels_;  // from 0 to classes - 1; -1 behind the last sentence
  Buffer<float> vectors_;             // [sentences][stride]
};

}  // namespace
}  // namespace kernels
