// Proves on a machine without a system, for test/soak/proverMachine.test.ts: an emulated processor may have what this one has not. Says at port 0xe9
// which backends there are, and the bytes of a proof by the first of them.
#include <stddef.h>
#include <stdint.h>
#include "../../../packages/prover/native/backends.h"

namespace {

/** What the disk holds from its second megabyte on. */
struct Request {
  /** Registers that a system would keep. */
  uint64_t xcr0;
  uint64_t keySize, witnessSize;
  uint8_t blinding[bitcloak::BLINDING_BYTES];
  /** The key and the witness. */
  uint8_t bytes[];
};
const Request& request = *reinterpret_cast<const Request*>(0x200000);

void put(uint16_t port, char byte) { asm volatile("outb %0, %1" : : "a"(byte), "d"(port)); }
void say(const char* text) {
  for (; *text != 0; text++) put(0xe9, *text);
}

/** The emulator's port by which it is ended. */
[[noreturn]] void end() {
  for (const char byte : "Shutdown") {
    if (byte != 0) put(0x8900, byte);
  }
  for (;;) asm volatile("hlt");
}

constexpr uintptr_t HEAP_START = 0x8000000, HEAP_END = 0x3f000000;
constexpr int SIZES = 48;
/** Memory that was given back, by the logarithm of its size. */
void* freeOf[SIZES];
uintptr_t unused = HEAP_START;

}  // namespace

extern "C" {

void* memcpy(void* target, const void* source, size_t size) {
  void* result = target;
  asm volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
  return result;
}
void* memset(void* target, int value, size_t size) {
  void* result = target;
  asm volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(value) : "memory");
  return result;
}
int memcmp(const void* left, const void* right, size_t size) {
  const uint8_t *a = static_cast<const uint8_t*>(left), *b = static_cast<const uint8_t*>(right);
  for (size_t i = 0; i < size; i++) {
    if (a[i] != b[i]) return a[i] - b[i];
  }
  return 0;
}
[[noreturn]] void abort() { end(); }

// One thread initialises what is static.
int __cxa_guard_acquire(const uint8_t* guard) { return *guard == 0; }
void __cxa_guard_release(uint8_t* guard) { *guard = 1; }

/** Of the compiler's library: asks the processor what it has. */
int __cpu_indicator_init();

constexpr size_t HEADER = 64;

void* bitcloakAllocate(size_t bytes) {
  int size = 6;
  while ((size_t{1} << size) < bytes + HEADER) size++;
  uint8_t* memory = static_cast<uint8_t*>(freeOf[size]);
  if (memory != nullptr) {
    freeOf[size] = *reinterpret_cast<void**>(memory + HEADER);
  } else {
    memory = reinterpret_cast<uint8_t*>(unused);
    unused += size_t{1} << size;
    if (unused > HEAP_END) end();
  }
  *reinterpret_cast<int*>(memory) = size;
  return memory + HEADER;
}
void bitcloakRelease(void* memory) {
  if (memory == nullptr) return;
  uint8_t* whole = static_cast<uint8_t*>(memory) - HEADER;
  void*& head = freeOf[*reinterpret_cast<int*>(whole)];
  *static_cast<void**>(memory) = head;
  head = whole;
}

__attribute__((section(".kernel"), force_align_arg_pointer)) void kernel() {
  using namespace bitcloak;
  asm volatile("xsetbv" : : "a"(static_cast<uint32_t>(request.xcr0)), "d"(0), "c"(0));
  __cpu_indicator_init();
  say("backends:");
  for (const Backend* const* backend = backends().available; *backend != nullptr; backend++) {
    say(" ");
    say((*backend)->name);
  }
  say(backends().refused == nullptr ? "\n" : ", and one that is refused\n");
  if (request.keySize == 0) end();
  const Backend& backend = *backends().available[0];
  void *key = nullptr, *proof = nullptr;
  uint8_t result[PROOF_BYTES];
  if (backend.loadKey(request.bytes, request.keySize, &key) != SUCCESS) end();
  if (backend.beginProof(key, request.bytes + request.keySize, request.witnessSize, &proof) != SUCCESS) end();
  backend.computeQuotient(proof);
  for (uint32_t task = 0; task < backend.tasks(proof); task++) backend.computeSum(proof, task);
  if (backend.finish(proof, request.blinding, result) != SUCCESS) end();
  say("proof: ");
  for (const uint8_t byte : result) {
    put(0xe9, "0123456789abcdef"[byte >> 4]);
    put(0xe9, "0123456789abcdef"[byte & 15]);
  }
  say("\n");
  end();
}

}  // extern "C"
