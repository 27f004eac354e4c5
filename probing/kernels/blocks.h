// Products of 32 x 32 blocks: what every engine multiplies. An engine is a class with
//
//   Number          what products read: bf16 or float
//   begin(), end()  around all products of a thread
//   multiply        the sum of the products of all pairs, each over `steps` blocks; with `kAdds`, added to the sums;
//                   `meanwhile(step)` is called once a step, in the shadow of the products where the unit has one
//   store           two vectors of lanes, as the numbers that products read
//   pack_across     a right-hand side of 32 rows, where products run over the numbers of a row: rows become columns
//   pack_along      the same where products run over the rows; those from `count` on are taken for zeros
//
// Layouts, all contiguous:
//   left    [steps][32 rows][32 numbers]                 rows times the inner dimension
//   right   bf16:  [steps][2 halves][16 pairs][16 columns][2], the inner dimension in pairs, as both units want it
//           float: [steps][32 numbers][32 columns]
//   sums    [32 rows][stride], of which 32 columns are written
#pragma once

#include <cstddef>

#include "buffers.h"

namespace kernels {

constexpr int kBlock = 32;
constexpr int kBlockSize = kBlock * kBlock;

// What is multiplied: blocks `left_step` and `right_step` numbers apart.
template <class Number>
struct Operands {
  const Number *left, *right;
  std::ptrdiff_t left_step = kBlockSize, right_step = kBlockSize;
};

}  // namespace kernels
