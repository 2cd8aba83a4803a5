// The addon of Node: keys and proofs as promises, computed beside the event loop. Only Node-API is used, so that one file serves every Node.
#include <node_api.h>
#include <pthread.h>
#include <unistd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <atomic>

#include "backends.h"

extern "C" void* bitcloakAllocate(size_t bytes) {
  void* memory = nullptr;
  // Without memory there is nothing to go on with, as for Node itself.
  if (posix_memalign(&memory, 64, bytes) != 0) abort();
  return memory;
}
extern "C" void bitcloakRelease(void* memory) { free(memory); }

namespace bitcloak {

namespace {

constexpr uint32_t THREADS_MAX = 256;
constexpr size_t WORD_BYTES = 32;

struct LoadedKey {
  const Backend* backend;
  void* key;
};

/** One proof, shared by its threads. */
struct Proving {
  const LoadedKey* loaded;
  void* proof = nullptr;
  std::atomic<uint32_t> nextTask{0};
  std::atomic<bool> isQuotientTaken{false};
  bool isQuotientDone = false;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t quotientDone = PTHREAD_COND_INITIALIZER;
};

void* proveInThread(void* data) {
  Proving& proving = *static_cast<Proving*>(data);
  const Backend& backend = *proving.loaded->backend;
  if (!proving.isQuotientTaken.exchange(true)) {
    backend.computeQuotient(proving.proof);
    pthread_mutex_lock(&proving.mutex);
    proving.isQuotientDone = true;
    pthread_cond_broadcast(&proving.quotientDone);
    pthread_mutex_unlock(&proving.mutex);
  }
  const uint32_t witnessTasks = backend.witnessTasks(proving.proof), tasks = backend.tasks(proving.proof);
  for (uint32_t task = proving.nextTask++; task < tasks; task = proving.nextTask++) {
    if (task >= witnessTasks) {
      pthread_mutex_lock(&proving.mutex);
      while (!proving.isQuotientDone) pthread_cond_wait(&proving.quotientDone, &proving.mutex);
      pthread_mutex_unlock(&proving.mutex);
    }
    backend.computeSum(proving.proof, task);
  }
  return nullptr;
}

/** Where a thread cannot be had the others do its work. */
void runThreads(Proving& proving, uint32_t threads) {
  pthread_t others[THREADS_MAX];
  uint32_t started = 0;
  while (started + 1 < threads && pthread_create(&others[started], nullptr, proveInThread, &proving) == 0) started++;
  proveInThread(&proving);
  for (uint32_t i = 0; i < started; i++) pthread_join(others[i], nullptr);
}

/** Not left out by a compiler that sees that nobody reads it again. */
void clear(uint8_t* bytes, size_t size) {
  volatile uint8_t* place = bytes;
  for (size_t i = 0; i < size; i++) place[i] = 0;
}

/** Uniform below the group's order: 254 random bits, again where they are not below it. */
bool drawBlinding(const Backend& backend, const void* proof, uint8_t* result, Status& status) {
  uint8_t blinding[BLINDING_BYTES];
  do {
    if (getentropy(blinding, sizeof blinding) != 0) return false;
    blinding[WORD_BYTES - 1] &= 0x3f;
    blinding[2 * WORD_BYTES - 1] &= 0x3f;
    status = backend.finish(proof, blinding, result);
  } while (status == BLINDING_RANGE);
  // Who knows them can test guesses of the witness against the proof.
  clear(blinding, sizeof blinding);
  return true;
}

/** What is done beside the event loop, and its promise. */
struct Work {
  napi_async_work work = nullptr;
  napi_deferred deferred = nullptr;
  /** Keeps the key alive. */
  napi_ref keyReference = nullptr;
  LoadedKey* loaded = nullptr;
  uint8_t* input = nullptr;
  size_t inputSize = 0;
  bool isProof = false, hasBlinding = false, isRandomnessMissing = false;
  uint8_t blinding[BLINDING_BYTES] = {};
  uint8_t result[PROOF_BYTES] = {};
  uint32_t threads = 1;
  Status status = SUCCESS;
};

void execute(napi_env, void* data) {
  Work& work = *static_cast<Work*>(data);
  const Backend& backend = *work.loaded->backend;
  if (!work.isProof) {
    work.status = backend.loadKey(work.input, work.inputSize, &work.loaded->key);
    return;
  }
  Proving proving;
  proving.loaded = work.loaded;
  work.status = backend.beginProof(work.loaded->key, work.input, work.inputSize, &proving.proof);
  if (work.status != SUCCESS) return;
  runThreads(proving, work.threads);
  if (work.hasBlinding) {
    work.status = backend.finish(proving.proof, work.blinding, work.result);
  } else {
    work.isRandomnessMissing = !drawBlinding(backend, proving.proof, work.result, work.status);
  }
  backend.releaseProof(proving.proof);
}

void releaseLoaded(napi_env, void* data, void*) {
  LoadedKey* loaded = static_cast<LoadedKey*>(data);
  if (loaded->key != nullptr) loaded->backend->releaseKey(loaded->key);
  delete loaded;
}

napi_value errorOf(napi_env env, const char* code, const char* message) {
  napi_value codeValue, messageValue, error;
  napi_create_string_utf8(env, code, NAPI_AUTO_LENGTH, &codeValue);
  napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &messageValue);
  napi_create_error(env, codeValue, messageValue, &error);
  return error;
}

napi_value errorOf(napi_env env, Status status) {
  napi_value error = errorOf(env, "BITCLOAK_STATUS", "the native prover refused"), number;
  napi_create_int32(env, status, &number);
  napi_set_named_property(env, error, "status", number);
  return error;
}

void complete(napi_env env, napi_status ending, void* data) {
  Work* work = static_cast<Work*>(data);
  napi_value value = nullptr;
  bool isFailed = true;
  if (ending != napi_ok) {
    value = errorOf(env, "BITCLOAK_CANCELLED", "the work was cancelled");
  } else if (work->isRandomnessMissing) {
    value = errorOf(env, "BITCLOAK_RANDOMNESS", "the system gives no random bytes");
  } else if (work->status != SUCCESS) {
    value = errorOf(env, work->status);
  } else if (work->isProof) {
    void* bytes = nullptr;
    isFailed = napi_create_buffer_copy(env, PROOF_BYTES, work->result, &bytes, &value) != napi_ok;
  } else {
    isFailed = napi_create_external(env, work->loaded, releaseLoaded, nullptr, &value) != napi_ok;
  }
  if (!work->isProof && isFailed) releaseLoaded(env, work->loaded, nullptr);
  if (isFailed) {
    napi_reject_deferred(env, work->deferred, value);
  } else {
    napi_resolve_deferred(env, work->deferred, value);
  }
  if (work->keyReference != nullptr) napi_delete_reference(env, work->keyReference);
  napi_delete_async_work(env, work->work);
  // A witness is a secret.
  if (work->input != nullptr) {
    if (work->isProof) clear(work->input, work->inputSize);
    free(work->input);
  }
  clear(work->blinding, sizeof work->blinding);
  delete work;
}

napi_value refuse(napi_env env, const char* message) {
  napi_throw_type_error(env, "BITCLOAK_ARGUMENT", message);
  return nullptr;
}

/** A copy of a Uint8Array's bytes; null where the value is none. */
uint8_t* copyBytes(napi_env env, napi_value value, size_t& size) {
  bool isTyped = false;
  napi_typedarray_type type;
  void* bytes = nullptr;
  if (napi_is_typedarray(env, value, &isTyped) != napi_ok || !isTyped) return nullptr;
  if (napi_get_typedarray_info(env, value, &type, &size, &bytes, nullptr, nullptr) != napi_ok) return nullptr;
  if (type != napi_uint8_array) return nullptr;
  uint8_t* copy = static_cast<uint8_t*>(malloc(size == 0 ? 1 : size));
  if (copy != nullptr && size > 0) memcpy(copy, bytes, size);
  return copy;
}

const Backend* findBackend(napi_env env, napi_value value) {
  char name[16] = {};
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, name, sizeof name, &length) != napi_ok) return nullptr;
  for (const Backend* const* backend = backends().available; *backend != nullptr; backend++) {
    if (strcmp((*backend)->name, name) == 0) return *backend;
  }
  return nullptr;
}

