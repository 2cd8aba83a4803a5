// Reads proving keys (.zkey, version 1, Groth16) as the iden3 tools write them; nothing in one is believed before it was checked.
#pragma once
#include "curve.h"
#include "interface.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** A part of a file. */
struct Bytes {
  const u8* data = nullptr;
  size_t size = 0;
};

/** One term of a row of the matrix A or B. The coefficient c is stored as c·R², so that its product with a plain number has Montgomery's form. */
struct Term {
  u32 matrix, row, wire;
  Scalar coefficient;
};

/** A key's parts, in the file that must outlive them. */
struct KeyFile {
  u32 wires = 0, publics = 0, domain = 0, logDomain = 0, terms = 0;
  Affine<Base> alpha1, beta1, delta1;
  Affine<Extension> beta2, delta2;
  Bytes termBytes, a, b1, b2, c, h;
};

constexpr size_t ELEMENT_BYTES = 32;
constexpr size_t G1_BYTES = 2 * ELEMENT_BYTES;
constexpr size_t G2_BYTES = 4 * ELEMENT_BYTES;
constexpr size_t TERM_BYTES = 12 + ELEMENT_BYTES;

inline Words readWords(const u8* bytes) {
  return {{loadWord(bytes), loadWord(bytes + 8), loadWord(bytes + 16), loadWord(bytes + 24)}};
}

/** An element as it is stored, in Montgomery's form with R = 2^256; false where it is not below P. */
template <class Field>
bool readElement(const u8* bytes, Field& element) {
  const Words words = readWords(bytes);
  element = Field::of(words);
  return lessThan(words, Field::P);
}

/** On the curve, or infinity. G1 has prime order; of G2 the pinned hash of the key and the proof's verification must take care. */
inline bool readPoint(const u8* bytes, Affine<Base>& point) {
  if (!readElement(bytes, point.x) || !readElement(bytes + ELEMENT_BYTES, point.y)) return false;
  return point.isInfinity() || isOnCurve(point);
}

inline bool readPoint(const u8* bytes, Affine<Extension>& point) {
  if (!readElement(bytes, point.x.c0) || !readElement(bytes + ELEMENT_BYTES, point.x.c1) ||
      !readElement(bytes + 2 * ELEMENT_BYTES, point.y.c0) || !readElement(bytes + 3 * ELEMENT_BYTES, point.y.c1)) {
    return false;
  }
  return point.isInfinity() || isOnCurve(point);
}

class KeyReader {
 public:
  /** `SUCCESS`, or what is wrong with the file. Points of the tables are checked where they are taken over. */
  static Status read(const Bytes& file, KeyFile& key) {
    Bytes sections[SECTIONS + 1];
    Status status = findSections(file, sections);
    if (status != SUCCESS) return status;
    if (sections[1].size != 4 || loadHalfWord(sections[1].data) != GROTH16) return KEY_KIND;
    status = readHeader(sections[2], key);
    if (status != SUCCESS) return status;
    const Bytes& terms = sections[4];
    if (terms.size < 4) return KEY_SIZE;
    key.terms = loadHalfWord(terms.data);
    // In 64 bits: a product of 32 bits wraps where addresses have as many.
    if (terms.size != 4 + u64{key.terms} * TERM_BYTES) return KEY_SIZE;
    key.termBytes = {terms.data + 4, terms.size - 4};
    key.a = sections[5];
    key.b1 = sections[6];
    key.b2 = sections[7];
    key.c = sections[8];
    key.h = sections[9];
    const size_t wires = key.wires;
    const Bytes& inputs = sections[3];
    const bool fits = inputs.size == (size_t{key.publics} + 1) * G1_BYTES && key.a.size == wires * G1_BYTES &&
                      key.b1.size == wires * G1_BYTES && key.b2.size == wires * G2_BYTES &&
                      key.c.size == (wires - key.publics - 1) * G1_BYTES &&
                      key.h.size == size_t{key.domain} * G1_BYTES;
    if (!fits) return KEY_SIZE;
    Affine<Base> input;
    for (size_t at = 0; at < inputs.size; at += G1_BYTES) {
      if (!readPoint(inputs.data + at, input)) return KEY_POINT;
    }
    return SUCCESS;
  }

