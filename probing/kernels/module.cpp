// The kernels, for Python: encoding, and the loss of probes, by any engine that this processor can run.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string>

#include "engines.h"
#include "threads.h"

namespace py = pybind11;
using namespace kernels;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// Names, and the numbers that an encoder's matrices are packed in.
std::vector<std::pair<std::string, std::string>> list_engines() {
  std::vector<std::pair<std::string, std::string>> listed;
  for (const Engine* engine : find_engines())
    listed.emplace_back(engine->name, engine->in_bf16 ? "bfloat16" : "float32");
  return listed;
}

const Engine& find_engine(const std::string& name) {
  for (const Engine* engine : find_engines())
    if (engine->name == name) return *engine;
  throw py::value_error("no engine " + name + " on this processor");
}

// The weights of an encoder. Python's arrays are kept, not copied.
class Encoder {
 public:
  using Arrays = std::vector<Array<float>>;
  using Matrices = std::vector<py::array>;

  // Of one layer. `matrices` (packed, in the engine's numbers): attention, projection, inner, output, and the kernels of
  // a convolution; empty where there are none. `vectors`: biases of the first four, then scale and shift of the norms
  // after attention and output, then the kernels' bias. `tables`: of rotations and of distances, empty where there are
  // none. `keeps`: which of the two norms leave the states as they are. `taps`: tokens that a convolution reads, or 0.
  struct Weights {
    Matrices matrices;
    Arrays vectors, tables;
    std::array<bool, 2> keeps;
    int window, taps;
  };

  // `embeddings`: words, positions, types, norm's scale and shift. `widening`: a matrix and its bias, or nothing.
  Encoder(const std::string& engine, const Shape& shape, Arrays embeddings, Matrices widening,
          std::vector<Weights> layers)
      : engine_(find_engine(engine)),
        embeddings_(std::move(embeddings)),
        widening_(std::move(widening)),
        layers_(std::move(layers)) {
    const int embedding_width = static_cast<int>(embeddings_.at(0).shape(1));
    const int width = static_cast<int>(widening_.empty() ? embedding_width : widening_.at(1).size());
    zeros_.assign(std::max(width, embedding_width), 0.0f);
    const auto table = [&](int which) { return embeddings_.at(which).data(); };
    const bool placed = embeddings_.at(1).shape(0) > 1;
    if (placed) longest_ = embeddings_[1].shape(0);
    model_ = Model{shape, width, embedding_width, table(0), table(1), table(2), placed ? embedding_width : 0,
                   Norm{table(3), table(4)}, Matrix{nullptr, nullptr, 0, 0}, zeros_.data(), {}};
    if (!widening_.empty())
      model_.widening = Matrix{check(widening_.at(0), width, embedding_width),
                               static_cast<const float*>(widening_.at(1).data()), width / 32, embedding_width / 32};
    for (const Weights& weights : layers_) model_.layers.push_back(read(weights));
  }

  void encode(const Array<std::int32_t>& ids, const Array<std::int32_t>& types, const Array<std::int64_t>& starts,
              const Array<float>& shares, bool largest, Array<float>& pooled, int rows, int threads) const {
    const Batch batch{ids.data(), types.data(),      starts.data(),        shares.data(),
                      largest,    starts.size() - 1, pooled.mutable_data()};
    check(ids, embeddings_[0], "token");
    check(types, embeddings_[2], "segment");
    for (std::int64_t sentence = 0; sentence < batch.sentences; ++sentence)
      if (starts.data()[sentence + 1] - starts.data()[sentence] > longest_)
        throw py::index_error("a text of " + std::to_string(starts.data()[sentence + 1] - starts.data()[sentence]) +
                              " tokens, with positions for " + std::to_string(longest_));
    py::gil_scoped_release release;
    share_out(batch, rows, threads);
  }

 private:
  const void* check(const py::array& packed, int outputs, int inputs) const {
    const py::ssize_t expected = engine_.in_bf16 ? sizeof(bf16) : sizeof(float);
    if (packed.size() != static_cast<py::ssize_t>(outputs) * inputs || packed.itemsize() != expected ||
        !(packed.flags() & py::array::c_style))
      throw py::value_error("a matrix of " + std::to_string(packed.size()) + " weights of " +
                            std::to_string(packed.itemsize()) + " bytes, expected " + std::to_string(outputs) + " x " +
                            std::to_string(inputs) + " of " + std::to_string(expected));
    return packed.data();
  }