napi_value start(napi_env env, Work* work, const char* name) {
  napi_value promise = nullptr, nameValue = nullptr;
  napi_create_promise(env, &work->deferred, &promise);
  napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &nameValue);
  napi_create_async_work(env, nullptr, nameValue, execute, complete, work, &work->work);
  napi_queue_async_work(env, work->work);
  return promise;
}

/** loadKey(backend, file): a promise of the key. */
napi_value loadKey(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const Backend* backend = count == 2 ? findBackend(env, arguments[0]) : nullptr;
  if (backend == nullptr) return refuse(env, "loadKey(backend, file): there is no such backend here");
  Work* work = new Work;
  work->input = copyBytes(env, arguments[1], work->inputSize);
  if (work->input == nullptr) {
    delete work;
    return refuse(env, "loadKey(backend, file): the file must be a Uint8Array");
  }
  work->loaded = new LoadedKey{backend, nullptr};
  return start(env, work, "bitcloak:loadKey");
}

/** prove(key, witness, threads, blinding): a promise of a proof's bytes; r and s are drawn where `blinding` is not given. */
napi_value prove(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value arguments[4];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  void* loaded = nullptr;
  uint32_t threads = 0;
  if (count < 3 || napi_get_value_external(env, arguments[0], &loaded) != napi_ok) {
    return refuse(env, "prove(key, witness, threads, blinding): the key must come from loadKey");
  }
  if (napi_get_value_uint32(env, arguments[2], &threads) != napi_ok || threads < 1 || threads > THREADS_MAX) {
    return refuse(env, "prove(key, witness, threads, blinding): expected 1 to 256 threads");
  }
  Work* work = new Work;
  work->isProof = true;
  work->loaded = static_cast<LoadedKey*>(loaded);
  work->threads = threads;
  work->input = copyBytes(env, arguments[1], work->inputSize);
  size_t blindingSize = 0;
  napi_valuetype type = napi_undefined;
  if (count > 3) napi_typeof(env, arguments[3], &type);
  uint8_t* blinding = type == napi_undefined ? nullptr : copyBytes(env, arguments[3], blindingSize);
  work->hasBlinding = blinding != nullptr && blindingSize == BLINDING_BYTES;
  if (work->hasBlinding) memcpy(work->blinding, blinding, BLINDING_BYTES);
  free(blinding);
  if (work->input == nullptr || (type != napi_undefined && !work->hasBlinding)) {
    free(work->input);
    delete work;
    return refuse(env, "prove(key, witness, threads, blinding): expected Uint8Arrays, and 64 bytes of blinding or none");
  }
  napi_create_reference(env, arguments[0], 1, &work->keyReference);
  return start(env, work, "bitcloak:prove");
}

