// Single operations of a backend, for tests against other implementations.
#pragma once
#include "groth16.h"

namespace bitcloak::BITCLOAK_BACKEND {

/** Operation = 16·field + kind. Fields: 0 base, 1 scalar, 2 the base field's extension. Elements are plain numbers, the lowest byte first. */
enum OperationKind : u32 { ADD = 0, SUBTRACT = 1, MULTIPLY = 2, SQUARE = 3, NEGATE = 4, INVERT = 5 };

/** Operands in lanes side by side, so that each lane is tested with every value. */
template <class Field>
class FieldOperations {
 public:
  using Single = typename Field::Single;
  using Stored = typename Field::Stored;
  static constexpr size_t LANES = static_cast<size_t>(Field::LANES);

  static bool apply(u32 kind, const u8* left, const u8* right, u8* result, size_t count) {
    for (size_t at = 0; at < count; at += LANES) {
      Stored a[LANES], b[LANES], c[LANES];
      for (size_t lane = 0; lane < LANES; lane++) {
        const size_t index = at + lane < count ? at + lane : count - 1;
        a[lane] = Field::pack(read(left + index * sizeof(Single)));
        b[lane] = Field::pack(read(right + index * sizeof(Single)));
      }
      const Field value = compute(kind, gather(a), gather(b));
      value.scatter([&](int lane) -> Stored& { return c[lane]; });
      for (size_t lane = 0; lane < LANES && at + lane < count; lane++) {
        Single single = Field::unpack(c[lane]);
        if (kind == INVERT) single = Single::inverse(single);
        write(single, result + (at + lane) * sizeof(Single));
      }
    }
    return kind <= INVERT;
  }

 private:
  static Field gather(const Stored* lanes) {
    return Field::gather([&](int lane) -> const Stored& { return lanes[lane]; });
  }

  static Field compute(u32 kind, const Field& a, const Field& b) {
    switch (kind) {
      case ADD:
        return Field::add(a, b);
      case SUBTRACT:
        return Field::subReduced(a, b);
      case MULTIPLY:
        return Field::mul(a, b);
      case SQUARE:
        return Field::sqr(a);
      case NEGATE:
        return Field::subReduced(Field::sub(a, a), a);
      default:
        return a;
    }
  }

  template <class Modulus>
  static void readInto(const u8* bytes, Element<Modulus>& element) {
    element = Element<Modulus>::fromNumber(readWords(bytes));
  }
  static void readInto(const u8* bytes, Extension& element) {
    readInto(bytes, element.c0);
    readInto(bytes + ELEMENT_BYTES, element.c1);
  }
  static Single read(const u8* bytes) {
    Single element;
    readInto(bytes, element);
    return element;
  }
  template <class Modulus>
  static void write(const Element<Modulus>& element, u8* bytes) {
    const Words number = Element<Modulus>::toNumber(element);
    __builtin_memcpy(bytes, number.w, ELEMENT_BYTES);
  }
  static void write(const Extension& element, u8* bytes) {
    write(element.c0, bytes);
    write(element.c1, bytes + ELEMENT_BYTES);
  }
};

/**
 * Operations 64 and 65: sums of points of G1 and of G2, a group of `count` affine points with the factor of each (32 bytes in `right`) as a digit of
 * one window of 8 bits: the way that all sums of a proof go. The result is one affine point, zeros for infinity.
 */
template <class Field>
void sumOfMultiples(const u8* left, const u8* right, u8* result, size_t count) {
  using Single = typename Field::Single;
  Array<Words> scalars(count);
  PointTable<Field> table(count);
  for (size_t i = 0; i < count; i++) {
    scalars[i] = readWords(right + i * ELEMENT_BYTES);
    Affine<Single> point;
    Base coordinates[sizeof(Affine<Single>) / sizeof(Base)];
    for (size_t part = 0; part < sizeof coordinates / sizeof(Base); part++) {
      coordinates[part] = Base::fromNumber(readWords(left + i * sizeof point + part * ELEMENT_BYTES));
    }
    __builtin_memcpy(static_cast<void*>(&point), coordinates, sizeof point);
    table.add(point, static_cast<u32>(i));
  }
  const Digits digits(scalars.data(), count, 8);
  Array<Point<Single>> sums(digits.runs());
  for (u32 run = 0; run < digits.runs(); run++) sums[run] = RunSum<Field>::compute(table, digits, run);
  const Affine<Single> sum = joinRuns(sums.data(), digits).affine();
  Base coordinates[sizeof(Affine<Single>) / sizeof(Base)];
  __builtin_memcpy(static_cast<void*>(coordinates), &sum, sizeof sum);
  for (size_t part = 0; part < sizeof coordinates / sizeof(Base); part++) {
    const Words number = Base::toNumber(coordinates[part]);
    __builtin_memcpy(result + part * ELEMENT_BYTES, number.w, ELEMENT_BYTES);
  }
}

}  // namespace bitcloak::BITCLOAK_BACKEND