  Layer read(const Weights& weights) {
    const int width = model_.width, inner = model_.shape.inner, head_width = model_.head_width();
    const auto vector = [&](int which) { return weights.vectors.at(which).data(); };
    const auto matrix = [&](int which, int outputs, int inputs) {
      if (!weights.matrices.at(which).size()) return Matrix{nullptr, nullptr, 0, 0};
      return Matrix{check(weights.matrices.at(which), outputs, inputs), which < 4 ? vector(which) : nullptr,
                    outputs / 32, inputs / 32};
    };
    const int taps = weights.taps, logits = (model_.shape.heads * taps + 31) / 32 * 32;
    Layer layer{matrix(0, taps ? 2 * width : 3 * width, width),
                matrix(1, width, width),
                {vector(4), vector(5), weights.keeps[0]},
                matrix(2, model_.shape.gated ? 2 * inner : inner, width),
                matrix(3, width, inner),
                {vector(6), vector(7), weights.keeps[1]}};
    const Array<float>&rotations = weights.tables.at(0), &distances = weights.tables.at(1);
    if (rotations.size()) {
      if (rotations.ndim() != 2 || rotations.shape(1) != head_width)
        throw py::value_error("rotations of another shape than positions x " + std::to_string(head_width));
      layer.rotations = rotations.data();
      longest_ = std::min<std::int64_t>(longest_, rotations.shape(0));
    }
    if (distances.size()) {
      if (distances.ndim() != 2 || distances.shape(0) != model_.shape.heads || distances.shape(1) % 2 == 0)
        throw py::value_error("distances of another shape than heads x an odd number");
      layer.distances = Distances{distances.data(), static_cast<int>(distances.shape(1) / 2)};
      longest_ = std::min<std::int64_t>(longest_, layer.distances.reach - 32);
    }
    layer.window = weights.window;
    if (taps) {
      layer.taps = taps;
      const Matrix kernels = matrix(4, logits, taps * width);
      if (taps % 2 == 0 || !kernels.panels || weights.vectors.at(8).size() != logits)
        throw py::value_error("a convolution of " + std::to_string(taps) + " taps, expected an odd number, and kernels");
      layer.kernels = Matrix{kernels.packed, vector(8), kernels.panels, kernels.steps};
    }
    return layer;
  }

  static void check(const Array<std::int32_t>& ids, const Array<float>& table, const char* kind) {
    for (py::ssize_t i = 0; i < ids.size(); ++i)
      if (ids.data()[i] < 0 || ids.data()[i] >= table.shape(0))
        throw py::index_error(std::string(kind) + " " + std::to_string(ids.data()[i]) + " of " +
                              std::to_string(table.shape(0)));
  }

  void share_out(const Batch& batch, int rows, int threads) const {
    // Whole sentences, as many as fit in the rows; a longer one makes a block of its own.
    std::vector<std::int64_t> cuts{0};
    std::int64_t longest = 0;
    for (std::int64_t sentence = 0; sentence < batch.sentences; ++sentence) {
      longest = std::max(longest, batch.starts[sentence + 1] - batch.starts[sentence]);
      if (sentence > cuts.back() && batch.starts[sentence + 1] - batch.starts[cuts.back()] > rows)
        cuts.push_back(sentence);
    }
    cuts.push_back(batch.sentences);
    const int padded = static_cast<int>((longest + 31) / 32 * 32);
    const Blocks blocks{cuts.data(), cuts.size() - 1, std::max(rows, padded), padded};
    std::atomic<std::size_t> next{0};
    run_on_threads(threads, [&] { engine_.encode(model_, batch, blocks, next); });
  }

  const Engine& engine_;
  Arrays embeddings_;
  Matrices widening_;
  std::vector<Weights> layers_;
  std::vector<float> zeros_;
  std::int64_t longest_ = kEverywhere;  // tokens of a text
  Model model_{};
};

class LogisticLoss {
 public:
  // `room` is empty where the vectors are to be in memory; else mapped zeros, which are kept, not copied.
  LogisticLoss(const std::string& engine, const Array<std::int32_t>& labels, int width, int classes, py::array room)
      : sentences_(labels.size()), width_(width), classes_(classes), room_(std::move(room)) {
    for (py::ssize_t i = 0; i < sentences_; ++i)
      if (labels.data()[i] < 0 || labels.data()[i] >= classes)
        throw py::value_error("label " + std::to_string(labels.data()[i]) + " of " + std::to_string(classes));
    const Room place = room_.size() ? Room(room_.mutable_data(), room_.nbytes()) : Room();
    logistic_ = find_engine(engine).make_logistic(labels.data(), static_cast<int>(sentences_), width, classes, place);
  }

