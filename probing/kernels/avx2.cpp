// Products in float32 on AVX2 and FMA.
#if defined(__x86_64__)
#define TARGET __attribute__((target("avx2,fma")))

#include "lanes_avx2.h"

#include "apply.h"
#include "engines.h"
#include "functions.h"
#include "logistic_float.h"
#include "passes.h"
#include "products.h"

namespace kernels {
namespace {

// Of 16 registers, 8 to 12 are for sums.
using Products = FloatProducts<6, 2>;
using Loss = FloatLogistic<3, 2>;

std::unique_ptr<Logistic> make_logistic(const std::int32_t* labels, int sentences, int width, int classes, Room room) {
  return std::make_unique<Loss>(labels, sentences, width, classes, room);
}

}  // namespace

const Engine kAvx2 = {"avx2", false, encode_blocks<Products>, make_logistic, apply<false>};

}  // namespace kernels
#endif