/** apply(backend, operation, left, right, count, resultSize): for tests, see operations.h; at once. */
napi_value apply(napi_env env, napi_callback_info info) {
  size_t count = 6;
  napi_value arguments[6];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const Backend* backend = count == 6 ? findBackend(env, arguments[0]) : nullptr;
  uint32_t operation = 0, elements = 0, resultSize = 0;
  if (backend == nullptr || napi_get_value_uint32(env, arguments[1], &operation) != napi_ok ||
      napi_get_value_uint32(env, arguments[4], &elements) != napi_ok ||
      napi_get_value_uint32(env, arguments[5], &resultSize) != napi_ok) {
    return refuse(env, "apply(backend, operation, left, right, count, resultSize)");
  }
  size_t leftSize = 0, rightSize = 0;
  uint8_t* left = copyBytes(env, arguments[2], leftSize);
  uint8_t* right = copyBytes(env, arguments[3], rightSize);
  napi_value result = nullptr;
  void* bytes = nullptr;
  napi_create_buffer(env, resultSize, &bytes, &result);
  // Of each operand: an element, or a point with the element that it is multiplied by.
  const bool isSum = operation == 64 || operation == 65, isOfExtension = operation / 16 == 2;
  const size_t leftUnit = isSum ? (operation == 64 ? 2 : 4) * WORD_BYTES : (isOfExtension ? 2 : 1) * WORD_BYTES;
  const size_t rightUnit = isSum ? WORD_BYTES : leftUnit;
  const bool fits = elements > 0 && leftSize == elements * leftUnit && rightSize == elements * rightUnit &&
                    resultSize == (isSum ? leftUnit : leftSize);
  const bool isKnown = left != nullptr && right != nullptr && fits &&
                       backend->apply(operation, left, right, static_cast<uint8_t*>(bytes), elements);
  free(left);
  free(right);
  return isKnown ? result : refuse(env, "apply: there is no such operation, or it takes other lengths");
}

