// What a backend offers to the programs that contain it: the addon of Node and the WebAssembly. Not in a namespace of one backend, since it is the
// same for all.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace bitcloak {

enum Status : int32_t {
  SUCCESS = 0,
  /** The file is no Groth16 key over BN254 in the version that is read here. */
  KEY_KIND = 1,
  /** The file, or a section of it, has another length than it says. */
  KEY_SIZE = 2,
  /** A number in the key is out of its range. */
  KEY_RANGE = 3,
  /** A point of the key is not on its curve, or infinity where it must not be. */
  KEY_POINT = 4,
  WITNESS_SIZE = 5,
  /** A value of the witness is no field element, or its first one is not 1. */
  WITNESS_RANGE = 6,
  /** A blinding factor is not below the group's order. */
  BLINDING_RANGE = 7,
  /** The file is no program for a witness in the version that is read here. */
  PROGRAM_KIND = 8,
  /** The program has another length than it says. */
  PROGRAM_SIZE = 9,
  /** A step needs a value that was not made before, or makes one again; or a number is out of its range. */
  PROGRAM_RANGE = 10,
  /** There is no witness for these inputs. */
  STATEMENT_FALSE = 11,
};

/** A proof: a.x, a.y, b.x.c0, b.x.c1, b.y.c0, b.y.c1, c.x, c.y as plain numbers of 32 bytes, the lowest first. */
constexpr size_t PROOF_BYTES = 256;
/** r and s, 32 bytes each, the lowest first. */
constexpr size_t BLINDING_BYTES = 64;

/**
 * A proof is made of pieces of work: `computeQuotient` once, and `computeSum` for every task, in any order or at the same time in several threads; but
 * the tasks from `witnessTasks` on only after the quotient. Then `finish`.
 */
struct Backend {
  const char* name;
  /** Copies what it needs of the file. The key is set, and to be released, where it is not null: also after an error. */
  Status (*loadKey)(const uint8_t* file, size_t size, void** key);
  void (*releaseKey)(void* key);
  /** `witness`: elements of 32 bytes, plain numbers, the lowest byte first. It is copied. */
  Status (*beginProof)(void* key, const uint8_t* witness, size_t size, void** proof);
  uint32_t (*tasks)(const void* proof);
  uint32_t (*witnessTasks)(const void* proof);
  void (*computeQuotient)(void* proof);
  void (*computeSum)(void* proof, uint32_t task);
  Status (*finish)(const void* proof, const uint8_t* blinding, uint8_t* result);
  void (*releaseProof)(void* proof);
  /** For tests: applies an operation to `count` pairs of operands; false where there is no such operation. See operations.h. */
  bool (*apply)(uint32_t operation, const uint8_t* left, const uint8_t* right, uint8_t* result, size_t count);
};

/** A program for witnesses: see witness.h. One for all backends. It is null after an error. */
Status loadProgram(const uint8_t* file, size_t size, void** program);
void releaseProgram(void* program);
/** How many values a program takes, and how many the witness has. */
size_t programInputs(const void* program);
size_t programWires(const void* program);
/** `inputs` and `witness`: elements of 32 bytes, plain numbers, the lowest byte first. After an error nothing is written. */
Status computeWitness(const void* program, const uint8_t* inputs, uint8_t* witness);

/** Verifies a proof of `finish`: see verify.h. One for all backends. */
bool verify(const uint8_t* key, const uint8_t* proof, const uint8_t* signals, size_t signalCount);

/** Poseidon of one number of inputs: see poseidon.h. One for all backends. `numbers` has 32 bytes for each of `poseidonNumbers`. */
size_t poseidonNumbers(uint32_t width, uint32_t partialRounds);
void* makePoseidon(uint32_t width, uint32_t partialRounds, const uint8_t* numbers);
void releasePoseidon(void* poseidon);
/** `state`: 32 bytes for each of `width` numbers below P, of which the first becomes the hash. */
void hashPoseidon(const void* poseidon, uint8_t* state);
constexpr uint32_t POSEIDON_WIDTH_MAX = 17;
constexpr uint32_t POSEIDON_ROUNDS_MAX = 100;

}  // namespace bitcloak
