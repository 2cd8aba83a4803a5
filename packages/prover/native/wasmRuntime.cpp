// What a WebAssembly without a library needs: memory. First fit over a list of free blocks in the order of their addresses, which are joined where
// they touch.
#include <stddef.h>
#include <stdint.h>

extern "C" unsigned char __heap_base;

namespace {

constexpr size_t ALIGNMENT = 16;
constexpr size_t PAGE = 65536;

/** Before each piece of memory. `next` counts while the block is free. */
struct alignas(ALIGNMENT) Block {
  size_t size;
  Block* next;
};

Block* freeBlocks = nullptr;
uintptr_t end = 0;

size_t roundedUp(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

void insert(Block* block) {
  Block* before = nullptr;
  Block* after = freeBlocks;
  while (after != nullptr && after < block) {
    before = after;
    after = after->next;
  }
  const auto endOf = [](Block* of) { return reinterpret_cast<uintptr_t>(of) + of->size; };
  block->next = after;
  if (after != nullptr && endOf(block) == reinterpret_cast<uintptr_t>(after)) {
    block->size += after->size;
    block->next = after->next;
  }
  if (before == nullptr) {
    freeBlocks = block;
  } else if (endOf(before) == reinterpret_cast<uintptr_t>(block)) {
    before->size += block->size;
    before->next = block->next;
  } else {
    before->next = block;
  }
}

void grow(size_t size) {
  if (end == 0) end = roundedUp(reinterpret_cast<uintptr_t>(&__heap_base), ALIGNMENT);
  if (size > SIZE_MAX - end) __builtin_trap();
  const size_t have = __builtin_wasm_memory_size(0) * PAGE;
  if (end + size > have) {
    const size_t pages = (end + size - have + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == static_cast<size_t>(-1)) __builtin_trap();
  }
  Block* block = reinterpret_cast<Block*>(end);
  block->size = size;
  end += size;
  insert(block);
}

Block** findFree(size_t size) {
  Block** place = &freeBlocks;
  while (*place != nullptr && (*place)->size < size) place = &(*place)->next;
  return place;
}

}  // namespace

extern "C" void* bitcloakAllocate(size_t bytes) {
  if (bytes > SIZE_MAX / 2) __builtin_trap();
  const size_t size = roundedUp(bytes, ALIGNMENT) + sizeof(Block);
  Block** place = findFree(size);
  if (*place == nullptr) {
    grow(size);
    place = findFree(size);
  }
  Block* block = *place;
  if (block->size >= size + 2 * sizeof(Block)) {
    Block* rest = reinterpret_cast<Block*>(reinterpret_cast<uintptr_t>(block) + size);
    rest->size = block->size - size;
    rest->next = block->next;
    *place = rest;
    block->size = size;
  } else {
    *place = block->next;
  }
  return block + 1;
}

extern "C" void bitcloakRelease(void* memory) {
  if (memory != nullptr) insert(static_cast<Block*>(memory) - 1);
}

// The compiler calls these where it does not put WebAssembly's own instructions. A volatile byte keeps it from calling them from themselves.
extern "C" void* memcpy(void* target, const void* source, size_t size) {
  volatile unsigned char* to = static_cast<unsigned char*>(target);
  const unsigned char* from = static_cast<const unsigned char*>(source);
  for (size_t i = 0; i < size; i++) to[i] = from[i];
  return target;
}

extern "C" void* memset(void* target, int value, size_t size) {
  volatile unsigned char* to = static_cast<unsigned char*>(target);
  for (size_t i = 0; i < size; i++) to[i] = static_cast<unsigned char>(value);
  return target;
}

extern "C" int memcmp(const void* left, const void* right, size_t size) {
  const unsigned char *a = static_cast<const unsigned char*>(left), *b = static_cast<const unsigned char*>(right);
  for (size_t i = 0; i < size; i++) {
    if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return 0;
}