/** verify(key, proof, signals): whether a proof verifies; at once. */
napi_value verifyProof(napi_env env, napi_callback_info info) {
  constexpr size_t KEY_POINTS = 2 + 3 * 4, POINT_WORDS = 2;
  size_t count = 3, sizes[3] = {};
  napi_value arguments[3];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  uint8_t* parts[3] = {};
  for (size_t i = 0; i < count && i < 3; i++) parts[i] = copyBytes(env, arguments[i], sizes[i]);
  const size_t signals = sizes[2] / WORD_BYTES;
  const bool isWhole = parts[0] != nullptr && parts[1] != nullptr && parts[2] != nullptr && sizes[1] == PROOF_BYTES &&
                       sizes[2] == signals * WORD_BYTES &&
                       sizes[0] == (KEY_POINTS + (signals + 1) * POINT_WORDS) * WORD_BYTES;
  const bool isValid = isWhole && verify(parts[0], parts[1], parts[2], signals);
  for (uint8_t* part : parts) free(part);
  if (!isWhole) return refuse(env, "verify(key, proof, signals): expected Uint8Arrays of matching lengths");
  napi_value result = nullptr;
  napi_get_boolean(env, isValid, &result);
  return result;
}

void releaseHash(napi_env, void* poseidon, void*) { releasePoseidon(poseidon); }

/** makePoseidon(width, partialRounds, numbers): a table for hashPoseidon. */
napi_value makePoseidonTable(napi_env env, napi_callback_info info) {
  size_t count = 3, size = 0;
  napi_value arguments[3];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  uint32_t width = 0, rounds = 0;
  if (count < 3 || napi_get_value_uint32(env, arguments[0], &width) != napi_ok ||
      napi_get_value_uint32(env, arguments[1], &rounds) != napi_ok || width < 2 || width > POSEIDON_WIDTH_MAX ||
      rounds < 1 || rounds > POSEIDON_ROUNDS_MAX) {
    return refuse(env, "makePoseidon(width, partialRounds, numbers): expected a width of 2 to 17 and 1 to 100 rounds");
  }
  uint8_t* numbers = copyBytes(env, arguments[2], size);
  if (numbers == nullptr || size != poseidonNumbers(width, rounds) * WORD_BYTES) {
    free(numbers);
    return refuse(env, "makePoseidon(width, partialRounds, numbers): expected a Uint8Array with all numbers");
  }
  void* poseidon = makePoseidon(width, rounds, numbers);
  free(numbers);
  napi_value result = nullptr;
  if (napi_create_external(env, poseidon, releaseHash, nullptr, &result) != napi_ok) releasePoseidon(poseidon);
  return result;
}