  /** `KEY_RANGE` where the term is of no matrix, row or wire, or its coefficient no element. */
  static Status readTerm(const KeyFile& key, u32 index, Term& term) {
    const u8* bytes = key.termBytes.data + index * TERM_BYTES;
    term.matrix = loadHalfWord(bytes);
    term.row = loadHalfWord(bytes + 4);
    term.wire = loadHalfWord(bytes + 8);
    const bool isElement = readElement(bytes + 12, term.coefficient);
    return isElement && term.matrix < 2 && term.row < key.domain && term.wire < key.wires ? SUCCESS : KEY_RANGE;
  }

 private:
  static constexpr u32 SECTIONS = 10;
  static constexpr u32 GROTH16 = 1;
  static constexpr u32 LOG_DOMAIN_MAX = 24;

  static Status findSections(const Bytes& file, Bytes (&sections)[SECTIONS + 1]) {
    if (file.size < 12 || __builtin_memcmp(file.data, "zkey", 4) != 0) return KEY_KIND;
    if (loadHalfWord(file.data + 4) != 1) return KEY_KIND;
    const u32 count = loadHalfWord(file.data + 8);
    size_t at = 12;
    for (u32 i = 0; i < count; i++) {
      if (file.size - at < 12) return KEY_SIZE;
      const u32 kind = loadHalfWord(file.data + at);
      const u64 size = loadWord(file.data + at + 4);
      at += 12;
      if (size > file.size - at) return KEY_SIZE;
      if (kind == 0 || kind > SECTIONS || sections[kind].data != nullptr) return KEY_KIND;
      sections[kind] = {file.data + at, static_cast<size_t>(size)};
      at += static_cast<size_t>(size);
    }
    if (at != file.size) return KEY_SIZE;
    // The last section, of contributions, is nothing that a proof needs.
    for (u32 kind = 1; kind < SECTIONS; kind++) {
      if (sections[kind].data == nullptr) return KEY_KIND;
    }
    return SUCCESS;
  }

  static Status readHeader(const Bytes& header, KeyFile& key) {
    constexpr size_t FIELDS = 2 * (4 + ELEMENT_BYTES);
    constexpr size_t SIZE = FIELDS + 12 + 3 * G1_BYTES + 3 * G2_BYTES;
    if (header.size != SIZE) return KEY_SIZE;
    const u8* at = header.data;
    if (!readModulus(at, BaseModulus::P) || !readModulus(at + 4 + ELEMENT_BYTES, ScalarModulus::P)) return KEY_KIND;
    at += FIELDS;
    key.wires = loadHalfWord(at);
    key.publics = loadHalfWord(at + 4);
    key.domain = loadHalfWord(at + 8);
    if ((key.domain & (key.domain - 1)) != 0 || key.domain < 16 || key.domain > (u32{1} << LOG_DOMAIN_MAX)) {
      return KEY_RANGE;
    }
    if (key.wires > (u32{1} << LOG_DOMAIN_MAX) || key.publics >= key.wires) return KEY_RANGE;
    while ((u32{1} << key.logDomain) < key.domain) key.logDomain++;
    at += 12;
    Affine<Extension> gamma2;
    const bool areOnCurve = readPoint(at, key.alpha1) && readPoint(at + G1_BYTES, key.beta1) &&
                            readPoint(at + 2 * G1_BYTES, key.beta2) &&
                            readPoint(at + 2 * G1_BYTES + G2_BYTES, gamma2) &&
                            readPoint(at + 2 * G1_BYTES + 2 * G2_BYTES, key.delta1) &&
                            readPoint(at + 3 * G1_BYTES + 2 * G2_BYTES, key.delta2);
    if (!areOnCurve) return KEY_POINT;
    const bool areFinite = !key.alpha1.isInfinity() && !key.beta1.isInfinity() && !key.beta2.isInfinity() &&
                           !gamma2.isInfinity() && !key.delta1.isInfinity() && !key.delta2.isInfinity();
    return areFinite ? SUCCESS : KEY_POINT;
  }

  static bool readModulus(const u8* bytes, const Words& modulus) {
    const Words words = readWords(bytes + 4);
    return loadHalfWord(bytes) == ELEMENT_BYTES && isZero(minus(words, modulus));
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
