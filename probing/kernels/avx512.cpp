// Products in float32 on AVX-512.
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma")))

#include "lanes_avx512.h"

#include "apply.h"
#include "engines.h"
#include "functions.h"
#include "logistic_float.h"
#include "passes.h"
#include "products.h"

namespace kernels {
namespace {

// 16 sums, 2 columns.
using Products = FloatProducts<8, 2>;
using Loss = FloatLogistic<6, 4>;

std::unique_ptr<Logistic> make_logistic(const std::int32_t* labels, int sentences, int width, int classes, Room room) {
  return std::make_unique<Loss>(labels, sentences, width, classes, room);
}

}  // namespace

const Engine kAvx512 = {"avx512", false, encode_blocks<Products>, make_logistic, apply<false>};

}  // namespace kernels
#endif
