// The same work on several threads, this one among them.
#pragma once

#include <thread>
#include <vector>

namespace kernels {

template <class Work>
void run_on_threads(int threads, const Work& work) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back([&work] { work(); });
  work();
  for (auto& other : others) other.join();
}

}  // namespace kernels
