// Reads damaged keys, witnesses and programs, with all checks that the compiler can put in: prover FILE WITNESS PROGRAM INPUTS ROUNDS. Computes with what was let in.
// Hashes with random tables in both arithmetics.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#define BITCLOAK_BACKEND fuzz
#include "../../packages/prover/native/interface.h"
#include "../../packages/prover/native/poseidon.h"

constexpr size_t ALIGNMENT = 64;

// Before each piece of memory its size, to see whether it was cleared when it is given back: a witness is a secret.
extern "C" void* bitcloakAllocate(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, ALIGNMENT, ALIGNMENT + bytes) != 0) abort();
  std::memcpy(memory, &bytes, sizeof bytes);
  return static_cast<uint8_t*>(memory) + ALIGNMENT;
}
extern "C" void bitcloakRelease(void* memory) {
  if (memory == nullptr) return;
  const uint8_t* bytes = static_cast<const uint8_t*>(memory);
  size_t size = 0;
  std::memcpy(&size, bytes - ALIGNMENT, sizeof size);
  for (size_t at = 0; at < size; at++) {
    if (bytes[at] != 0) std::printf("memory was given back that had not been cleared\n"), std::exit(1);
  }
  free(static_cast<uint8_t*>(memory) - ALIGNMENT);
}

namespace bitcloak {
extern const Backend PORTABLE_BACKEND;
#ifdef HAS_IFMA
extern const Backend IFMA_BACKEND;
#endif
#ifdef HAS_AVX2
extern const Backend AVX2_BACKEND;
#endif
}  // namespace bitcloak

using namespace bitcloak;
using Bytes = std::vector<uint8_t>;

static Bytes readFile(const char* name) {
  Bytes bytes;
  FILE* file = std::fopen(name, "rb");
  if (file == nullptr) std::exit(2);
  uint8_t buffer[65536];
  for (size_t size = std::fread(buffer, 1, sizeof buffer, file); size > 0; size = std::fread(buffer, 1, sizeof buffer, file)) {
    bytes.insert(bytes.end(), buffer, buffer + size);
  }
  std::fclose(file);
  return bytes;
}

/** In memory of just its size, so that a byte too many is found out. */
static Status prove(const Backend& backend, const Bytes& key, const Bytes& witness, bool withProof) {
  uint8_t* keyCopy = static_cast<uint8_t*>(std::malloc(key.size() + 1));
  std::memcpy(keyCopy + 1, key.data(), key.size());
  void *loaded = nullptr, *proof = nullptr;
  Status status = backend.loadKey(keyCopy + 1, key.size(), &loaded);
  std::free(keyCopy);
  if (status == SUCCESS) {
    status = backend.beginProof(loaded, witness.data(), witness.size(), &proof);
    if (status == SUCCESS && withProof) {
      uint8_t blinding[BLINDING_BYTES] = {3}, result[PROOF_BYTES];
      backend.computeQuotient(proof);
      for (uint32_t task = 0; task < backend.tasks(proof); task++) backend.computeSum(proof, task);
      status = backend.finish(proof, blinding, result);
      uint8_t verifyingKey[32 * (14 + 2 * 2)] = {1};
      verify(verifyingKey, result, witness.data(), 1);
    }
    if (proof != nullptr) backend.releaseProof(proof);
  }
  if (loaded != nullptr) backend.releaseKey(loaded);
  return status;
}

/** The program's witness is to be `witness`, where that is given. */
static Status runProgram(const Bytes& program, const Bytes& inputs, const Bytes* witness) {
  uint8_t* copy = static_cast<uint8_t*>(std::malloc(program.size() + 1));
  std::memcpy(copy + 1, program.data(), program.size());
  void* loaded = nullptr;
  Status status = loadProgram(copy + 1, program.size(), &loaded);
  std::free(copy);
  if (status != SUCCESS) return status;
  Bytes given = inputs, made(programWires(loaded) * 32);
  given.resize(programInputs(loaded) * 32);
  given.shrink_to_fit();
  status = computeWitness(loaded, given.data(), made.data());
  releaseProgram(loaded);
  if (witness != nullptr && made != *witness) std::exit(1);
  return status;
}

