// BERT encoding by fused kernels, for Python. Compiles to a module without kernels where the compiler has none.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <atomic>
#include <string>
#include <thread>

#include "logistic.h"
#include "model.h"

#ifdef HAS_KERNELS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace py = pybind11;
using namespace kernels;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

// Units of the processor that the kernels can use, the fastest first.
std::vector<std::string> find_units() {
  std::vector<std::string> units;
#ifdef HAS_KERNELS
  unsigned a, b, c, d;
  constexpr unsigned kAmx = 1u << 22 | 1u << 24, kAvx512Bf16 = 1u << 5;
  const bool vectors = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                       __builtin_cpu_supports("avx512vl") && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
                       (a & kAvx512Bf16);
  // Linux lends the tiles to a process that asks for them.
  constexpr long kRequest = 0x1023, kTiles = 18;
  if (vectors && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kAmx) == kAmx &&
      syscall(SYS_arch_prctl, kRequest, kTiles) == 0)
    units.push_back("amx");
  if (vectors) units.push_back("avx512_bf16");
#endif
  return units;
}

// The weights of a BERT. Python's arrays are kept, not copied.
class Encoder {
 public:
  using Arrays = std::vector<Array<float>>;
  using Matrices = std::vector<Array<bf16>>;

  // `embeddings`: words, positions, types, norm's scale and shift. Of each layer, `matrices` (packed): attention,
  // projection, inner, output; `vectors`: their biases, then scale and shift of the norms after attention and output.
  Encoder(int heads, int inner, float epsilon, Arrays embeddings, std::vector<Matrices> matrices,
          std::vector<Arrays> vectors)
      : embeddings_(std::move(embeddings)), matrices_(std::move(matrices)), vectors_(std::move(vectors)) {
    const int width = static_cast<int>(embeddings_.at(0).shape(1));
    zeros_.assign(width, 0.0f);
    const auto table = [&](int which) { return embeddings_.at(which).data(); };
    model_ =
        Model{width, heads, inner, epsilon, table(0), table(1), table(2), Norm{table(3), table(4)}, zeros_.data(), {}};
    for (std::size_t layer = 0; layer < matrices_.size(); ++layer) {
      const auto vector = [&](int which) { return vectors_.at(layer).at(which).data(); };
      const auto matrix = [&](int which, int outputs, int inputs) {
        const Array<bf16>& packed = matrices_[layer].at(which);
        if (packed.size() != static_cast<py::ssize_t>(outputs) * inputs)
          throw py::value_error("a matrix of " + std::to_string(packed.size()) + " weights, expected " +
                                std::to_string(outputs) + " x " + std::to_string(inputs));
        return Matrix{packed.data(), vector(which), outputs / 32, inputs / 32};
      };
      model_.layers.push_back(Layer{matrix(0, 3 * width, width),
                                    matrix(1, width, width),
                                    {vector(4), vector(5)},
                                    matrix(2, inner, width),
                                    matrix(3, width, inner),
                                    {vector(6), vector(7)}});
    }
  }

  void encode(const Array<std::int32_t>& ids, const Array<std::int32_t>& types, const Array<std::int64_t>& starts,
              const Array<float>& shares, bool largest, Array<float>& pooled, const std::string& unit, int rows,
              int threads) const {
    const Batch batch{ids.data(), types.data(),      starts.data(),        shares.data(),
                      largest,    starts.size() - 1, pooled.mutable_data()};
    check(ids, embeddings_[0], "token");
    check(types, embeddings_[2], "segment");
    py::gil_scoped_release release;
#ifdef HAS_KERNELS
    if (unit == "amx") return share_out(batch, rows, threads, encode_with_amx);
    if (unit == "avx512_bf16") return share_out(batch, rows, threads, encode_with_avx512);
#endif
    throw std::invalid_argument("no kernels for " + unit);
  }

 private:
  static void check(const Array<std::int32_t>& ids, const Array<float>& table, const char* kind) {
    for (py::ssize_t i = 0; i < ids.size(); ++i)
      if (ids.data()[i] < 0 || ids.data()[i] >= table.shape(0))
        throw py::index_error(std::string(kind) + " " + std::to_string(ids.data()[i]) + " of " +
                              std::to_string(table.shape(0)));
  }

#ifdef HAS_KERNELS
  template <class Encode>
  void share_out(const Batch& batch, int rows, int threads, Encode encode) const {
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
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back([&] { encode(model_, batch, blocks, next); });
    encode(model_, batch, blocks, next);
    for (auto& other : others) other.join();
  }
#endif

  Arrays embeddings_;
  std::vector<Matrices> matrices_;
  std::vector<Arrays> vectors_;
  std::vector<float> zeros_;
  Model model_{};
};

#ifdef HAS_KERNELS
class LogisticLoss {
 public:
  LogisticLoss(const Array<std::int32_t>& labels, int width, int classes)
      : sentences_(labels.size()),
        width_(width),
        classes_(classes),
        logistic_(labels.data(), static_cast<int>(sentences_), width_, classes) {}

  void fill(py::ssize_t first, const Array<float>& vectors) {
    if (vectors.ndim() != 2 || vectors.shape(1) != width_ || first < 0 || first + vectors.shape(0) > sentences_)
      throw py::value_error("vectors of another shape than the sentences from " + std::to_string(first) + " on");
    py::gil_scoped_release release;
    logistic_.fill(static_cast<int>(first), vectors.data(), static_cast<int>(vectors.shape(0)));
  }

  // `counts` may be empty: all sentences count once.
  py::tuple evaluate(const Array<float>& weights, const Array<float>& intercepts, const Array<float>& counts,
                     int threads) const {
    const py::ssize_t rows = weights.shape(0), problems = rows / classes_;
    if (counts.size() != 0 && counts.size() != problems * sentences_)
      throw py::value_error(std::to_string(counts.size()) + " counts, expected " + std::to_string(problems) + " x " +
                            std::to_string(sentences_));
    const float* times = counts.size() == 0 ? nullptr : counts.data();
    Array<double> losses(problems);
    Array<float> slopes({rows, static_cast<py::ssize_t>(width_)}), intercept_slopes(rows);
    double* lost = losses.mutable_data();
    float *first = slopes.mutable_data(), *second = intercept_slopes.mutable_data();
    {
      py::gil_scoped_release release;
      logistic_.evaluate(weights.data(), intercepts.data(), times, static_cast<int>(problems), threads, lost, first,
                         second);
    }
    return py::make_tuple(losses, slopes, intercept_slopes);
  }

 private:
  py::ssize_t sentences_;
  int width_, classes_;
  Logistic logistic_;
};
#endif

}  // namespace

PYBIND11_MODULE(compiled, module) {
  module.def("find_units", &find_units, "Units of this processor that the kernels can use, the fastest first.");
  py::class_<Encoder>(module, "Encoder")
      .def(py::init<int, int, float, Encoder::Arrays, std::vector<Encoder::Matrices>, std::vector<Encoder::Arrays>>())
      .def("encode", &Encoder::encode);
#ifdef HAS_KERNELS
  py::class_<LogisticLoss>(module, "LogisticLoss")
      .def(py::init<const Array<std::int32_t>&, int, int>())
      .def("fill", &LogisticLoss::fill)
      .def("evaluate", &LogisticLoss::evaluate);
#endif
}
