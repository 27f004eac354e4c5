// Which engines this processor can run.
#include "engines.h"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace kernels {

#if defined(__x86_64__)
namespace {

bool has_bf16() {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 5);
}

#if defined(__linux__)
// Linux lends the tiles to a process that asks for them.
bool ask_for_tiles() {
  constexpr unsigned kAmx = 1u << 22 | 1u << 24;
  constexpr long kRequest = 0x1023, kTiles = 18;
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kAmx) == kAmx &&
         syscall(SYS_arch_prctl, kRequest, kTiles) == 0;
}
#endif

}  // namespace
#endif

std::vector<const Engine*> find_engines() {
  std::vector<const Engine*> engines;
#if defined(__x86_64__)
  const bool vectors = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#if defined(__linux__)
  if (vectors && has_bf16() && ask_for_tiles()) engines.push_back(&kAmx);
#endif
  if (vectors && has_bf16()) engines.push_back(&kAvx512Bf16);
  if (vectors) engines.push_back(&kAvx512);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) engines.push_back(&kAvx2);
#elif defined(__aarch64__)
  engines.push_back(&kNeon);
#endif
  engines.push_back(&kScalarBf16);
  engines.push_back(&kScalar);
  return engines;
}

}  // namespace kernels
