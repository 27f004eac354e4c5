// GELU, powers of two and logarithms, for vectors of lanes. "Polynomial" is the error of the terms in exact arithmetic,
// as tests/probing/kernels/polynomials.py derives it from this file; "all" is with the roundings of float32.
#pragma once

#include <cstddef>

namespace kernels {
namespace {

using Vector = Lanes::Vector;

// terms[0] x^n + ... + terms[n]
template <std::size_t kTerms>
TARGET inline Vector evaluate(const float (&terms)[kTerms], Vector x) {
  Vector sum = Lanes::fill(terms[0]);
  for (std::size_t i = 1; i < kTerms; ++i) sum = Lanes::fmadd(sum, x, Lanes::fill(terms[i]));
  return sum;
}

// 2^x for x <= 0; 0 for minus infinity. Relative error: polynomial 3.5e-6, all 4e-6.
TARGET inline Vector power_of_two_in_bf16(Vector x) {
  constexpr float kPowerInBf16[] = {0.01367031f, 0.051745f, 0.24160436f, 0.69297292f, 1.00000349f};
  return Lanes::scale(evaluate(kPowerInBf16, Lanes::fraction(x)), x);
}

// 2^x for x <= 0; what is below 2^-126 is taken for that. Relative error: polynomial 7.4e-9, all 2e-7.
TARGET inline Vector power_of_two(Vector x) {
  constexpr float kPower[] = {
      2.17022563e-4f, 1.24396884e-3f, 9.67884064e-3f, 5.54833412e-2f, 2.4022983e-1f, 6.93147004e-1f, 1.0f};
  const Vector bounded = Lanes::max(Lanes::fill(-126.0f), x);
  return Lanes::scale(evaluate(kPower, Lanes::fraction(bounded)), bounded);
}

// log2(x) for x >= 1. Error: polynomial 3.1e-8, all 2e-7 below 2.
TARGET inline Vector log_of_two(Vector x) {
  constexpr float kLogarithm[] = {0.00739540206f, -0.0419450104f, 0.111832075f,  -0.19623895f, 0.275221199f,
                                  -0.358299077f,  0.480678886f,   -0.721339524f, 1.44269502f};
  const Vector t = Lanes::mantissa(x) - Lanes::fill(1.0f);
  return Lanes::fmadd(evaluate(kLogarithm, t), t, Lanes::exponent(x));
}

// x Phi(x), the exact GELU. Phi by an odd polynomial on [-4.4, 4.4] that meets 0 and 1 at its ends.
// Error: polynomial 3e-5, all 4.5e-5, a hundredth of the rounding to bfloat16 at 1.
TARGET inline Vector gelu_in_bf16(Vector x) {
  constexpr float kPhiInBf16[] = {3.56942989e-11f,  -3.75404972e-09f, 1.74084761e-07f,
                                  -4.72486887e-06f, 8.42930247e-05f,  -1.05499256e-03f,
                                  9.64302827e-03f,  -6.60764307e-02f, 3.98761610e-01f};
  const Vector end = Lanes::fill(4.4f);
  const Vector t = Lanes::max(Lanes::min(x, end), Lanes::fill(0.0f) - end);
  return x * Lanes::fmadd(t, evaluate(kPhiInBf16, t * t), Lanes::fill(0.5f));
}

// x Phi(x), with Phi(-|x|) = e^(-x^2 / 2) times a polynomial of 1 / (1 + p |x|) (Abramowitz and Stegun 7.1.26).
// Error as a share of |x|: polynomial 7.1e-8, all 2.5e-7.
TARGET inline Vector gelu(Vector x) {
  constexpr float kTail[] = {0.530702715f, -0.726576014f, 0.710706871f, -0.142248368f, 0.127414796f};
  constexpr float kRootLog = 0.849321800288f;  // (log2(e) / 2)^(1/2)
  const Vector negative = Lanes::min(x, Lanes::fill(0.0f) - x), scaled = negative * Lanes::fill(kRootLog);
  const Vector t = Lanes::fill(1.0f) / Lanes::fmadd(negative, Lanes::fill(-0.231641888f), Lanes::fill(1.0f));
  const Vector tail = t * evaluate(kTail, t) * power_of_two(Lanes::fill(0.0f) - scaled * scaled);
  // x Phi(x) is x - x Phi(-x) where x is positive.
  return Lanes::fmadd(negative, tail, Lanes::max(Lanes::fill(0.0f), x));
}

}  // namespace
}  // namespace kernels
