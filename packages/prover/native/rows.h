// A sparse matrix's product with a witness. Vectors take as many rows at once as they have lanes; rows of about the same length come together, so that
// few lanes wait for others.
#pragma once
#include "keyFile.h"

namespace bitcloak::BITCLOAK_BACKEND {

template <class Field>
class Rows {
 public:
  using Single = typename Field::Single;
  using Stored = typename Field::Stored;

  Rows() = default;

  /** The rows of one of the matrices, of which `terms` may hold others too, in any order. */
  Rows(const Array<Term>& terms, u32 matrix, u32 rowCount) : rows(rowCount) {
    Array<u32> begins(rows + 1);
    begins.fill(0);
    for (const Term& term : terms) begins[term.row] += term.matrix == matrix ? 1 : 0;
    Array<u32> order(rows);
    const u32 used = sortByLength(begins, order);
    u32 next = 0;
    for (u32& begin : begins) {
      const u32 length = begin;
      begin = next;
      next += length;
    }
    Array<u32> sorted(next), ends(rows);
    for (u32 row = 0; row < rows; row++) ends[row] = begins[row];
    for (u32 i = 0; i < terms.size(); i++) {
      if (terms[i].matrix == matrix) sorted[ends[terms[i].row]++] = i;
    }
    const u32 groups = (used + LANES - 1) / LANES;
    lengths = Array<u32>(groups);
    rowOf = Array<u32>(groups * LANES);
    size_t steps = 0;
    for (u32 group = 0; group < groups; group++) {
      const u32 longest = order[group * LANES];
      lengths[group] = begins[longest + 1] - begins[longest];
      steps += lengths[group];
    }
    wires = Array<u32>(steps * LANES);
    coefficients = Array<Field>(steps);
    size_t step = 0;
    for (u32 group = 0; group < groups; group++) {
      for (u32 lane = 0; lane < LANES; lane++) {
        const u32 place = group * LANES + lane;
        rowOf[place] = place < used ? order[place] : rows;
      }
      for (u32 at = 0; at < lengths[group]; at++, step++) {
        Stored lanes[LANES];
        for (u32 lane = 0; lane < LANES; lane++) {
          const u32 row = rowOf[group * LANES + lane];
          const bool isThere = row < rows && begins[row] + at < begins[row + 1];
          const Term* term = isThere ? &terms[sorted[begins[row] + at]] : nullptr;
          wires[step * LANES + lane] = isThere ? term->wire : 0;
          lanes[lane] = Field::pack(isThere ? factorOf(term->coefficient) : Single::zero());
        }
        coefficients[step] = Field::gather([&](int lane) -> const Stored& { return lanes[lane]; });
      }
    }
  }

  /** `values` has one place more than there are rows. The witness consists of plain numbers, as Field::packNumber makes them. */
  void multiply(const Array<Stored>& witness, Array<Stored>& values) const {
    values.fill(Field::pack(Single::zero()));
    const u32* wire = wires.data();
    const Field* coefficient = coefficients.data();
    for (u32 group = 0; group < lengths.size(); group++) {
      Field sum = Field::broadcast(Field::pack(Single::zero()));
      for (u32 at = 0; at < lengths[group]; at++, wire += LANES, coefficient++) {
        const Field value = Field::gather([&](int lane) -> const Stored& { return witness[wire[lane]]; });
        sum = Field::reduce(Field::add(sum, Field::mul(value, *coefficient)));
      }
      const u32* row = &rowOf[group * LANES];
      sum.scatter([&](int lane) -> Stored& { return values[row[lane]]; });
    }
  }

 private:
  static constexpr u32 LANES = static_cast<u32>(Field::LANES);

  u32 rows = 0;
  /** Of each group of rows: how many terms the longest has, and which rows they are; `rows` where there is none. */
  Array<u32> lengths, rowOf;
  /** Term by term of each group, in lanes. */
  Array<u32> wires;
  Array<Field> coefficients;

  /** Of c·R² what makes its product with a plain number an element as vectors hold it. */
  static Single factorOf(const Single& coefficient) {
    constexpr Single FACTOR = Single::of(powerOfTwo(Field::RADIX_BITS, Single::P));
    return Single::mul(coefficient, FACTOR);
  }

  /** Long rows come first. Tells how many have terms. */
  static u32 sortByLength(const Array<u32>& lengthOf, Array<u32>& order) {
    u32 longest = 0, used = 0;
    for (u32 row = 0; row < order.size(); row++) longest = lengthOf[row] > longest ? lengthOf[row] : longest;
    Array<u32> places(longest + 1);
    places.fill(0);
    for (u32 row = 0; row < order.size(); row++) places[lengthOf[row]]++;
    u32 before = 0;
    for (u32 length = longest + 1; length-- > 0;) {
      const u32 count = places[length];
      places[length] = before;
      before += count;
      if (length > 0) used = before;
    }
    for (u32 row = 0; row < order.size(); row++) order[places[lengthOf[row]]++] = row;
    return used;
  }
};

}  // namespace bitcloak::BITCLOAK_BACKEND
