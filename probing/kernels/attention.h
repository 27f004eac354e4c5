// Attention of one sentence, its scores and weights in the cache of a core.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "scratch.h"

namespace kernels {
namespace {

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

}  // namespace
}  // namespace kernels
