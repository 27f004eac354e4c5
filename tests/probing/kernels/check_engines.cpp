// Every engine that this processor can run against the scalar one: functions, encoding, and the loss of probes.
// Built by test_engines.py under sanitizers, and for ARM. Prints what is wrong; the exit status counts it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "engines.h"

using namespace kernels;

namespace {

int failures = 0;

// The largest difference, as a share of the largest number.
void compare(const Engine& engine, const std::string& what, const std::vector<float>& found,
             const std::vector<float>& expected, double tolerance) {
  double error = 0, largest = 1e-30;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double apart = std::abs(double(found[i]) - expected[i]);
    error = apart >= error ? apart : error != error ? error : apart != apart ? apart : error;
    largest = std::max(largest, std::abs(double(expected[i])));
  }
  const bool right = found.size() == expected.size() && error <= tolerance * largest;
  failures += !right;
  std::printf("%s %s, %s: %.1e of %.1e\n", right ? "right" : "WRONG", engine.name, what.c_str(), error / largest,
              tolerance);
}

std::vector<float> draw(std::size_t count, float scale, unsigned seed, float middle = 0) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(middle, scale);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(generator);
  return numbers;
}

void check_functions(const Engine& engine, const Engine& scalar) {
  for (const char* name : {"gelu", "power_of_two", "log_of_two"}) {
    std::vector<float> numbers = draw(4096, 4, 0), found(4096), expected(4096);
    if (!std::strcmp(name, "power_of_two"))
      for (float& number : numbers) number = -std::abs(number);
    if (!std::strcmp(name, "log_of_two"))
      for (float& number : numbers) number = 1 + std::abs(number);
    engine.apply(name, numbers.data(), found.data(), numbers.size());
    scalar.apply(name, numbers.data(), expected.data(), numbers.size());
    compare(engine, name, found, expected, engine.in_bf16 ? 2e-6 : 3e-7);
  }
}

// A right-hand side in blocks, from [outputs][inputs].
std::vector<float> pack(const std::vector<float>& matrix, int outputs, int inputs) {
  std::vector<float> packed;
  for (int panel = 0; panel < outputs; panel += 32)
    for (int step = 0; step < inputs; step += 32)
      for (int inner = 0; inner < 32; ++inner)
        for (int column = 0; column < 32; ++column)
          packed.push_back(matrix[static_cast<std::size_t>(panel + column) * inputs + step + inner]);
  return packed;
}

std::vector<bf16> pack_pairs(const std::vector<float>& matrix, int outputs, int inputs) {
  std::vector<bf16> packed;
  for (int panel = 0; panel < outputs; panel += 32)
    for (int step = 0; step < inputs; step += 32)
      for (int half = 0; half < 32; half += 16)
        for (int pair = 0; pair < 32; pair += 2)
          for (int column = 0; column < 16; ++column)
            for (int i = 0; i < 2; ++i) {
              std::uint32_t bits;
              const float weight = matrix[static_cast<std::size_t>(panel + half + column) * inputs + step + pair + i];
              std::memcpy(&bits, &weight, 4);
              packed.push_back(static_cast<bf16>(bits >> 16));
            }
  return packed;
}

// What sets an encoder apart from BERT; and BERT.
enum Kind { kBert, kWidened, kByDistance, kGated, kConvolved };
const char* const kKinds[] = {"encoding", "encoding after widening", "encoding by distance", "encoding, gated",
                              "encoding, convolved"};

struct Encoder {
  static constexpr int kWidth = 64, kInner = 96, kWords = 20, kLongest = 90, kReach = kLongest + 32;
  std::vector<float> words = draw(kWords * kWidth, 1, 1), positions = draw(kLongest * kWidth, 1, 2),
                     types = draw(2 * kWidth, 1, 3), scale = draw(kInner, 0.1f, 4, 1),
                     shift = draw(3 * kWidth, 0.1f, 5), zeros = std::vector<float>(kWidth),
                     rotations = draw(kLongest * kWidth / 2, 0.7f, 6), distances = draw(2 * (2 * kReach + 1), 1, 7);
  std::vector<std::vector<float>> packed;
  std::vector<std::vector<bf16>> pairs;
  Model model{};

  Encoder(bool in_bf16, Kind kind) {
    const int embedding_width = kind == kWidened ? 32 : kWidth;
    model = {{2, kInner, 1e-12f, kind == kGated},
             kWidth,
             embedding_width,
             words.data(),
             positions.data(),
             types.data(),
             kind == kGated ? 0 : embedding_width,
             {scale.data(), shift.data()},
             {nullptr, nullptr, 0, 0},
             zeros.data(),
             {}};
    // Matrices are found by their places afterwards: room for all, so that none moves.
    packed.reserve(10), pairs.reserve(10);
    const auto matrix = [&](int outputs, int inputs, unsigned seed) {
      const auto weights = draw(static_cast<std::size_t>(outputs) * inputs, 0.15f, seed);
      packed.push_back(pack(weights, outputs, inputs));
      pairs.push_back(pack_pairs(weights, outputs, inputs));
      const void* data = in_bf16 ? static_cast<const void*>(pairs.back().data()) : packed.back().data();
      return Matrix{data, shift.data(), outputs / 32, inputs / 32};
    };
    if (kind == kWidened) model.widening = matrix(kWidth, embedding_width, 50);
    for (unsigned layer = 0; layer < 2; ++layer) {
      model.layers.push_back({matrix(3 * kWidth, kWidth, 10 + layer),
                              matrix(kWidth, kWidth, 20 + layer),
                              {scale.data(), shift.data(), kind == kGated},
                              matrix(kind == kGated ? 2 * kInner : kInner, kWidth, 30 + layer),
                              matrix(kWidth, kInner, 40 + layer),
                              {scale.data(), shift.data(), kind == kGated && layer == 0}});
      if (kind == kByDistance) model.layers.back().distances = {distances.data(), kReach};
      if (kind == kGated) model.layers.back().rotations = rotations.data();
      if (kind == kGated && layer == 1) model.layers.back().window = 12;
      if (kind == kConvolved && layer == 0) {
        Layer& own = model.layers.back();
        own.taps = 5;
        own.attention.panels = 2 * kWidth / 32;
        own.kernels = matrix(32, own.taps * kWidth, 60);
        own.inner.panels = 0;
      }
    }
  }
};