/** hashPoseidon(table, state): replaces the first number of the state by the hash; at once, and without a copy. */
napi_value hashPoseidonState(napi_env env, napi_callback_info info) {
  size_t count = 2, size = 0;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  void* poseidon = nullptr;
  void* state = nullptr;
  napi_typedarray_type type;
  if (count < 2 || napi_get_value_external(env, arguments[0], &poseidon) != napi_ok ||
      napi_get_typedarray_info(env, arguments[1], &type, &size, &state, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || size < POSEIDON_WIDTH_MAX * WORD_BYTES) {
    return refuse(env, "hashPoseidon(table, state): expected a table of makePoseidon, and a Uint8Array of 544 bytes");
  }
  hashPoseidon(poseidon, static_cast<uint8_t*>(state));
  return nullptr;
}

void releaseLoadedProgram(napi_env, void* program, void*) { releaseProgram(program); }

/** loadProgram(file): a program for witnesses; at once. */
napi_value loadWitnessProgram(napi_env env, napi_callback_info info) {
  size_t count = 1, size = 0;
  napi_value argument, result = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  uint8_t* file = count == 1 ? copyBytes(env, argument, size) : nullptr;
  if (file == nullptr) return refuse(env, "loadProgram(file): the file must be a Uint8Array");
  void* program = nullptr;
  const Status status = loadProgram(file, size, &program);
  free(file);
  if (status != SUCCESS) {
    napi_throw(env, errorOf(env, status));
  } else if (napi_create_external(env, program, releaseLoadedProgram, nullptr, &result) != napi_ok) {
    releaseProgram(program);
  }
  return result;
}

/** computeWitness(program, inputs): the witness's bytes; at once. */
napi_value computeProgram(napi_env env, napi_callback_info info) {
  size_t count = 2, size = 0;
  napi_value arguments[2], result = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  void *program = nullptr, *witness = nullptr;
  if (count != 2 || napi_get_value_external(env, arguments[0], &program) != napi_ok) {
    return refuse(env, "computeWitness(program, inputs): the program must come from loadProgram");
  }
  uint8_t* inputs = copyBytes(env, arguments[1], size);
  const bool fits = inputs != nullptr && size == programInputs(program) * WORD_BYTES;
  Status status = SUCCESS;
  if (fits && napi_create_buffer(env, programWires(program) * WORD_BYTES, &witness, &result) == napi_ok) {
    status = computeWitness(program, inputs, static_cast<uint8_t*>(witness));
  }
  // Inputs are secrets, as the witness is.
  if (inputs != nullptr) clear(inputs, size);
  free(inputs);
  if (!fits) return refuse(env, "computeWitness(program, inputs): expected a Uint8Array of all inputs");
  if (status != SUCCESS) napi_throw(env, errorOf(env, status));
  return status == SUCCESS ? result : nullptr;
}

void define(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function);
  napi_set_named_property(env, exports, name, function);
}

}  // namespace
}  // namespace bitcloak

NAPI_MODULE_INIT() {
  using namespace bitcloak;
  napi_value names;
  napi_create_array(env, &names);
  uint32_t index = 0;
  for (const Backend* const* backend = backends().available; *backend != nullptr; backend++) {
    napi_value name;
    napi_create_string_utf8(env, (*backend)->name, NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, names, index++, name);
  }
  napi_set_named_property(env, exports, "backends", names);
  if (const Backend* refused = backends().refused) {
    napi_value name;
    napi_create_string_utf8(env, refused->name, NAPI_AUTO_LENGTH, &name);
    napi_set_named_property(env, exports, "refused", name);
  }
  define(env, exports, "loadKey", loadKey);
  define(env, exports, "prove", prove);
  define(env, exports, "loadProgram", loadWitnessProgram);
  define(env, exports, "computeWitness", computeProgram);
  define(env, exports, "verify", verifyProof);
  define(env, exports, "makePoseidon", makePoseidonTable);
  define(env, exports, "hashPoseidon", hashPoseidonState);
  define(env, exports, "apply", apply);
  return exports;
}