  void fill(py::ssize_t first, const Array<float>& vectors) {
    if (vectors.ndim() != 2 || vectors.shape(1) != width_ || first < 0 || first + vectors.shape(0) > sentences_)
      throw py::value_error("vectors of another shape than the sentences from " + std::to_string(first) + " on");
    py::gil_scoped_release release;
    logistic_->fill(static_cast<int>(first), vectors.data(), static_cast<int>(vectors.shape(0)));
  }

  // `counts` may be empty: all sentences count once. `read`: columns that go up, first and behind the last of each run.
  py::tuple evaluate(const Array<float>& weights, const Array<float>& intercepts, const Array<float>& counts,
                     const std::vector<std::array<int, 2>>& read, int threads) const {
    const py::ssize_t rows = weights.shape(0), problems = rows / classes_;
    if (counts.size() != 0 && counts.size() != problems * sentences_)
      throw py::value_error(std::to_string(counts.size()) + " counts, expected " + std::to_string(problems) + " x " +
                            std::to_string(sentences_));
    std::vector<Columns> columns;
    for (const auto& [first, last] : read) {
      if (first < (columns.empty() ? 0 : columns.back().last) || first >= last || last > width_)
        throw py::value_error("columns " + std::to_string(first) + " to " + std::to_string(last) + " of " +
                              std::to_string(width_) + ", not behind those before");
      columns.push_back({first, last});
    }
    if (columns.empty()) throw py::value_error("no columns to read");
    const float* times = counts.size() == 0 ? nullptr : counts.data();
    Array<double> losses(problems);
    Array<float> slopes({rows, static_cast<py::ssize_t>(width_)}), intercept_slopes(rows);
    double* lost = losses.mutable_data();
    float *first = slopes.mutable_data(), *second = intercept_slopes.mutable_data();
    {
      py::gil_scoped_release release;
      logistic_->evaluate(weights.data(), intercepts.data(), times, columns, static_cast<int>(problems), threads, lost,
                          first, second);
    }
    return py::make_tuple(losses, slopes, intercept_slopes);
  }

 private:
  py::ssize_t sentences_;
  int width_, classes_;
  py::array room_;
  std::unique_ptr<Logistic> logistic_;
};

Array<float> apply(const std::string& engine, const std::string& function, const Array<float>& numbers) {
  if (numbers.size() % 16) throw py::value_error("expected a multiple of 16 numbers");
  Array<float> results(numbers.size());
  find_engine(engine).apply(function.c_str(), numbers.data(), results.mutable_data(), numbers.size());
  return results;
}

}  // namespace

PYBIND11_MODULE(compiled, module) {
  module.def("list_engines", &list_engines,
             "Engines that this processor can run, the fastest first, each with the numbers that its products read.");
  module.def("apply", &apply, "`gelu`, `power_of_two` or `log_of_two` of each number, as an engine computes it.");
  py::class_<Shape>(module, "Shape")
      .def(py::init([](int heads, int inner, float epsilon, bool gated) { return Shape{heads, inner, epsilon, gated}; }),
           py::arg("heads"), py::arg("inner"), py::arg("epsilon"), py::arg("gated"));
  py::class_<Encoder::Weights>(module, "LayerWeights")
      .def(py::init([](Encoder::Matrices matrices, Encoder::Arrays vectors, Encoder::Arrays tables,
                       std::array<bool, 2> keeps, int window, int taps) {
             return Encoder::Weights{std::move(matrices), std::move(vectors), std::move(tables), keeps, window, taps};
           }),
           py::arg("matrices"), py::arg("vectors"), py::arg("tables"), py::arg("keeps"), py::arg("window"),
           py::arg("taps"));
  module.attr("EVERYWHERE") = kEverywhere;
  py::class_<Encoder>(module, "Encoder")
      .def(py::init<const std::string&, const Shape&, Encoder::Arrays, Encoder::Matrices,
                    std::vector<Encoder::Weights>>(),
           py::arg("engine"), py::arg("shape"), py::arg("embeddings"), py::arg("widening"), py::arg("layers"))
      .def("encode", &Encoder::encode);
  py::class_<LogisticLoss>(module, "LogisticLoss")
      .def(py::init<const std::string&, const Array<std::int32_t>&, int, int, py::array>(), py::arg("engine"),
           py::arg("labels"), py::arg("width"), py::arg("classes"), py::arg("room"))
      .def("fill", &LogisticLoss::fill)
      .def("evaluate", &LogisticLoss::evaluate);
}