std::vector<float> encode(const Engine& engine, bool largest, Kind kind) {
  const Encoder encoder(engine.in_bf16, kind);
  const int lengths[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 65, 90, 3, 5};
  std::vector<std::int32_t> ids, types;
  std::vector<std::int64_t> starts{0};
  std::vector<float> shares;
  for (const int length : lengths) {
    for (int i = 0; i < length; ++i) {
      ids.push_back((7 * i + length) % Encoder::kWords);
      types.push_back(i % 2);
      shares.push_back(i == 0 && length > 1 ? 0.0f : 1.0f / static_cast<float>(length));
    }
    starts.push_back(static_cast<std::int64_t>(ids.size()));
  }
  std::vector<float> pooled(3 * std::size(lengths) * Encoder::kWidth);
  const Batch batch{ids.data(),    types.data(), starts.data(),
                    shares.data(), largest,      static_cast<std::int64_t>(std::size(lengths)),
                    pooled.data()};
  const std::int64_t cuts[] = {0, 1, 6, 9, 11, 12, 14};
  const Blocks blocks{cuts, 6, 160, 96};
  std::atomic<std::size_t> next{0};
  engine.encode(encoder.model, batch, blocks, next);
  return pooled;
}

// Numbers of columns that are not read, in rows of some width, become 0.
void clear_unread(std::vector<float>& rows, int width, const std::vector<Columns>& read) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const int column = static_cast<int>(i % width);
    const auto holds = [&](const Columns& one) { return one.first <= column && column < one.last; };
    if (std::none_of(read.begin(), read.end(), holds)) rows[i] = 0;
  }
}

std::vector<float> evaluate(const Engine& engine, int sentences, int width, int classes, int problems, bool counted,
                            int threads) {
  // The middle is left out where counts are given.
  const std::vector<Columns> read =
      counted ? std::vector<Columns>{{0, width / 3}, {width / 2, width}} : std::vector<Columns>{{0, width}};
  const auto vectors = draw(static_cast<std::size_t>(sentences) * width, 1, 50);
  auto weights = draw(static_cast<std::size_t>(problems) * classes * width, 0.3f, 51);
  clear_unread(weights, width, read);
  const auto intercepts = draw(static_cast<std::size_t>(problems) * classes, 1, 52);
  std::vector<float> counts(static_cast<std::size_t>(problems) * sentences);
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = static_cast<float>(i % 4);
  std::vector<std::int32_t> labels(sentences);
  for (int i = 0; i < sentences; ++i) labels[i] = (i * 7) % classes;
  const auto logistic = engine.make_logistic(labels.data(), sentences, width, classes, Room());
  const int half = sentences / 2;
  logistic->fill(0, vectors.data(), half);
  logistic->fill(half, vectors.data() + static_cast<std::ptrdiff_t>(half) * width, sentences - half);
  std::vector<double> losses(problems);
  std::vector<float> slopes(weights.size()), of_intercepts(intercepts.size());
  logistic->evaluate(weights.data(), intercepts.data(), counted ? counts.data() : nullptr, read, problems,
                     threads, losses.data(), slopes.data(), of_intercepts.data());
  clear_unread(slopes, width, read);
  std::vector<float> all(losses.begin(), losses.end());
  all.insert(all.end(), slopes.begin(), slopes.end());
  all.insert(all.end(), of_intercepts.begin(), of_intercepts.end());
  return all;
}

}  // namespace

int main() {
  for (const Engine* engine : find_engines()) {
    const Engine& scalar = engine->in_bf16 ? kScalarBf16 : kScalar;
    check_functions(*engine, scalar);
    for (const Kind kind : {kBert, kWidened, kByDistance, kGated, kConvolved})
      for (const bool largest : {false, true})
        // One rounding to bfloat16 that falls to the other side moves what follows by 2^-8 of a number.
        compare(*engine, kKinds[kind] + std::string(largest ? ", max" : ", mean"), encode(*engine, largest, kind),
                encode(scalar, largest, kind), engine->in_bf16 ? 1e-2 : 3e-6);
    const int shapes[][4] = {{5, 7, 2, 1}, {33, 40, 3, 9}, {300, 600, 5, 2}, {2100, 33, 2, 5}, {64, 16, 40, 1}};
    for (const auto& [sentences, width, classes, problems] : shapes)
      for (const bool counted : {false, true})
        compare(*engine, "loss of " + std::to_string(sentences) + " x " + std::to_string(width),
                evaluate(*engine, sentences, width, classes, problems, counted, 3),
                evaluate(kScalar, sentences, width, classes, problems, counted, 1), engine->in_bf16 ? 4e-5 : 1e-6);
  }
  return std::min(failures, 100);
}
