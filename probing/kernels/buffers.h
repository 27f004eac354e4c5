// Memory of the kernels.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

namespace kernels {

using bf16 = std::uint16_t;

// Zeros in a file that is mapped into memory, where buffers too large for memory have their place.
class Room {
 public:
  Room() = default;
  Room(void* begin, std::size_t bytes) : next_(static_cast<char*>(begin)), left_(bytes) {}
  bool given() const { return next_ != nullptr; }
  // The next so many bytes, on a cache line's border.
  void* take(std::size_t bytes) {
    const std::size_t skipped = -reinterpret_cast<std::uintptr_t>(next_) % 64;
    if (skipped + bytes > left_)
      throw std::invalid_argument("a room with " + std::to_string(left_) + " bytes left, expected " +
                                  std::to_string(skipped + bytes));
    void* taken = next_ + skipped;
    next_ += skipped + bytes;
    left_ -= skipped + bytes;
    return taken;
  }

 private:
  char* next_ = nullptr;
  std::size_t left_ = 0;
};

// Zeros, on a cache line's border; in memory, or in a room whose pages are given back once they were read.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t count) : Buffer(count, none()) {}
  Buffer(std::size_t count, Room& room) : mapped_(room.given()) {
    const std::size_t bytes = (count * sizeof(T) + 63) / 64 * 64;
    data_ = static_cast<T*>(mapped_ ? room.take(bytes) : std::aligned_alloc(64, bytes ? bytes : 64));
    if (!data_) throw std::bad_alloc();
    // To write to a room would bring all of it into memory.
    if (!mapped_) std::memset(static_cast<void*>(data_), 0, bytes);
  }
  ~Buffer() {
    if (!mapped_) std::free(data_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() const { return data_; }

  // Called once everything before `end` was read, `from` being what the last call gave: gives back the pages of it, many
  // at a time, or whatever there is at the `last` call.
  std::ptrdiff_t give_back(std::ptrdiff_t from, std::ptrdiff_t end, bool last) const {
    if (!mapped_ || (!last && (end - from) * sizeof(T) < kHeldBytes)) return from;
    const std::uintptr_t page = sysconf(_SC_PAGESIZE);
    const auto begun = (reinterpret_cast<std::uintptr_t>(data_ + from) + page - 1) / page * page;
    const auto ended = reinterpret_cast<std::uintptr_t>(data_ + end) / page * page;
    if (begun < ended) madvise(reinterpret_cast<void*>(begun), ended - begun, MADV_DONTNEED);
    return end;
  }

 private:
  static constexpr std::size_t kHeldBytes = 1 << 24;
  static Room& none() {
    static Room room;
    return room;
  }

  bool mapped_;
  T* data_;
};

}  // namespace kernels
