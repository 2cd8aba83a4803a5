// Words, and the little that the sources need of a runtime: the same files are compiled for hosts and, without any library, for WebAssembly.
#pragma once
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "files and the interface have the lowest byte first, and are read as words"
#endif
#ifndef BITCLOAK_BACKEND
#error "each backend is compiled by itself, in a namespace of its own: an inline function built for AVX2 must not serve the portable code"
#endif

extern "C" {
void* bitcloakAllocate(size_t bytes);
void bitcloakRelease(void* memory);
}

namespace bitcloak::BITCLOAK_BACKEND {

using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;
using u8 = uint8_t;
using u32 = uint32_t;
using u64 = uint64_t;

#define BITCLOAK_INLINE inline __attribute__((always_inline))
#define BITCLOAK_APART __attribute__((noinline))
#define BITCLOAK_LAMBDA __attribute__((always_inline))

/** Where an object is built; <new> is not there without a library. */
struct Place {
  void* memory;
};

/** Memory for `size` values of a plain type, not initialised, aligned for vectors. */
template <class T>
class Array {
 public:
  Array() = default;
  explicit Array(size_t size) : values(static_cast<T*>(bitcloakAllocate(bytesFor(size)))), count(size) {}
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&& other) noexcept : values(other.values), count(other.count) {
    other.values = nullptr;
    other.count = 0;
  }
  Array& operator=(Array&& other) noexcept {
    if (this != &other) {
      release();
      values = other.values;
      count = other.count;
      other.values = nullptr;
      other.count = 0;
    }
    return *this;
  }
  ~Array() { release(); }

  T* data() { return values; }
  const T* data() const { return values; }
  size_t size() const { return count; }
  T* begin() { return values; }
  T* end() { return values + count; }
  const T* begin() const { return values; }
  const T* end() const { return values + count; }
  T& operator[](size_t index) { return values[index]; }
  const T& operator[](size_t index) const { return values[index]; }
  void fill(const T& value) {
    for (size_t index = 0; index < count; index++) values[index] = value;
  }

 private:
  T* values = nullptr;
  size_t count = 0;

  /** Cleared, since nearly all of a proof's memory tells of its witness. */
  void release() {
    if (values == nullptr) return;
    __builtin_memset(static_cast<void*>(values), 0, count * sizeof(T));
    bitcloakRelease(values);
  }

  static size_t bytesFor(size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(size == 0 ? 1 : size, sizeof(T), &bytes)) __builtin_trap();
    return bytes;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND

inline void* operator new(size_t, bitcloak::BITCLOAK_BACKEND::Place place) noexcept { return place.memory; }
inline void operator delete(void*, bitcloak::BITCLOAK_BACKEND::Place) noexcept {}

namespace bitcloak::BITCLOAK_BACKEND {

template <class T, class... Parts>
T* create(Parts&&... parts) {
  return new (Place{bitcloakAllocate(sizeof(T))}) T(static_cast<Parts&&>(parts)...);
}

template <class T>
void destroy(T* object) {
  object->~T();
  __builtin_memset(static_cast<void*>(object), 0, sizeof(T));
  bitcloakRelease(object);
}

BITCLOAK_INLINE u64 loadWord(const u8* bytes) {
  u64 word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return word;
}

BITCLOAK_INLINE u32 loadHalfWord(const u8* bytes) {
  u32 word;
  __builtin_memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace bitcloak::BITCLOAK_BACKEND