static uint64_t state = 88172645463325252ull;
static uint64_t draw() {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

/** Numbers below P, many of them near its ends. */
static Bytes drawNumbers(size_t count) {
  Bytes numbers(32 * count);
  for (size_t i = 0; i < count; i++) {
    uint64_t words[4] = {draw(), draw(), draw(), draw() >> 4};
    if (draw() % 4 == 0) std::memset(words, 0, sizeof words), words[0] = draw() % 2;
    if (draw() % 4 == 0) std::memcpy(words, fuzz::ScalarModulus::P.w, sizeof words), words[0] -= 1 + draw() % 2;
    std::memcpy(&numbers[32 * i], words, sizeof words);
  }
  return numbers;
}

/** Tables and states in memory of just their size. */
static void compareHashes() {
  using LimbPoseidon = fuzz::Poseidon<fuzz::LimbArithmetic>;
  for (uint32_t width = 2; width <= LimbPoseidon::WIDTH_MAX; width++) {
    const uint32_t rounds = width == 9 ? LimbPoseidon::PARTIAL_ROUNDS_MAX : 1 + static_cast<uint32_t>(draw() % 60);
    const Bytes numbers = drawNumbers(poseidonNumbers(width, rounds));
    void* words = makePoseidon(width, rounds, numbers.data());
    LimbPoseidon* limbs = new LimbPoseidon(width, rounds, numbers.data());
    Bytes left = drawNumbers(width), right = left;
    hashPoseidon(words, left.data());
    limbs->hash(right.data());
    if (left != right) std::printf("two hashes differ\n"), std::exit(1);
    releasePoseidon(words);
    delete limbs;
  }
}

int main(int argumentCount, char** arguments) {
  if (argumentCount != 6) return 2;
  const Bytes key = readFile(arguments[1]), witness = readFile(arguments[2]);
  const Bytes program = readFile(arguments[3]), inputs = readFile(arguments[4]);
  std::vector<const Backend*> backends = {&PORTABLE_BACKEND};
#ifdef HAS_IFMA
  backends.push_back(&IFMA_BACKEND);
#endif
#ifdef HAS_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) backends.push_back(&AVX2_BACKEND);
#endif
  for (const Backend* backend : backends) {
    if (prove(*backend, key, witness, true) != SUCCESS) return 1;
  }
  if (runProgram(program, inputs, &witness) != SUCCESS) return 1;
  compareHashes();
  int counts[12] = {};
  // The starts of sections, of which lengths and counts are the nearest.
  std::vector<size_t> places = {0, 4, 8};
  for (size_t at = 12; at + 12 <= key.size();) {
    uint64_t size;
    std::memcpy(&size, &key[at + 4], 8);
    for (size_t offset : {size_t{0}, size_t{4}, size_t{12}, size_t{84}}) places.push_back(at + offset);
    at += 12 + size;
  }
  for (int round = std::atoi(arguments[5]); round > 0; round--) {
    Bytes other = key, otherWitness = witness;
    if (draw() % 8 == 0) other.resize(draw() % key.size());
    if (draw() % 16 == 0) otherWitness.resize(draw() % witness.size());
    for (uint64_t change = draw() % 3; change > 0 && !other.empty(); change--) {
      size_t place = draw() % 4 != 0 ? places[draw() % places.size()] + draw() % 16 : draw() % other.size();
      const uint8_t values[6] = {0, 1, 0x7f, 0x80, 0xff, static_cast<uint8_t>(draw())};
      if (place < other.size()) other[place] = values[draw() % 6];
    }
    if (draw() % 4 == 0 && !otherWitness.empty()) otherWitness[draw() % otherWitness.size()] = static_cast<uint8_t>(draw());
    counts[prove(*backends[draw() % backends.size()], other, otherWitness, draw() % 8 == 0)]++;
    // Counts and steps are where the most can go wrong: at the start, and in the second half.
    Bytes otherProgram = program;
    if (draw() % 8 == 0) otherProgram.resize(draw() % program.size());
    for (uint64_t change = draw() % 3; change > 0 && !otherProgram.empty(); change--) {
      const size_t size = otherProgram.size();
      otherProgram[draw() % 2 == 0 ? draw() % (size < 24 ? size : 24) : size - 1 - draw() % (size / 2 + 1)] ^= static_cast<uint8_t>(1u << draw() % 8);
    }
    counts[runProgram(otherProgram, inputs, nullptr)]++;
  }
  for (int count : counts) std::printf("%d ", count);
  std::printf("\n");
}
