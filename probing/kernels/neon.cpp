// Products in float32 on ARM's NEON.
#if defined(__aarch64__)
#define TARGET

#include "lanes_neon.h"

#include "apply.h"
#include "engines.h"
#include "functions.h"
#include "logistic_float.h"
#include "passes.h"
#include "products.h"

namespace kernels {
namespace {

// Of 32 registers, 16 to 24 are for sums.
using Products = FloatProducts<4, 4>;
using Loss = FloatLogistic<6, 4>;

std::unique_ptr<Logistic> make_logistic(const std::int32_t* labels, int sentences, int width, int classes, Room room) {
  return std::make_unique<Loss>(labels, sentences, width, classes, room);
}

}  // namespace

const Engine kNeon = {"neon", false, encode_blocks<Products>, make_logistic, apply<false>};

}  // namespace kernels
#endif
